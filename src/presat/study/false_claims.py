"""The A/A check: how often seeds of one and the same setting would be called different.

Groups of seeds are drawn from those of a setting, two at a time and none in both, and compared as two settings are. All
that is then claimed is false.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from presat.errors import ConfigError
from presat.metrics.crossed import holm
from presat.study.comparison import CLAIM, Comparison, Entry, Unit, compare

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class FalseClaims:
    """What the check found of one quantity.

    Attributes:
        name: the quantity, or a kind of claim over all quantities.
        seeds: how many seeds had a value.
        draws: how many comparisons could be made.
        claims: how many of their 95% intervals left out 0.
        paired: the same with the seeds of the two groups paired in a random order.
    """

    name: str
    seeds: int
    draws: int
    claims: int
    paired: int


@dataclass(frozen=True, slots=True)
class Check:
    """What the check found.

    Attributes:
        group: seeds in a group.
        rows: by quantity.
        reports: reports over all quantities that claim any difference, after correction, and how many were drawn.
        verdicts: how many runs got each verdict.
        pairs: pairs of runs with different verdicts, and how many pairs there are.
    """

    group: int
    rows: list[FalseClaims]
    reports: tuple[int, int]
    verdicts: dict[str, int]
    pairs: tuple[int, int]


def check(entries: Sequence[Entry], group: int, seed: int = 0, draws: int = DRAWS) -> Check:
    """Draw groups of seeds of one setting, and count what is claimed of them.

    Args:
        entries: the quantities of that setting.
        group: seeds in a group.
        seed: of the draws.
        draws: pairs of groups.

    Raises:
        ConfigError: there are several settings, or too few seeds for two groups.
    """
    numbers = [item for item in entries if item.values]
    if len({(item.row, item.column) for item in entries}) != 1:
        raise ConfigError("An A/A check is of one setting: choose one with `--where AXIS=VALUE`.")
    most = max((len(item.values) for item in numbers), default=0)
    if most < 2 * group:
        raise ConfigError(
            f"Two groups of {group} seeds cannot be drawn from {most} with a value: give a smaller `--aa`."
        )
    rng = np.random.default_rng(seed)
    made, claims, paired = Counter[str](), Counter[str](), Counter[str]()
    reports = 0
    for _ in range(draws):
        chances: list[float] = []
        for item in numbers:
            first, last = _two_groups(item, group, rng)
            found = compare(first, last)
            if found is None or found.estimate is None:
                continue
            name = item.quantity.name
            made[name] += 1
            claims[name] += _leaves_out_0(found)
            chances.append(found.estimate.p)
            alike = compare(_renamed(first), _renamed(last))
            paired[name] += alike is not None and _leaves_out_0(alike)
        reports += bool(chances) and min(holm(chances)) < CLAIM
    rows = [
        FalseClaims(item.quantity.name, len(item.values), made[name], claims[name], paired[name])
        for item in numbers
        for name in [item.quantity.name]
    ]
    words = next((item.words for item in entries if item.words), Counter[str]())
    pairs = sum(a * b for a, b in itertools.combinations(words.values(), 2))
    total = sum(words.values())
    return Check(group, rows, (reports, draws), dict(words.most_common()), (pairs, total * (total - 1) // 2))


def _two_groups(item: Entry, group: int, rng: np.random.Generator) -> tuple[Entry, Entry]:
    units = list(item.numbers.values())
    if len(units) < 2 * group:
        return replace(item, units=[]), replace(item, units=[])
    chosen = [units[index] for index in rng.permutation(len(units))[: 2 * group]]
    return replace(item, units=chosen[:group]), replace(item, units=chosen[group:])


def _renamed(item: Entry) -> Entry:
    """The same with seeds called by their place, so that two groups are paired."""
    return replace(item, units=[Unit(str(place), unit.state, unit.found) for place, unit in enumerate(item.units)])


def _leaves_out_0(found: Comparison) -> bool:
    return found.interval is not None and not found.interval.low <= 0.0 <= found.interval.high
