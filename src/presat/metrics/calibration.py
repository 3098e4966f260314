"""Are probabilities what they say? Reliability, the expected calibration error, the Brier score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presat.errors import DataError
from presat.metrics.intervals import Interval, proportion_interval

BINS = 10
Array = npt.NDArray[np.float64]


class ReliabilityBin(NamedTuple):
    """What became of the cases whose probability lay in one bin.

    Attributes:
        low: lower end of the bin.
        high: its upper end; the last bin holds 1 too.
        cases: how many.
        said: their mean probability.
        happened: the share that came true, with its interval of 95%; None for fewer than three cases.
        share: the share that came true.
    """

    low: float
    high: float
    cases: int
    said: float
    share: float
    happened: Interval | None


def brier_score(probabilities: npt.ArrayLike, happened: npt.ArrayLike) -> float:
    """Mean squared distance of a probability from what happened: 0 at best, .25 for always saying .5.

    Args:
        probabilities: numbers in 0..1. Shape (n,).
        happened: whether each came true. Shape (n,).

    Raises:
        DataError: different lengths, none at all, or a probability that is none.
    """
    said_n, true_n = _checked(probabilities, happened)
    return float(((said_n - true_n) ** 2).mean())


def log_loss(probabilities: npt.ArrayLike, happened: npt.ArrayLike) -> float:
    """Mean surprise at what happened, in nats; infinite where something had probability 0 and happened.

    Args:
        probabilities: as `brier_score`.
        happened: likewise.

    Raises:
        DataError: as `brier_score`.
    """
    said_n, true_n = _checked(probabilities, happened)
    with np.errstate(divide="ignore"):
        return float(-np.log(np.where(true_n == 1.0, said_n, 1.0 - said_n)).mean())


def reliability_bins(probabilities: npt.ArrayLike, happened: npt.ArrayLike, bins: int = BINS) -> list[ReliabilityBin]:
    """The reliability curve: what happened, by what was said, in bins of equal width; empty ones are left out.

    Args:
        probabilities: as `brier_score`.
        happened: likewise.
        bins: how many bins 0..1 is cut into.

    Raises:
        DataError: as `brier_score`, or no bin.
    """
    said_n, true_n = _checked(probabilities, happened)
    if bins < 1:
        raise DataError(f"Reliability needs one bin or more; got {bins}.")
    place_n = np.minimum((said_n * bins).astype(np.int64), bins - 1)
    found = []
    for place in np.unique(place_n):
        inside_n = place_n == place
        count, share = int(inside_n.sum()), float(true_n[inside_n].mean())
        ends = (float(place) / bins, float(place + 1) / bins)
        said = float(said_n[inside_n].mean())
        found.append(ReliabilityBin(*ends, count, said, share, proportion_interval(share, count)))
    return found


def expected_calibration_error(probabilities: npt.ArrayLike, happened: npt.ArrayLike, bins: int = BINS) -> float:
    """Mean distance of what was said from what happened over the bins, each weighing what it holds.

    It depends on the bins, and few cases make it large by chance alone: read it beside the curve and its intervals.

    Args:
        probabilities: as `brier_score`.
        happened: likewise.
        bins: as `reliability_bins`.

    Raises:
        DataError: as `reliability_bins`.
    """
    found = reliability_bins(probabilities, happened, bins)
    total = sum(one.cases for one in found)
    return sum(one.cases * abs(one.said - one.share) for one in found) / total


def _checked(probabilities: npt.ArrayLike, happened: npt.ArrayLike) -> tuple[Array, Array]:
    said_n = np.asarray(probabilities, dtype=np.float64)
    true_n = np.asarray(happened, dtype=bool).astype(np.float64)
    if said_n.shape != true_n.shape or said_n.ndim != 1:
        raise DataError(f"Every probability needs what happened: {said_n.shape} and {true_n.shape}.")
    if not said_n.size:
        raise DataError("Calibration needs at least one probability.")
    if not ((said_n >= 0.0) & (said_n <= 1.0)).all():
        raise DataError("A probability lies within 0 and 1.")
    return said_n, true_n
