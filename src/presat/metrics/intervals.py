"""Intervals of a mean over few units: the problems of a set, the runs of a setting.

All of them are Student's t, which covers what it says where the units scatter like a normal, however few they are. It
fails where the units that were drawn scatter less than those that were not: scores that pile up at 0 or 1, changes of
which most are exactly 0. There one made-up unit stands at either end of what is possible, which weighs much among
three problems and nothing among five hundred. Units that are all equal therefore never give an interval of no width.

The percentile bootstrap does worse: over 3 normal units it covers .74 where it says .95, over 10 .89.
`tests/metrics/test_coverage.py` simulates what these cover; `docs/metrics.md` has the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presat.errors import DataError

Array = npt.NDArray[np.float64]

MIN_UNITS = 3
"""Fewer units have no interval: two of them say next to nothing about how they scatter."""
MIN_VARIED = 10
"""Where most units agree exactly, this many must differ from them for t to be trusted."""
_SAME = 1e-9


class Interval(NamedTuple):
    """An estimate and the ends of its interval."""

    estimate: float
    low: float
    high: float


def mean_interval(
    values: npt.ArrayLike, level: float = 0.95, within: tuple[float, float] | None = None
) -> Interval | None:
    """Student's interval of a mean; None for fewer than three values, or where all are equal: then none is known.

    Args:
        values: one number a unit, none missing. Shape (n,).
        level: coverage in (0, 1).
        within: what the mean is known to lie in; the interval is cut there.

    Raises:
        DataError: a value is not finite, or the level is out of range.
    """
    found = _interval(mean_ends, values, level)
    if found is None or found.low == found.high:
        return None
    if within is None:
        return found
    return Interval(found.estimate, max(found.low, within[0]), min(found.high, within[1]))


def share_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval | None:
    """Interval of the mean of shares, numbers in 0..1: t with one unit at 0 and one at 1 added.

    Args:
        values: one share a unit (0 or 1 among them), none missing. Shape (n,).
        level: coverage in (0, 1).

    Returns:
        The interval, within 0..1; None for fewer than three values.

    Raises:
        DataError: a value is not within 0..1, or the level is out of range.
    """
    values_n = np.asarray(values, dtype=np.float64)
    if (values_n < 0.0).any() or (values_n > 1.0).any():
        raise DataError("The interval of a share needs values within 0 and 1.")
    return _interval(share_ends, values_n, level)


def change_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval | None:
    """Interval of the mean of paired changes between shares, numbers in -1..1.

    It is t; where most changes are the same (none, as a rule) and fewer than ten differ, one unit at -1 and one at 1
    are added.

    Args:
        values: one change a unit, none missing. Shape (n,).
        level: coverage in (0, 1).

    Returns:
        The interval, within -1..1; None for fewer than three values.

    Raises:
        DataError: a value is not finite, or the level is out of range.
    """
    return _interval(change_ends, values, level)


def proportion_interval(share: float, units: int, level: float = 0.95) -> Interval | None:
    """`share_interval` of units of which a share is 1 and the others are 0; None for fewer than three."""
    if units < MIN_UNITS:
        return None
    middle = (share * units + 1.0) / (units + 2)
    margin = student_quantile(level, units + 1) * math.sqrt(middle * (1.0 - middle) / (units + 1))
    return Interval(share, max(0.0, middle - margin), min(1.0, middle + margin))


def proportion_change_interval(
    before: float, after: float, units: int, level: float = 0.95, units_after: int | None = None
) -> Interval | None:
    """Interval of the difference of two shares, taken as independent; None for fewer than three units.

    Agresti and Caffo's (one right and one wrong unit added to each), with t in place of the normal quantile.

    Args:
        before: the first share.
        after: the second.
        units: how many units it is of.
        level: coverage in (0, 1).
        units_after: how many units the second is of, where these are not as many.
    """
    both = units, units if units_after is None else units_after
    if min(both) < MIN_UNITS:
        return None
    first, last = ((share * n + 1.0) / (n + 2) for share, n in zip((before, after), both, strict=True))
    errors = [share * (1.0 - share) / (n + 1) for share, n in zip((first, last), both, strict=True)]
    margin = student_quantile(level, 2 * (min(both) + 1)) * math.sqrt(sum(errors))
    return Interval(after - before, max(-1.0, last - first - margin), min(1.0, last - first + margin))


def two_sample_interval(first: npt.ArrayLike, last: npt.ArrayLike, level: float = 0.95) -> Interval | None:
    """Welch's interval of the mean of `last` minus that of `first`, independent samples of two values at least.

    None for fewer, and where neither scatters.
    """
    samples = [np.asarray(values, dtype=np.float64) for values in (first, last)]
    if min(sample.size for sample in samples) < 2:
        return None
    errors = [float(sample.var(ddof=1)) / sample.size for sample in samples]
    if sum(errors) == 0.0:
        return None
    parts = sum(error**2 / (sample.size - 1) for error, sample in zip(errors, samples, strict=True))
    freedom = max(1, math.floor(sum(errors) ** 2 / parts))  # rounded down: wider, if anything
    margin = student_quantile(level, freedom) * math.sqrt(sum(errors))
    difference = float(samples[1].mean() - samples[0].mean())
    return Interval(difference, difference - margin, difference + margin)


def mean_ends(values_Un: Array, level: float) -> tuple[Array, Array]:
    """Ends of `mean_interval` for many samples at once, n units in the last dimension."""
    n = values_Un.shape[-1]
    margin = student_quantile(level, n - 1) * values_Un.std(axis=-1, ddof=1) / math.sqrt(n)
    margin = np.where(_varied(values_Un) > 0, margin, 0.0)  # equal numbers have a spread of some 1e-17
    middle = values_Un.mean(axis=-1)
    return middle - margin, middle + margin


def share_ends(values_Un: Array, level: float) -> tuple[Array, Array]:
    """Ends of `share_interval`, likewise."""
    low, high = mean_ends(_with_ends(values_Un, 0.0, 1.0), level)
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def change_ends(values_Un: Array, level: float) -> tuple[Array, Array]:
    """Ends of `change_interval`, likewise."""
    varied = _varied(values_Un)
    sparse = (2 * varied < values_Un.shape[-1]) & (varied < MIN_VARIED)
    low, high = mean_ends(values_Un, level)
    wide_low, wide_high = mean_ends(_with_ends(values_Un, -1.0, 1.0), level)
    return np.maximum(np.where(sparse, wide_low, low), -1.0), np.minimum(np.where(sparse, wide_high, high), 1.0)


@lru_cache(maxsize=4096)
def student_quantile(level: float, freedom: int) -> float:
    """The t that a share `level` of Student's distribution with `freedom` degrees lies within, -t to t.

    Raises:
        DataError: the level is not in (0, 1), or there is no degree of freedom.
    """
    if not 0.0 < level < 1.0 or freedom < 1:
        raise DataError(f"An interval needs a level in (0, 1) and a degree of freedom; got {level} and {freedom}.")
    low, high = 0.0, math.pi / 2  # t = sqrt(freedom) * tan(angle)
    while high - low > 1e-14:
        angle = (low + high) / 2
        low, high = (angle, high) if _student_within(angle, freedom) < level else (low, angle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def student_within(t: float, freedom: int) -> float:
    """The share of Student's distribution with `freedom` degrees that lies within -t to t."""
    return min(1.0, max(0.0, _student_within(math.atan(t / math.sqrt(freedom)), freedom)))


def _student_within(angle: float, freedom: int) -> float:
    """Share of Student's distribution within -t..t, by its finite sum (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    if freedom == 1:
        return 2.0 * angle / math.pi
    odd = freedom % 2
    steps = np.arange(2 + odd, freedom - 1, 2)
    ratios = (steps - 1) / steps * math.cos(angle) ** 2
    total = 1.0 + float(np.cumprod(ratios).sum())
    if odd:
        return 2.0 / math.pi * (angle + math.sin(angle) * math.cos(angle) * total)
    return math.sin(angle) * total


def _interval(
    ends: Callable[[Array, float], tuple[Array, Array]], values: npt.ArrayLike, level: float
) -> Interval | None:
    values_n = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values_n).all():
        raise DataError("An interval needs finite values; leave missing ones out first, and say how many.")
    if values_n.size < MIN_UNITS:
        return None
    low, high = ends(values_n, level)
    return Interval(float(values_n.mean()), float(low), float(high))


def _varied(values_Un: Array) -> npt.NDArray[np.int64]:
    """How many units differ from the commonest value, where more than half share it: it is the median then."""
    return (np.abs(values_Un - np.median(values_Un, axis=-1, keepdims=True)) > _SAME).sum(axis=-1)


def _with_ends(values_Un: Array, low: float, high: float) -> Array:
    made_up = np.broadcast_to([low, high], (*values_Un.shape[:-1], 2))
    return np.concatenate([values_Un, made_up], axis=-1)
