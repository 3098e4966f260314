"""One run in numbers: estimates, summary, verdict, repeats over seeds. Reads runs of any kind, never a trainer."""

from __future__ import annotations

from presat.analysis.naming import run_names
from presat.analysis.numbers import Choices, RunSummary, SetSummary, Verdict
from presat.analysis.repeats import Repeat, repeats
from presat.analysis.summary import summarise

__all__ = ["Choices", "Repeat", "RunSummary", "SetSummary", "Verdict", "repeats", "run_names", "summarise"]
