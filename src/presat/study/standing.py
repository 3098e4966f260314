"""How it stands with a study, read from its folder alone: so it can be asked at any time, by anybody."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from presat.errors import RunError
from presat.study.folder import CellPart, Folder, Record, StudyFile
from presat.study.plan import MODELS
from presat.tracking.follow import OurRun, planned_steps
from presat.tracking.lock import is_locked

State = Literal["failed", "running", "interrupted", "waiting", "skipped", "done"]
GONE = "the process that ran it is gone"
LOST = "what it made is not there any more: `presat study run` makes it anew"
Known = Mapping[str, tuple[State, str]]
"""By a cell's name: its state, and why."""


@dataclass
class CellStanding:
    """One cell.

    Attributes:
        name: which.
        stage: its stage.
        state: how it stands.
        reason: why it failed, was interrupted, or is skipped.
        step: the last step that is logged.
        steps: of how many, where known.
        seconds: how long it has run.
        left: seconds it will still take, where that can be told from measured times.
        path: where it lies.
    """

    name: str
    stage: str
    state: State
    reason: str = ""
    step: int | None = None
    steps: int | None = None
    seconds: float = 0.0
    left: float | None = None
    path: str = ""


@dataclass
class Standing:
    """A study at one moment.

    Attributes:
        study: what it is called.
        folder: its folder.
        active: whether a driver runs it now.
        cells: all of them, in the order of their stages.
        left: seconds until all are done, where that can be told.
        unmeasured: stages of which no cell has been timed yet.
    """

    study: str
    folder: str
    active: bool
    cells: list[CellStanding]
    left: float | None = None
    unmeasured: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many cells are in each state."""
        return dict(Counter(cell.state for cell in self.cells))

    def to_json(self) -> dict[str, Any]:
        """The standing as plain data."""
        return {**asdict(self), "counts": self.counts}


class Watcher:
    """Looks at a study's folder again and again.

    Args:
        folder: the study's.

    Raises:
        RunError: no study was run there, or its `study.json` is damaged.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.file = folder.read()
        if not self.file.cells:
            raise RunError(f"No study was run in {folder.path} yet. Start it: `presat study run STUDY.yaml`.")
        self._followed: dict[str, OurRun] = {}

    def look(self, known: Known | None = None) -> Standing:
        """Return how it stands now.

        Args:
            known: what a driver knows of its cells; None reads that from the disk.

        Raises:
            RunError: the log of a run cannot be read.
        """
        active = known is not None or is_locked(self.folder.path) is True
        records = {name: self._record(name, part) for name, part in self.file.cells.items()}
        states = dict(known) if known is not None else dict(states_of(self.folder, self.file, records, active))
        cells = []
        for name, part in self.file.cells.items():
            state, reason = states[name]
            record = records[name]
            cell = CellStanding(name, part.stage, state, reason, steps=part.steps)
            cell.path = str(self.folder.path / part.path)
            cell.seconds = record.seconds if record else 0.0
            if state == "running" and record:
                cell.seconds += max(0.0, time.time() - record.started)
            if state in ("running", "interrupted"):
                self._follow(cell)
            cells.append(cell)
        standing = Standing(self.file.study, str(self.folder.path), active, cells)
        self._time_left(standing)
        return standing

    def _record(self, name: str, part: CellPart) -> Record | None:
        record = self.folder.record(name)
        return record if record and record.key == part.key else None

    def _follow(self, cell: CellStanding) -> None:
        """Read the step that a run is at, and from its step times how long it will take."""
        path = self.folder.run(cell.name)
        if cell.stage not in MODELS or not path.is_dir():
            return
        followed = self._followed.setdefault(cell.name, OurRun(path))
        with contextlib.suppress(RunError):  # of a file that is just being written; the next look shows it
            run = followed.refresh()
            cell.step = max((max(series) for series in run.values.values() if series), default=None)
            cell.steps = planned_steps(run) or cell.steps
        pace = followed.seconds_per_step
        if cell.steps and cell.step is not None and pace is not None:
            cell.left = pace * max(0, cell.steps - cell.step)

    def _time_left(self, standing: Standing) -> None:
        rates = rates_of(self.file, standing.cells)
        lefts: list[float] = []
        unmeasured: dict[str, None] = {}
        for cell in standing.cells:
            if cell.state not in ("running", "waiting", "interrupted"):
                continue
            if cell.left is None and cell.stage in rates:
                spent = cell.seconds if cell.state == "running" else 0.0
                cell.left = max(0.0, rates[cell.stage] * work_of(self.file.cells[cell.name]) - spent)
            if cell.left is None:
                unmeasured[cell.stage] = None
            else:
                lefts.append(cell.left)
        standing.unmeasured = list(unmeasured)
        if lefts or not unmeasured:
            standing.left = max(sum(lefts) / self.file.workers, max(lefts, default=0.0))


def states_of(
    folder: Folder, file: StudyFile, records: Mapping[str, Record | None], active: bool
) -> Iterator[tuple[str, Any]]:
    """Yield the state of every cell, by what is recorded; what a failed one leaves without input is skipped."""
    found: dict[str, tuple[State, str]] = {}
    for name, part in file.cells.items():
        record = records[name]
        state, reason = (record.state, record.reason) if record else ("waiting", "")
        if state == "running" and not active:
            state, reason = "interrupted", GONE
        if state == "done" and not (folder.path / part.path).exists():
            state, reason = "waiting", LOST
        lost = needed(part.after, found)
        if lost and state != "done":
            state, reason = "skipped", f"needs {lost}"
        found[name] = state, reason
        yield name, (state, reason)


def needed(after: list[str], states: Known) -> str | None:
    """Return the first of the cells needed that will not be there; None when all may be."""
    return next((name for name in after if states[name][0] in ("failed", "skipped")), None)


def work_of(part: CellPart) -> float:
    """A cell's work, never nothing: also a cell that samples no token takes its time."""
    return max(part.work, 1.0)


def rates_of(file: StudyFile, cells: list[CellStanding]) -> dict[str, float]:
    """Seconds that a token takes, by stage, as measured: in cells that are done, else in those that run."""
    spent, work = Counter[str](), Counter[str]()
    for cell in cells:
        if cell.state == "done" and cell.seconds:
            spent[cell.stage] += cell.seconds  # pyright: ignore[reportArgumentType]
            work[cell.stage] += work_of(file.cells[cell.name])  # pyright: ignore[reportArgumentType]
    rates = {stage: spent[stage] / work[stage] for stage in spent}
    for cell in cells:
        if cell.state == "running" and cell.left is not None and cell.stage not in rates:
            rates[cell.stage] = (cell.seconds + cell.left) / work_of(file.cells[cell.name])
    return rates
