"""The finished cells of a study, from its folder: each run opened once, and how those stand that are not finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from presat.analysis.numbers import Choices
from presat.errors import ConfigError, nearest
from presat.study.folder import Folder, PointPart, StudyFile
from presat.study.grid import SEED
from presat.study.quantities import CHECK, MAIN, Measured, Opened, Quantity, measure
from presat.study.standing import Known, needed, states_of
from presat.tracking.lock import is_locked

NO_CHECK = "no stage `check`"
"""Why a point has nothing that a check finds."""


class Cells:
    """The finished cells of a study, each opened once.

    Args:
        folder: the study's.
        choices: how t_sat and scores are read.
        shifted: evaluation sets that the study calls out of domain.

    Raises:
        RunError: the folder's record is damaged.
    """

    def __init__(self, folder: Folder, choices: Choices, shifted: Sequence[str] = ()) -> None:
        self.folder, self.file = folder, folder.read()
        self._choices, self._shifted = choices, shifted
        self._opened: dict[str, Opened] = {}
        self.states: Known = dict(_states(folder, self.file))

    def measure(self, point: PointPart, quantity: Quantity) -> tuple[tuple[str, ...], str, Measured]:
        """Return the cells a value is from, how they stand, and the value."""
        large = self._larger(point, quantity) if quantity.kind == "G" else None
        sources = _sources(point, quantity)
        for name in sources:
            both = [name, *([] if large is None else [large])]
            for each in both:
                state, reason = self.states[each]
                if state != "done":
                    return tuple(both), state, Measured(why=self._why(each) if state == "skipped" else reason)
            found = measure(quantity, self._open(name), None if large is None else self._open(large))
            if found.value is not None or name == sources[-1]:
                return tuple(both), "done", found
        return (), "not run", Measured(why=NO_CHECK if quantity.kind == CHECK else "no stage of it makes a run")

    def known(self) -> list[str]:
        """Metrics and evaluation sets of the runs that were opened."""
        runs = [opened.run for opened in self._opened.values()]
        return sorted({name for run in runs for name in (*run.names(), *run.held_out_sets(), MAIN)})

    def _why(self, name: str) -> str:
        """How the first cell failed without which a skipped one cannot be."""
        while self.states[name][0] == "skipped":
            name = needed(self.file.cells[name].after, self.states) or name
        return f"{name} failed: {self.states[name][1]}"

    def _open(self, name: str) -> Opened:
        if name not in self._opened:
            path = self.folder.path / self.file.cells[name].path
            self._opened[name] = Opened(Path(path), self._choices, self._shifted)
        return self._opened[name]

    def _larger(self, point: PointPart, quantity: Quantity) -> str | None:
        """The run at the axis value that G names, all other axes alike."""
        axis = next((name for name, labels in self.file.axes.items() if quantity.large in labels), None)
        if axis is None:
            known = [label for name, labels in self.file.axes.items() if name != SEED for label in labels]
            raise ConfigError(f"No axis has the value `{quantity.large}` of {quantity.name}."
                              f"{nearest(quantity.large, known)}")  # fmt: skip
        wanted = point.axes | {axis: quantity.large}
        found = next((other for other in self.file.points if other.axes == wanted), None)
        sources = _sources(found, quantity) if found and found is not point else []
        return sources[0] if sources else None


def _states(folder: Folder, file: StudyFile) -> Iterator[tuple[str, tuple]]:
    records = {name: folder.record(name) for name in file.cells}
    records = {name: item if item and item.key == file.cells[name].key else None for name, item in records.items()}
    yield from states_of(folder, file, records, is_locked(folder.path) is True)


def _sources(point: PointPart, quantity: Quantity) -> list[str]:
    """Cells whose runs are looked at: RL and its evaluation, else the last stage that makes a model, else a check."""
    if quantity.kind == CHECK:
        return [point.cells[CHECK]] if CHECK in point.cells else []
    if "train" in point.cells:
        return [point.cells[stage] for stage in ("train", "eval") if stage in point.cells]
    models = [stage for stage in ("sft", "cpt", "pretrain") if stage in point.cells]
    return [point.cells[stage] for stage in ("eval", *(models or [CHECK])[:1]) if stage in point.cells]
