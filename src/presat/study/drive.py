"""Runs the cells of a study: each in a process of its own, as soon as what it needs is there, the longest first.

Everything that is known stands in the folder, so that a driver that is killed is followed by the next one where it was:
a cell is done when its record says so and it read and left what the record says. A half-done cell goes on by its verb's
own means. A cell that failed stays so until it is asked for again; the others go on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from presat.config import dump_config
from presat.config.schema import StudyConfig
from presat.config.yamls import dump_yaml
from presat.errors import ConfigError, RunError
from presat.files import remove, write_atomically
from presat.models.fresh import is_new
from presat.study.alone import alone_in
from presat.study.contents import ABSENT, Contents
from presat.study.estimate import costs_of
from presat.study.folder import KIND, CellPart, Folder, PointPart, Record, StudyFile
from presat.study.local import Ended, LocalWorkers
from presat.study.plan import FILES, MODELS, VERBS, Cell, Plan, make_plan
from presat.study.standing import CellStanding, Known, State, needed, rates_of, work_of
from presat.tracking.checkpoints import keep_last_model
from presat.tracking.provenance import PROVENANCE

_NO_ROOM = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
_THERE = "there"
"""The content of what no later stage reads."""


class Workers(Protocol):
    """Where cells run.

    Attributes:
        count: how many run side by side.
        threads: CPU threads of each.
    """

    count: int
    threads: int

    @property
    def free(self) -> int:
        """How many more can start."""
        ...

    def start(self, name: str, verb: str, config: Path, log: Path) -> None:
        """Start a verb with the settings in a file."""
        ...

    def ended(self) -> dict[str, Ended]:
        """Return those that have ended since the last look."""
        ...

    def close(self) -> dict[str, Ended]:
        """End all that still run; return how they ended."""
        ...


def folder_of(study: StudyConfig) -> Folder:
    """Return the folder of a study."""
    return Folder(study.out or Path("runs") / study.study)


def run_study(
    study: StudyConfig,
    retry: bool = False,
    on_tick: Callable[[Known], None] = lambda _: None,
    tick_s: float = 0.25,
    workers: Workers | Callable[[Folder], Workers] | None = None,
    grow: Callable[[Known], StudyConfig | None] = lambda _: None,
) -> Known:
    """Run all cells of a study that are not done; return how every cell ended up, by name.

    Args:
        study: what to run.
        retry: run cells again that failed before.
        on_tick: called with what is known of the cells, again and again.
        tick_s: seconds between two looks at the processes.
        workers: where cells run, or what makes that once the folder is ours; processes of this machine when None.
        grow: called likewise; returns the study with more points once what was measured says which, else None.

    Raises:
        ConfigError: as `make_plan`.
        RunError: another driver runs the study, its folder is not a study's, or it cannot be written to.
    """
    folder = folder_of(study)
    contents = Contents(folder.hashes)
    plan = make_plan(study, folder, contents)
    folder.refuse_foreign()
    _refuse_another(folder, study)
    with alone_in(folder.path):
        folder.claim()
        workers = workers or LocalWorkers(study.workers, _pages(study))
        if callable(workers):
            workers = workers(folder)
        driver = _Driver(plan, folder, contents, workers, retry)
        return driver.run(on_tick, tick_s, grow)


def _refuse_another(folder: Folder, study: StudyConfig) -> None:
    with contextlib.suppress(RunError):  # damaged: it is written anew
        other = folder.read().study
        if other and other != study.study:
            raise ConfigError(
                f"{folder.path} is the folder of the study '{other}', and this one is called '{study.study}'. Choose "
                "another `out`, or give it that name."
            )


def _pages(study: StudyConfig) -> dict[str, str]:
    """No pages of 2 MB for a lab model's small tensors: clearing them took a quarter of its training time."""
    small = is_new(str(study.base.model.get("name", "")))
    return {"THP_MEM_ALLOC_ENABLE": "0"} if small and "THP_MEM_ALLOC_ENABLE" not in os.environ else {}


def study_file(plan: Plan, folder: Folder, workers: int) -> StudyFile:
    """Return what `study.json` is to say of a plan."""
    costs = costs_of(plan)
    cells = {
        cell.name: CellPart(
            stage=cell.stage,
            key=cell.key,
            after=[plan.cells[key].name for key in cell.sources],
            path=_made(cell, folder).relative_to(folder.path).as_posix(),
            work=costs[cell.key].work,
            steps=costs[cell.key].steps,
        )
        for cell in plan.cells.values()
    }
    of_point: dict[int, dict[str, str]] = {number: {} for number in range(len(plan.points))}
    for cell in plan.cells.values():
        for number in cell.points:
            of_point[number][cell.stage] = cell.name
    points = [PointPart(axes=point.labels, cells=of_point[number]) for number, point in enumerate(plan.points)]
    axes = {axis.name: list(axis.values) for axis in plan.axes}
    return StudyFile(kind=KIND, study=plan.study.study, workers=workers, axes=axes, cells=cells, points=points)


def _made(cell: Cell, folder: Folder) -> Path:
    """Where what a cell makes lies."""
    return folder.data(cell.name) if cell.stage in FILES else folder.run(cell.name)


class _Driver:
    def __init__(self, plan: Plan, folder: Folder, contents: Contents, workers: Workers, retry: bool) -> None:
        self._folder, self._contents = folder, contents
        self._workers, self._retry = workers, retry
        self._states: dict[str, tuple[State, str]] = {}
        self._outputs: dict[str, str] = {}
        self._records: dict[str, Record] = {}
        self._ready: list[str] = []
        self._take(plan)

    def _take(self, plan: Plan) -> None:
        """Work at a plan. One that follows another has all of its cells that were started."""
        self._plan, self._file = plan, study_file(plan, self._folder, self._workers.count)
        self._cells = {cell.name: cell for cell in plan.cells.values()}
        self._states = {name: self._states.get(name, ("waiting", "")) for name in self._cells}
        self._ready = [name for name in self._ready if name in self._cells]
        self._folder.write(self._file)
        write_atomically(self._folder.study, dump_config(plan.study))
        self._contents.save()

    def run(
        self, on_tick: Callable[[Known], None], tick_s: float, grow: Callable[[Known], StudyConfig | None]
    ) -> Known:
        try:
            while True:
                for name, ended in self._workers.ended().items():
                    self._finish(name, ended)
                self._judge_all()
                while more := grow(self._states):
                    self._take(make_plan(more, self._folder, self._contents))
                    self._judge_all()
                while self._ready and self._workers.free:
                    self._start(self._ready.pop(0))
                on_tick(self._states)
                if not any(state == "running" for state, _ in self._states.values()) and not self._ready:
                    return self._states
                time.sleep(tick_s)
        finally:
            for name, ended in self._workers.close().items():
                self._finish(name, ended)

    def _judge_all(self) -> None:
        """Decide about every waiting cell whose inputs are decided; put those that can start in order."""
        before = list(self._states.values())
        for name, cell in self._cells.items():
            if self._states[name][0] != "waiting" or name in self._ready:
                continue
            after = self._file.cells[name].after
            if lost := needed(after, self._states):
                self._states[name] = "skipped", f"needs {lost}"
            elif all(self._states[other][0] == "done" for other in after):
                try:
                    if self._is_to_start(cell):
                        self._ready.append(name)
                except RunError as error:
                    self._states[name] = "failed", str(error)
        if before != list(self._states.values()) or len(self._ready) > 1:
            lengths = self._lengths()
            self._ready.sort(key=lambda name: -lengths[name])
            self._drop_checkpoints()

    def _is_to_start(self, cell: Cell) -> bool:
        """Whether a cell whose inputs are there is to be run; what is of no use any more is removed first."""
        record, inputs = self._folder.record(cell.name), self._inputs(cell)
        if record is None or record.key != cell.key:
            if self._plan.study.keep == "last":  # a run without its record may be one that cannot go on
                self._clear(cell)
            return True
        self._records[cell.name] = record
        if record.state == "failed" and record.inputs == inputs and not self._retry:
            self._states[cell.name] = "failed", record.reason
            return False
        if record.state == "done":
            lacking = record.dropped and any(self._is_open(other) for other in self._plan.readers(cell))
            if lacking:
                self._clear(cell)
            elif record.inputs == inputs and self._path(cell).exists():
                self._accept(cell, record)
                return False
        if record.inputs != inputs:
            self._clear(cell)
        return True

    def _accept(self, cell: Cell, record: Record) -> None:
        """Take a cell for done, if what it made is as it was left."""
        output = self._output(cell)
        if output != record.output:
            self._states[cell.name] = (
                "failed",
                f"{self._path(cell)} was changed after it was done. Put it back, or delete it to have it made anew.",
            )
            return
        self._outputs[cell.name] = output
        self._states[cell.name] = "done", ""

    def _is_open(self, reader: Cell) -> bool:
        """Whether a cell that reads all checkpoints of a run is still to be run."""
        record = self._folder.record(reader.name)
        return reader.reads_all and not (record and record.key == reader.key and record.state == "done")

    def _start(self, name: str) -> None:
        cell = self._cells[name]
        settings = dict(cell.settings)
        if "resume" in settings:
            settings["resume"] = (self._folder.run(name) / PROVENANCE).is_file()
        if settings.get("threads") == 0:
            settings["threads"] = self._workers.threads
        seconds = self._records[name].seconds if name in self._records else 0.0
        record = Record(key=cell.key, state="running", started=time.time(), seconds=seconds, inputs=self._inputs(cell))
        self._records[name] = record
        try:
            self._folder.note(name, record)
            write_atomically(self._folder.config(name), dump_yaml(settings))
            self._workers.start(name, VERBS[cell.stage][0], self._folder.config(name), self._folder.log(name))
            self._states[name] = "running", ""
        except (RunError, OSError) as error:  # a full disk; the cell waits for the next run of the study
            self._end(name, "interrupted", str(error))

    def _finish(self, name: str, ended: Ended) -> None:
        cell, record = self._cells[name], self._records[name]
        record.seconds += time.time() - record.started
        if ended.code == 0:
            try:
                record.output = self._output(cell)
            except RunError as error:
                self._end(name, "failed", str(error))
                return
            if record.output == ABSENT:
                self._end(name, "failed", f"its verb ended without an error, and {self._path(cell)} is not there")
                return
            self._outputs[name] = record.output
            self._end(name, "done", "")
        elif ended.interrupted or any(said in ended.reason for said in _NO_ROOM):
            self._end(name, "interrupted", ended.reason)
        else:
            self._end(name, "failed", ended.reason)

    def _end(self, name: str, state: State, reason: str) -> None:
        """Record how a cell ended. Where that cannot be written, the next driver finds it half-done and goes on."""
        record = self._records[name]
        if state in ("done", "failed", "interrupted"):
            record.state, record.reason = state, reason
        self._states[name] = state, reason
        try:
            self._folder.note(name, record)
            self._contents.save()
        except RunError as error:
            if state != "done":  # a done one can be read all the same
                self._states[name] = state, reason or str(error)

    def _drop_checkpoints(self) -> None:
        if self._plan.study.keep != "last":
            return
        for name, cell in self._cells.items():
            readers = self._plan.readers(cell)
            if cell.stage not in MODELS or self._states[name][0] != "done" or self._records[name].dropped:
                continue
            if all(self._states[other.name][0] == "done" for other in readers):
                keep_last_model(self._folder.run(name) / "checkpoints")
                self._records[name].dropped = True
                self._end(name, "done", "")

    def _lengths(self) -> dict[str, float]:
        """How long it takes from the start of a cell to the end of the last one that needs it, as far as known."""
        known = [
            CellStanding(name, part.stage, self._states[name][0], seconds=self._records[name].seconds)
            for name, part in self._file.cells.items()
            if name in self._records
        ]
        rates = rates_of(self._file, known)
        usual = sum(rates.values()) / len(rates) if rates else 1.0
        lengths: dict[str, float] = {}
        for name, cell in reversed(self._cells.items()):
            part = self._file.cells[name]
            rest = max((lengths[other.name] for other in self._plan.readers(cell)), default=0.0)
            lengths[name] = rates.get(part.stage, usual) * work_of(part) + rest
        return lengths

    def _inputs(self, cell: Cell) -> dict[str, str]:
        return {other: self._outputs[other] for other in self._file.cells[cell.name].after}

    def _output(self, cell: Cell) -> str:
        """The content of what a cell made."""
        if not self._path(cell).exists():
            return ABSENT
        if cell.stage in MODELS:
            return self._contents.of_model(str(self._folder.run(cell.name)))
        if cell.stage in FILES:
            return self._contents.of(self._folder.data(cell.name))
        return _THERE

    def _path(self, cell: Cell) -> Path:
        return _made(cell, self._folder)

    def _clear(self, cell: Cell) -> None:
        """Remove what a cell made of other inputs."""
        remove(self._folder.run(cell.name))
        remove(self._folder.data(cell.name))
