"""Means over seeds and problems at once, differences of two settings, and what many comparisons allow to be claimed.

Several seeds of a setting answer the same problems. What is then measured varies by seed, by problem, and by both
together, and a claim about other seeds *and* other problems has to allow for all of it. With mean scores X[s, p] the
variance of their mean is taken as A + B: that of the seeds' means over their number, and that of the problems' means
over theirs. Both hold what varies by seed and problem together, so it counts twice; with that taken out once, as
two-way random effects have it, three seeds are covered .91 where it says .95. Degrees of freedom are Satterthwaite's.
Resampling seeds and problems instead covers far too little with three seeds (`tests/metrics/test_crossed.py`,
docs/metrics.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from presat.errors import DataError
from presat.metrics.intervals import MIN_UNITS, Array, Interval, student_quantile, student_within

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or a difference with what is known of its error.

    Attributes:
        value: the estimate.
        error: its standard error.
        freedom: degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: int

    def interval(self, level: float = LEVEL) -> Interval:
        """Its interval."""
        margin = student_quantile(level, self.freedom) * self.error
        return Interval(self.value, self.value - margin, self.value + margin)

    @property
    def p(self) -> float:
        """How often a value so far from 0, or farther, would come about by chance if 0 were true."""
        return 1.0 - student_within(abs(self.value) / self.error, self.freedom)


def paired_seeds(first: Sequence[float], last: Sequence[float]) -> Estimate | None:
    """`last` minus `first` where value i of both is of seed i; None for fewer than three, or equal differences."""
    moves = np.asarray(last, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    return _over_units(moves)


def separate_seeds(first: Sequence[float], last: Sequence[float]) -> Estimate | None:
    """`last` minus `first`, seeds of their own (Welch); None for fewer than three of one, or where none scatters."""
    samples = [np.asarray(values, dtype=np.float64) for values in (first, last)]
    if min(sample.size for sample in samples) < MIN_UNITS:
        return None
    return _of_parts(float(samples[1].mean() - samples[0].mean()), [_part(sample) for sample in samples])


def crossed(values_SP: Array) -> Estimate | None:
    """The mean over seeds and problems; None for fewer than three of one, or where nothing scatters.

    Args:
        values_SP: mean score by seed and problem, or for two settings with the same seeds their differences.

    Raises:
        DataError: a value is missing.
    """
    _refuse_missing(values_SP)
    if min(values_SP.shape) < MIN_UNITS:
        return None
    return _of_parts(float(values_SP.mean()), [_part(values_SP.mean(axis=1)), _part(values_SP.mean(axis=0))])


def crossed_separate(first_SP: Array, last_SP: Array) -> Estimate | None:
    """`last` minus `first`: the same problems, seeds of their own; None as in `crossed`.

    Raises:
        DataError: a value is missing, or the problems are not as many.
    """
    if first_SP.shape[1] != last_SP.shape[1]:
        raise DataError("Two settings are compared over the same problems: leave out what one of them lacks.")
    both = [first_SP, last_SP]
    for values_SP in both:
        _refuse_missing(values_SP)
    if min(min(values.shape) for values in both) < MIN_UNITS:
        return None
    moves_P = last_SP.mean(axis=0) - first_SP.mean(axis=0)
    return _of_parts(float(moves_P.mean()), [*(_part(values.mean(axis=1)) for values in both), _part(moves_P)])


def holm(chances: Sequence[float]) -> list[float]:
    """Chances of several comparisons, each corrected for all of them (Holm): one below .05 stays a claim."""
    order = sorted(range(len(chances)), key=lambda index: chances[index])
    found, highest = [1.0] * len(chances), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, chances[index] * (len(chances) - rank)))
        found[index] = highest
    return found


def unordered(values: Sequence[float], told_apart: Sequence[Sequence[bool]]) -> list[list[int]]:
    """Groups among which no order can be claimed: neighbours by value, no two of which are told apart.

    Args:
        values: one for each setting.
        told_apart: whether a difference of two is claimed.

    Returns:
        The largest such groups of two or more, highest value first; a setting may be in several.
    """
    order = sorted(range(len(values)), key=lambda index: -values[index])
    found: list[list[int]] = []
    for start in range(len(order)):
        group = [order[start]]
        for index in order[start + 1 :]:
            if any(told_apart[index][other] for other in group):
                break
            group.append(index)
        if len(group) > 1 and not (found and set(group) <= set(found[-1])):
            found.append(group)
    return found


def _refuse_missing(values_SP: Array) -> None:
    if not np.isfinite(values_SP).all():
        raise DataError("Seeds and problems are compared where every value is there: leave out the others first.")


def _part(means_n: Array) -> tuple[float, int]:
    """Variance of the mean of some means, and its degrees of freedom."""
    return float(means_n.var(ddof=1)) / means_n.size, means_n.size - 1


def _of_parts(value: float, parts: Sequence[tuple[float, int]]) -> Estimate | None:
    """An estimate whose variance is the sum of independent parts; None where nothing scatters."""
    total = sum(part for part, _ in parts)
    if total <= 1e-18:  # equal numbers have a spread of some 1e-17
        return None
    freedom = total**2 / sum(part**2 / free for part, free in parts if part > 0.0)
    return Estimate(value, math.sqrt(total), max(1, math.floor(freedom + 1e-9)))


def _over_units(values_n: Array) -> Estimate | None:
    return _of_parts(float(values_n.mean()), [_part(values_n)]) if values_n.size >= MIN_UNITS else None
