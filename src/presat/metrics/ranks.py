"""Rank correlations: does the order of one quantity tell that of another?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from presat.errors import DataError

Array = npt.NDArray[np.float64]


def spearman(first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation, ties sharing their mean rank.

    Args:
        first: numbers, none missing. Shape (n,).
        second: likewise, of the same units.

    Returns:
        -1..1; None for fewer than three units, or where one of the two is the same throughout.

    Raises:
        DataError: different lengths, or a number that is none.
    """
    return partial_spearman(first, second, ())


def partial_spearman(first: npt.ArrayLike, second: npt.ArrayLike, given: Sequence[npt.ArrayLike]) -> float | None:
    """Spearman's correlation of what the ranks of other quantities leave of the ranks of two.

    Args:
        first: as `spearman`.
        second: likewise.
        given: the quantities held fixed, linearly in their ranks. Shape (n,) each.

    Returns:
        -1..1; None for fewer than three units beyond the quantities held fixed, or where nothing is left of one of the
        two.

    Raises:
        DataError: as `spearman`.
    """
    columns = [np.asarray(values, dtype=np.float64) for values in (first, second, *given)]
    n = columns[0].size
    if any(column.shape != (n,) for column in columns):
        raise DataError(f"Ranks are compared unit by unit; got {[column.shape for column in columns]}.")
    if not all(np.isfinite(column).all() for column in columns):
        raise DataError("Ranks need numbers that are finite; leave missing ones out first, and say how many.")
    if n < 3 + len(given):
        return None
    ranks = [_ranks(column) for column in columns]
    fixed_nF = np.column_stack([np.ones(n), *ranks[2:]])
    left = [rank - fixed_nF @ np.linalg.lstsq(fixed_nF, rank, rcond=None)[0] for rank in ranks[:2]]
    lengths = [float(np.linalg.norm(rest)) for rest in left]
    if min(lengths) < 1e-9 * n:
        return None
    return float(np.clip(left[0] @ left[1] / (lengths[0] * lengths[1]), -1.0, 1.0))


def _ranks(values_n: Array) -> Array:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, place, counts = np.unique(values_n, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[place]
