"""Reports: summaries, terminal views, tables, figures, the page. Reads runs of any kind, never a trainer."""

from __future__ import annotations

from presat.analysis.naming import run_names
from presat.analysis.numbers import RunSummary, SetSummary, Verdict
from presat.analysis.summary import summarise
from presat.report.diagnose import diagnose
from presat.report.html import build_report
from presat.report.live import watch_run
from presat.report.terminal import sparkline, summary_table
from presat.report.verbs import report, watch

__all__ = [
    "RunSummary",
    "SetSummary",
    "Verdict",
    "build_report",
    "diagnose",
    "report",
    "run_names",
    "sparkline",
    "summarise",
    "summary_table",
    "watch",
    "watch_run",
]
