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
    read_as = {"columns": config.columns, "reward_values": config.reward_values}
    opened = [(path, run) for path in config.runs for run in open_runs(path, **read_as)]
    given = [run for _, run in opened]
    places = _once(given)
    for place in (place for place in range(len(given)) if place not in places):
        say(out, f"{opened[place][0]} is a run that was named before: it counts once.")
    runs = [given[place] for place in places]
    labels, groups = (_of(names, places, len(given)) for names in (config.labels, config.groups))
    page = config.out or _default_page(runs)
    written = list(report_files(runs, page, config.formats).values())
    names = run_names(runs, labels)
    read = config.read
    choices = Choices(read.tail, read.window, read.reading, read.grid)
    summaries = [summarise(run, choices, name) for run, name in zip(runs, names, strict=True)]
    build_report(runs, page, config.title or None, groups=groups, summaries=summaries, formats=config.formats)
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


def _once(runs: list[Run]) -> list[int]:
    """The places of the runs, of one that is given several times the first: by whatever name, it is one run."""
    found: dict[tuple[str, Path, str], int] = {}
    for place, run in enumerate(runs):
        found.setdefault((run.kind, run.path.resolve(), run.called), place)
    return list(found.values())


def _of(names: list[str], places: list[int], runs: int) -> list[str]:
    """What the runs at `places` are called; where there is not a name for each run given, that is found later."""
    return [names[place] for place in places] if len(names) == runs else names


def _default_page(runs: list[Run]) -> Path:
    if len(runs) == 1 and runs[0].kind == "presat":
        return runs[0].path / "report.html"
    return Path("report.html")
