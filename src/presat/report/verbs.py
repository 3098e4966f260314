"""`presat report` and `presat watch`, as the command line calls them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.analysis.naming import run_names
from presat.analysis.numbers import WINDOW, Choices
from presat.analysis.summary import summarise
from presat.config.schema import ReportConfig, WatchConfig
from presat.config.unused import refuse_unused
from presat.errors import ConfigError
from presat.report.html import build_report, report_files
from presat.report.live import watch_run
from presat.report.terminal import say, summary_table
from presat.tracking import Run, open_runs

if TYPE_CHECKING:
    from rich.console import Console


def report(config: ReportConfig, out: Console) -> dict[str, Any]:
    """Write the page and the tables, print the screen, and return what was written and the numbers.

    Raises:
        ConfigError: no runs, a list of labels or groups that does not fit them, or a file is there that no report made.
        RunError: a run cannot be read, or the page cannot be written.
    """
    refuse_unused(config)
    if not config.runs:
        raise ConfigError(
            "Which runs? `presat report RUN...` takes run directories, other trainers' logs and trackers' stores."
        )
    runs = [
        run
        for path in config.runs
        for run in open_runs(path, columns=config.columns, reward_values=config.reward_values)
    ]
    page = config.out or _default_page(runs)
    written = list(report_files(runs, page, config.formats).values())
    names = run_names(runs, config.labels)
    read = config.read
    choices = Choices(read.tail, read.window, read.reading, read.grid)
    summaries = [summarise(run, choices, name) for run, name in zip(runs, names, strict=True)]
    build_report(runs, page, config.title or None, groups=config.groups, summaries=summaries, formats=config.formats)
    out.print(summary_table(summaries))
    for path in written:
        say(out, f"wrote {path}")
    return {"written": [str(path) for path in written], "runs": [summary.to_json() for summary in summaries]}


def watch(config: WatchConfig, out: Console) -> dict[str, Any]:
    """Show the live view until the run ends; return its summary.

    Raises:
        ConfigError: no run was named.
        RunError: it cannot be read, or (with `once`) is not there.
    """
    refuse_unused(config)
    if not config.run:
        raise ConfigError("Which run? `presat watch RUN` takes a run directory or another trainer's log.")
    run = watch_run(
        Path(config.run), config.once, refresh_s=config.refresh_s, window=config.window, patience=config.patience,
        min_reward=config.min_reward, console=out,
        reading={"run": config.only, "columns": config.columns, "reward_values": config.reward_values},
    )  # fmt: skip
    return {"runs": [] if run is None else [summarise(run, Choices(window=config.window or WINDOW)).to_json()]}


def _default_page(runs: list[Run]) -> Path:
    if len(runs) == 1 and runs[0].kind == "presat":
        return runs[0].path / "report.html"
    return Path("report.html")
