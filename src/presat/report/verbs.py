"""`presat report` and `presat watch`, as the command line calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from presat.analysis.naming import run_names
from presat.analysis.numbers import WINDOW, Choices, RunSummary
from presat.analysis.summary import summarise
from presat.config.schema import ReportConfig, WatchConfig
from presat.config.unused import refuse_unused
from presat.errors import ConfigError
from presat.report.beside import shared
from presat.report.html import build_report, report_files
from presat.report.live import watch_run
from presat.report.terminal import say, summary_table
from presat.text import printable
from presat.tracking import Run, open_runs
from presat.tracking.writer import METRICS

if TYPE_CHECKING:
    from rich.console import Console

SEVERAL = Path("report.html")
"""Where the page on several runs goes, if nothing else is said."""


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
    read = config.read
    ask = _Ask(config.columns, config.reward_values, Choices(read.tail, read.window, read.reading, read.grid))
    ours = _ours(config.runs)
    if ours:  # refused before anything is computed
        report_files([], config.out or SEVERAL, config.formats)
    opened = _opened(config.runs, ours, ask)
    given = [run for _, run, _ in opened]
    places = _once(given)
    for place in (place for place in range(len(given)) if place not in places):
        say(out, f"{opened[place][0]} is a run that was named before: it counts once.")
    runs = [given[place] for place in places]
    labels, groups = (_of(names, places, len(given)) for names in (config.labels, config.groups))
    page = config.out or _default_page(runs)
    written = list(report_files(runs, page, config.formats).values())
    names = run_names(runs, labels)
    summaries = [_summary(*opened[place], ask.choices, name) for place, name in zip(places, names, strict=True)]
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


class _Ask(NamedTuple):
    """How runs are read."""

    columns: Mapping[str, str]
    reward_values: tuple[float, float] | None
    choices: Choices


_Opened = tuple[str, Run, "RunSummary | None"]
"""What a run was named, the run, and its summary where it was made at once."""


def _ours(paths: Sequence[str]) -> list[int]:
    """The places of run directories of ours, where there are several of them."""
    found = [place for place, path in enumerate(paths) if (Path(path) / METRICS).is_file()]
    return found if len({Path(paths[place]).resolve() for place in found}) > 1 else []


def _opened(paths: Sequence[str], ours: Sequence[int], ask: _Ask) -> list[_Opened]:
    """Open what is at the paths. Runs at the places `ours` are summarised at once, so that two processes share them.

    The others are opened here alone: of some the responses are in memory, which is much to hand over.
    """
    read = shared(_read, [(paths[place], ask, True) for place in ours])
    found = dict(zip(ours, read, strict=True))
    return [item for n, path in enumerate(paths) for item in found.get(n) or _read((path, ask, False))]


def _read(item: tuple[str, _Ask, bool]) -> list[_Opened]:
    path, ask, at_once = item
    runs = open_runs(path, columns=ask.columns, reward_values=ask.reward_values)
    return [(path, run, summarise(run, ask.choices) if at_once else None) for run in runs]


def _summary(_: str, run: Run, made: RunSummary | None, choices: Choices, name: str) -> RunSummary:
    return summarise(run, choices, name) if made is None else replace(made, name=printable(name))


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
        return runs[0].path / SEVERAL
    return SEVERAL
