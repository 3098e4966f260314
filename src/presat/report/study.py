"""`presat study`, as the command line calls it: what is shown of a study before, while and after it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from presat.config.load import build, read_yaml
from presat.config.schema import STAGES, StudyConfig, StudyRunConfig, StudyStatusConfig
from presat.console import make_console
from presat.errors import ConfigError, RunError
from presat.report.terminal import say
from presat.study import Folder, Watcher, folder_of, run_study
from presat.study.contents import Contents
from presat.study.estimate import SAMPLING_FLOPS, TRAINING_FLOPS, Cost, costs_of
from presat.study.plan import Plan, make_plan
from presat.study.standing import State
from presat.text import listed
from presat.tracking.pace import duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from presat.study.drive import Workers
    from presat.study.standing import CellStanding, Known, Standing

SPEED = f"{TRAINING_FLOPS / 1e12:.0f} TFLOP/s in training and {SAMPLING_FLOPS / 1e12:.0f} in sampling"
LOOK_S = 2.0
"""Seconds between two looks at the runs' logs."""
PLAIN_S = 60.0
"""Seconds between two lines where there is no terminal."""
_ORDER: tuple[str, ...] = get_args(State)


def run(config: StudyRunConfig, out: Console) -> dict[str, Any]:
    """Run a study, or go on with it; return how it stands.

    Raises:
        ConfigError: no file is named, or the study is none.
        RunError: as `run_study`, or a cell is not done at the end.
    """
    study = read_study(config.study, "run")
    began = time.monotonic()
    with _Board(folder_of(study)) as board:
        known = run_study(study, config.retry == "failed", board.tick, workers=_workers(config, study, board))
    standing = Watcher(folder_of(study)).look(known)
    open_cells = [cell for cell in standing.cells if cell.state != "done"]
    out.print(render(standing, open_cells))
    if open_cells:
        raise RunError(_unfinished(standing))
    say(out, f"All {len(standing.cells)} cells are done ({duration(time.monotonic() - began)}), in {standing.folder}.")
    return standing.to_json()


def _workers(config: StudyRunConfig, study: StudyConfig, board: _Board) -> Callable[[Folder], Workers] | None:
    if config.ray is None:
        return None
    from presat.study.on_ray import RayWorkers

    address = config.ray
    return lambda folder: RayWorkers(address, study, folder, board.say)


def status(config: StudyStatusConfig, out: Console) -> dict[str, Any]:
    """Show how it stands with a study; return the numbers.

    Raises:
        ConfigError: no study is named, or the file is none.
        RunError: it was not run yet, or its folder is damaged.
    """
    path = Path(config.study)
    folder = Folder(path) if config.study and path.is_dir() else folder_of(read_study(config.study, "status"))
    standing = Watcher(folder).look()
    out.print(render(standing, standing.cells))
    return standing.to_json()


def foresee(config: StudyRunConfig, out: Console) -> dict[str, Any]:
    """Show what a study would run, and roughly what that costs; return the numbers. Nothing is written.

    Raises:
        ConfigError: no file is named, or the study is none.
    """
    from rich.console import Group
    from rich.text import Text

    study = read_study(config.study, "run")
    folder = folder_of(study)
    plan = make_plan(study, folder, Contents(folder.hashes))
    costs = costs_of(plan)
    done = _done(plan, folder)
    table = _table("stage", "cells", "for points", "done", "tokens sampled", "trained on", "disk", "GPU hours")
    rows: list[dict[str, Any]] = []
    for stage in STAGES:
        keys = [key for key, cell in plan.cells.items() if cell.stage == stage]
        if not keys:
            continue
        served = {number for key in keys for number in plan.cells[key].points}
        row = {"stage": stage, "cells": len(keys), "points": len(served), "done": len(done & set(keys))}
        rows.append(row | _sum(costs[key] for key in keys))
    for row in rows:
        table.add_row(row["stage"], *(str(row[n]) for n in ("cells", "points", "done")), *_cost_cells(row))
    total = _sum(costs.values())
    cells = str(len(plan.cells))
    table.add_row("all", cells, str(len(plan.points)), str(len(done)), *_cost_cells(total))
    axes = ", ".join(f"{axis.name} ({len(axis.values)})" for axis in plan.axes) or "none"
    notes = [
        f"{study.study}: {len(plan.points)} points, {cells} cells, to be made in {folder.path}. Axes: {axes}.",
        "Tokens and disk are estimates from the settings, responses counted at their longest: upper bounds.",
        f"GPU hours follow from tokens and parameters, at {SPEED} (an H100).",
        *(f"{name} is not there: cells that read it will fail." for name in plan.absent),
    ]
    out.print(Group(table, *map(Text, notes)))
    return {
        "study": study.study,
        "folder": str(folder.path),
        "points": [point.labels for point in plan.points],
        "stages": rows,
        "total": total,
        "absent": plan.absent,
        "cells": [
            {"name": cell.name, "stage": cell.stage, "points": cell.points, "done": key in done, **_sum([costs[key]])}
            for key, cell in plan.cells.items()
        ],
    }


def render(standing: Standing, cells: Iterable[CellStanding]) -> RenderableType:
    """Lay a study out for a terminal: a table of cells, failures with their reasons, and a line on all of it."""
    from rich.console import Group
    from rich.text import Text

    cells = list(cells)
    parts: list[RenderableType] = []
    if cells:
        table = _table("cell", "state", "time", "left")
        for cell in cells:
            left = "" if cell.left is None or cell.state in ("failed", "skipped", "done") else duration(cell.left)
            table.add_row(cell.name, _state(cell), duration(cell.seconds) if cell.seconds else "", left)
        parts.append(table)
    parts += [Text(line) for line in _reasons(cells)]
    parts.append(Text(summary(standing)))
    return Group(*parts)


def summary(standing: Standing) -> str:
    """One line: how many cells are in which state, and how long it will take."""
    line = f"{standing.study}: {len(standing.cells)} cells: {_counted(standing)}"
    if not {"running", "waiting", "interrupted"} & standing.counts.keys():
        return f"{line}."
    if standing.left is not None:
        line += f"; about {duration(standing.left)} left"
        line += f", and what {', '.join(standing.unmeasured)} takes" if standing.unmeasured else ""
    return f"{line}." if standing.active else f"{line}. Nothing runs it now: `presat study run` goes on with it."


class _Board:
    """Shows a study that runs: on a terminal a live table of what is not done, else a line a minute."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._looked, self._said = folder, 0.0, 0.0
        self._watcher: Watcher | None = None
        self._console = make_console(stderr=True)
        self._live: Any = None

    def __enter__(self) -> _Board:
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Show a sentence that stays."""
        say(self._console, text)

    def tick(self, known: Known) -> None:
        """Look again, if it is time."""
        now = time.monotonic()
        if self._looked and now - self._looked < LOOK_S:
            return
        self._looked = now
        self._watcher = self._watcher or Watcher(self._folder)
        if self._live is not None:
            standing = self._watcher.look(known)
            shown = [cell for cell in standing.cells if cell.state in ("running", "failed", "interrupted")]
            self._live.update(render(standing, shown), refresh=True)
        elif not self._said or now - self._said >= PLAIN_S:
            self._said = now
            print(summary(self._watcher.look(known)), file=sys.stderr, flush=True)


def read_study(source: str, verb: str) -> StudyConfig:
    """Return the study of a file or a preset.

    Raises:
        ConfigError: no file is named, or it is no study.
    """
    if not source:
        raise ConfigError(f"Which study? `presat study {verb}` takes its YAML file.")
    return build(StudyConfig, read_yaml(source), source)


def _done(plan: Plan, folder: Folder) -> set[str]:
    """Keys of the cells that are recorded as done."""
    found = {key: folder.record(cell.name) for key, cell in plan.cells.items()}
    return {key for key, record in found.items() if record and record.key == key and record.state == "done"}


def _unfinished(standing: Standing) -> str:
    advice = "Run the same command again to go on"
    if "failed" in standing.counts:
        advice += "; cells that failed are only run again with `--retry failed`, and their logs are in "
        advice += str(Path(standing.folder) / "logs")
    return f"Not all cells of {standing.study} are done: {_counted(standing)}. {advice}."


def _counted(standing: Standing) -> str:
    """How many cells are in which state."""
    counts = standing.counts
    return ", ".join(f"{counts[state]} {state}" for state in _ORDER if state in counts)


def _state(cell: CellStanding) -> str:
    if cell.state == "skipped":
        return f"skipped: {cell.reason}"
    if cell.state in ("running", "interrupted") and cell.step is not None:
        return f"{cell.state}, step {cell.step}" + (f" of {cell.steps}" if cell.steps else "")
    return cell.state


def _reasons(cells: Iterable[CellStanding]) -> list[str]:
    """Why cells failed or were interrupted, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if cell.reason and cell.state in ("failed", "interrupted"):
            found.setdefault((cell.state, cell.reason), []).append(cell.name)
    return [f"{listed(names, 3)} {state}: {reason}" for (state, reason), names in found.items()]


def _table(*heads: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number == 0 or head == "state" else "right", overflow="fold")
    return table


def _sum(costs: Iterable[Cost]) -> dict[str, Any]:
    costs = list(costs)
    known = [cost.disk for cost in costs if cost.disk is not None]
    hours = [cost.gpu_hours for cost in costs if cost.gpu_hours is not None]
    return {
        "sampled": sum(cost.sampled for cost in costs),
        "trained": sum(cost.trained for cost in costs),
        "disk": sum(known) if len(known) == len(costs) else None,
        "gpu_hours": sum(hours) if len(hours) == len(costs) else None,
    }


def _cost_cells(row: dict[str, Any]) -> list[str]:
    disk = "unknown" if row["disk"] is None else f"{_short(row['disk'])}B"
    hours = "unknown" if row["gpu_hours"] is None else _hours(row["gpu_hours"])
    return [_short(row["sampled"]), _short(row["trained"]), disk, hours]


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 1 else "under 1"


def _short(number: float) -> str:
    """`1.5M`, `230k`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
