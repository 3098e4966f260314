"""A study's finished cells side by side: what each setting came to over its seeds, and what differs beyond chance.

Seeds are the units. A cell that failed, or is not done, is counted as such and is in no mean; a stage that several
seeds share is one unit. What may be claimed is decided for all comparisons of a report at once (Holm).
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from presat.errors import ConfigError, nearest
from presat.metrics import Interval, is_share
from presat.metrics.crossed import (
    LEVEL,
    Estimate,
    crossed,
    crossed_separate,
    holm,
    paired_seeds,
    separate_seeds,
    unordered,
)
from presat.metrics.intervals import MIN_UNITS
from presat.study.finished import NO_CHECK, Cells
from presat.study.folder import PointPart
from presat.study.grid import SEED
from presat.study.quantities import CHECK, GROUPS, Measured, Quantity, absent

CLAIM = 1 - LEVEL
"""A comparison whose corrected chance is below this is a claim."""
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Unit:
    """One seed of a setting.

    Attributes:
        seed: which; several where they share the cells.
        state: `done`, or how the cell stands that would have had the value.
        found: what was measured.
        cells: names of the cells it is from.
    """

    seed: str
    state: str
    found: Measured
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One quantity of one setting.

    Attributes:
        row: its values of the axes that make rows.
        column: its values of those that make columns.
        quantity: which.
        units: its seeds.
    """

    row: Labels
    column: Labels
    quantity: Quantity
    units: list[Unit]

    @property
    def values(self) -> list[float]:
        """The numbers there are."""
        return [unit.found.value for unit in self.numbers.values() if isinstance(unit.found.value, float)]

    @property
    def cells(self) -> set[str]:
        """The cells its values are from."""
        return {name for unit in self.units for name in unit.cells}

    @functools.cached_property
    def numbers(self) -> dict[str, Unit]:
        """Seeds with a number."""
        return {unit.seed: unit for unit in self.units if isinstance(unit.found.value, float)}

    @property
    def words(self) -> Counter[str]:
        """How many seeds have which verdict."""
        return Counter(unit.found.value for unit in self.units if isinstance(unit.found.value, str))

    @property
    def missing(self) -> Counter[str]:
        """How many seeds have nothing to show, by state; `no value` where the cell is done and there is none."""
        states = ("no value" if unit.state == "done" else unit.state for unit in self.units)
        return Counter(state for state, unit in zip(states, self.units, strict=True) if unit.found.value is None)

    @property
    def mean(self) -> float | None:
        """The mean over seeds that have a number."""
        return math.fsum(self.values) / len(self.values) if self.values else None

    @functools.cached_property
    def problems(self) -> list[str]:
        """Problems that every seed with a number has a value of, where that are all of them; else empty."""
        known = [set(unit.found.by_problem) for unit in self.numbers.values()]
        return sorted(known[0]) if known and all(known) and all(item == known[0] for item in known) else []

    @functools.cached_property
    def estimate(self) -> Estimate | None:
        """The mean with its error: over seeds and problems where responses were saved, else over seeds."""
        if self.problems:
            return crossed(self.by_problem())
        return paired_seeds([0.0] * len(self.values), self.values)

    @property
    def interval(self) -> Interval | None:
        """95% interval of the mean; a share at the end of a run stays one."""
        if self.estimate is None:
            return None
        found = self.estimate.interval()
        if self.quantity.kind not in ("end", CHECK) or not is_share(self.values):
            return found
        return Interval(found.estimate, max(0.0, found.low), min(1.0, found.high))

    @property
    def over(self) -> str:
        """What the interval is over, in words; empty without one."""
        if self.estimate is None:
            return ""
        return f"{len(self.values)} seeds" + (f", {len(self.problems)} problems" if self.problems else "")

    def by_problem(self, seeds: Sequence[str] | None = None) -> np.ndarray:
        """Values by seed and problem. Shape (S, P)."""
        units = [self.numbers[seed] for seed in (self.numbers if seeds is None else seeds)]
        return np.array([[unit.found.by_problem[problem] for problem in self.problems] for unit in units])


@dataclass
class Comparison:
    """Two settings in one quantity.

    Attributes:
        quantity: which.
        first: the baseline, or the lower one.
        last: what is compared with it.
        difference: `last` minus `first`.
        estimate: the same with its error; None where there are too few seeds, or nothing scatters.
        over: what the error is over, in words.
        corrected: its chance, corrected for all comparisons of the report; None without an estimate.
    """

    quantity: Quantity
    first: Entry
    last: Entry
    difference: float
    estimate: Estimate | None
    over: str
    corrected: float | None = None

    @property
    def interval(self) -> Interval | None:
        """95% interval of the difference, of this comparison alone."""
        return self.estimate.interval() if self.estimate else None

    @property
    def claimed(self) -> bool:
        """Whether a difference is claimed."""
        return self.corrected is not None and self.corrected < CLAIM


@dataclass
class Table:
    """What a report shows.

    Attributes:
        study: what the study is called.
        rows: names of the axes that make rows.
        columns: names of those that make columns.
        entries: all settings in all quantities.
        comparisons: with the baseline, or of every pair within a column.
        averaged: axes that each value is a mean over.
        notes: what the reader must know.
    """

    study: str
    rows: list[str]
    columns: list[str]
    entries: list[Entry]
    comparisons: list[Comparison] = field(default_factory=list)
    averaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def table_of(
    cells: Cells,
    quantities: Sequence[Quantity],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    against: Mapping[str, str] | None = None,
) -> Table:
    """Lay out a study's cells.

    Args:
        cells: the cells.
        quantities: what is shown of each.
        rows: axes that make rows; all others that have several values when empty.
        columns: axes that make columns.
        where: the only values to show, by axis.
        against: the baseline, by axis; without it all pairs within a column are compared.

    Raises:
        ConfigError: there is no such axis or value.
        RunError: a run cannot be read.
    """
    axes, where = cells.file.axes, dict(where or {})
    _check(axes, [*rows, *columns], where, against or {})
    points = [point for point in cells.file.points if where.items() <= point.axes.items()]
    if not points:
        raise ConfigError("No point of the study is left: " + _told(where) + ".")
    varied = [name for name in axes if name != SEED and len({point.axes[name] for point in points}) > 1]
    rows = list(rows) or [name for name in varied if name not in columns]
    averaged = [name for name in varied if name not in (*rows, *columns)]
    groups: dict[tuple[Labels, Labels], list[PointPart]] = {}
    for point in points:
        key = tuple(point.axes[name] for name in rows), tuple(point.axes[name] for name in columns)
        groups.setdefault(key, []).append(point)
    entries = [
        Entry(row, column, quantity, _units(cells, group, quantity))
        for quantity in quantities
        for (row, column), group in groups.items()
    ]
    _refuse_unknown(cells, quantities, entries)
    table = Table(cells.file.study, rows, list(columns), entries, averaged=averaged)
    pairs = _against(table, against) if against else _pairs(table)
    table.comparisons = [found for first, last in pairs if (found := compare(first, last))]
    known = [item for item in table.comparisons if item.estimate]
    for item, corrected in zip(known, holm([item.estimate.p for item in known if item.estimate]), strict=True):
        item.corrected = corrected
    table.notes = _notes(table, where)
    return table


def _check(axes: Mapping[str, list[str]], names: Sequence[str], *chosen: Mapping[str, str]) -> None:
    for name in [*names, *itertools.chain(*chosen)]:
        if name not in axes or (name == SEED and name in names):
            known = [axis for axis in axes if axis != SEED]
            raise ConfigError(f"The study has no axis `{name}` to report by.{nearest(name, known)}")
    for name, label in itertools.chain(*(item.items() for item in chosen)):
        if label not in axes[name]:
            raise ConfigError(f"The axis `{name}` has no value `{label}`.{nearest(label, axes[name])}")


def _refuse_unknown(cells: Cells, quantities: Sequence[Quantity], entries: Sequence[Entry]) -> None:
    """Refuse a metric that no finished run has ever heard of, and what a check finds where there is none."""
    for quantity in quantities:
        units = [unit for item in entries if item.quantity == quantity for unit in item.units]
        if quantity.kind == CHECK and all(unit.found.why == NO_CHECK for unit in units):
            raise ConfigError(f"`{quantity.name}` is what a check found, and the study has {NO_CHECK}.")
        units = [unit for unit in units if unit.state == "done"]
        if quantity.what in GROUPS or not units or any(unit.found.why != absent(quantity.what) for unit in units):
            continue
        known = cells.known()
        raise ConfigError(f"No run of the study has `{quantity.what}`.{nearest(quantity.what, known)}")


def _units(cells: Cells, group: Sequence[PointPart], quantity: Quantity) -> list[Unit]:
    """One unit a seed; seeds whose values are from the same cells are one."""
    by_seed: dict[str, list[PointPart]] = {}
    for point in group:
        by_seed.setdefault(point.axes.get(SEED, ""), []).append(point)
    shared: dict[tuple[tuple[str, ...], str], tuple[list[str], str, Measured]] = {}
    for seed, points in by_seed.items():
        each = [cells.measure(point, quantity) for point in points]
        source = tuple(itertools.chain(*(names for names, _, _ in each)))
        lacking = next((item for item in each if item[2].value is None), None)
        _, state, found = lacking or each[0]
        if lacking is None and len(each) > 1:
            state, found = "done", _mean([item[2] for item in each])
        shared.setdefault((source, "" if source else seed), ([], state, found))[0].append(seed)
    return [Unit(", ".join(seeds), state, found, cells) for (cells, _), (seeds, state, found) in shared.items()]


def _mean(each: Sequence[Measured]) -> Measured:
    """The mean over axes that are neither rows nor columns; of verdicts there is none."""
    values = [item.value for item in each if isinstance(item.value, float)]
    if len(values) < len(each):
        return Measured(why="verdicts have no mean: name the axis in `--rows` or `--columns`")
    problems = dict.fromkeys(each[0].by_problem, 0.0)
    if all(item.by_problem.keys() == problems.keys() for item in each):
        problems = {name: math.fsum(item.by_problem[name] for item in each) / len(each) for name in problems}
    else:
        problems = {}
    return Measured(math.fsum(values) / len(values), "", problems)


def _against(table: Table, against: Mapping[str, str]) -> Iterator[tuple[Entry, Entry]]:
    """Each setting after its baseline: the one with these values, all else alike."""
    places = {(item.quantity, item.row, item.column): item for item in table.entries}

    def moved(names: Sequence[str], labels: Labels) -> Labels:
        return tuple(against.get(name, label) for name, label in zip(names, labels, strict=True))

    if not against.keys() <= {*table.rows, *table.columns}:
        raise ConfigError("The axis of `--against` must be one of the rows or columns of the table.")
    for item in table.entries:
        first = places.get((item.quantity, moved(table.rows, item.row), moved(table.columns, item.column)))
        if first is not None and first is not item:
            yield first, item


def _pairs(table: Table) -> Iterator[tuple[Entry, Entry]]:
    for group in by_column(table).values():
        ordered = sorted((item for item in group if item.mean is not None), key=lambda item: item.mean or 0.0)
        yield from itertools.combinations(ordered, 2)


def by_column(table: Table) -> dict[tuple[Quantity, Labels], list[Entry]]:
    """Entries that stand below each other."""
    found: dict[tuple[Quantity, Labels], list[Entry]] = {}
    for item in table.entries:
        found.setdefault((item.quantity, item.column), []).append(item)
    return found


def compare(first: Entry, last: Entry) -> Comparison | None:
    """Compare two settings in a number; None where one has none.

    Seeds that both have are paired where these are three or more. Where responses were saved and both answered the same
    problems, the error is over seeds and problems. Values of the same cells are one thing and are not compared.
    """
    if first.cells and first.cells == last.cells:
        return None
    common = [seed for seed in first.numbers if seed in last.numbers]
    paired = len(common) >= MIN_UNITS
    if first.mean is None or last.mean is None:
        return None
    problems = first.problems if first.problems == last.problems else []
    over = f", {len(problems)} problems" if problems else ""
    if paired:
        a, b = ([item.numbers[seed].found.value for seed in common] for item in (first, last))
        estimate = (
            crossed(last.by_problem(common) - first.by_problem(common)) if problems else paired_seeds(a, b)  # pyright: ignore[reportArgumentType]
        )
        difference = math.fsum(b) / len(b) - math.fsum(a) / len(a)  # pyright: ignore[reportArgumentType]
        said = f"{len(common)} seeds, paired"
    else:
        estimate = (
            crossed_separate(first.by_problem(), last.by_problem())
            if problems
            else separate_seeds(first.values, last.values)
        )
        difference = last.mean - first.mean
        said = f"{len(first.values)} and {len(last.values)} seeds"
    return Comparison(first.quantity, first, last, difference, estimate, said + over)


def orders(table: Table) -> Iterator[tuple[Quantity, Labels, list[Comparison], list[list[Entry]]]]:
    """For each column that was compared by pairs: what is claimed, and groups among which nothing is."""
    for (quantity, column), group in by_column(table).items():
        known = [item for item in group if item.mean is not None]
        found = [item for item in table.comparisons if item.quantity == quantity and item.last.column == column]
        apart = {frozenset((id(item.first), id(item.last))) for item in found if item.claimed}
        told = [[frozenset((id(a), id(b))) in apart for b in known] for a in known]
        groups = unordered([item.mean or 0.0 for item in known], told)
        yield quantity, column, [item for item in found if item.claimed], [[known[i] for i in one] for one in groups]


def _notes(table: Table, where: Mapping[str, str]) -> list[str]:
    notes = [f"Only {_told(where)}."] if where else []
    if table.averaged:
        notes.append(f"Each value is a mean over {' and '.join(table.averaged)}, within a seed.")
    whys = Counter(
        re.sub(r" \([\d.]+\)", "", unit.found.why)
        for item in table.entries
        for unit in item.units
        if unit.found.value is None and unit.found.why
    )
    notes += [f"Missing {count} times: {why.rstrip('.')}." for why, count in whys.most_common(6)]
    return notes


def _told(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {label}" for name, label in labels.items())
