"""Diversity of responses, agreement of judges, and intervals (paper appendix F)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presat.errors import DataError


class Interval(NamedTuple):
    """An estimate and the ends of its interval."""

    estimate: float
    low: float
    high: float


def diversity_index(cluster_sizes: Sequence[int]) -> float:
    """Semantic diversity of one prompt's responses: (N_eff - 1) / (K - 1), 0 for a single cluster (appendix F).

    K is the number of clusters, p_i their shares, N_eff = exp(-sum p_i log p_i). 1 when all clusters are equally large.

    Raises:
        DataError: no cluster, or one that is empty: without responses there is no diversity to speak of.
    """
    sizes_K = np.asarray(cluster_sizes, dtype=np.float64)
    if sizes_K.ndim != 1 or not sizes_K.size or (sizes_K <= 0).any():
        raise DataError(f"Diversity needs the sizes of one or more clusters, none of them empty; got {cluster_sizes}.")
    if sizes_K.size == 1:
        return 0.0
    shares_K = sizes_K / sizes_K.sum()
    effective = float(np.exp(-(shares_K * np.log(shares_K)).sum()))
    return (effective - 1.0) / (sizes_K.size - 1.0)


def cohen_kappa(labels_a: Sequence[Hashable], labels_b: Sequence[Hashable]) -> float:
    """Cohen's kappa of two judges over the same responses: agreement beyond what their label shares give by chance.

    Raises:
        DataError: different lengths, no labels, or both judges gave one and the same label throughout (chance
            agreement is then 1 and kappa is 0/0).
    """
    if len(labels_a) != len(labels_b):
        raise DataError(f"Two judges must label the same responses: {len(labels_a)} and {len(labels_b)} labels.")
    if not labels_a:
        raise DataError("Agreement needs at least one labelled response.")
    n = len(labels_a)
    observed = sum(a == b for a, b in zip(labels_a, labels_b, strict=True)) / n
    share_a, share_b = (
        {label: count / n for label, count in Counter(labels).items()} for labels in (labels_a, labels_b)
    )
    if len(share_a) == 1 and share_a.keys() == share_b.keys():
        raise DataError("Both judges gave one and the same label throughout: kappa is not defined.")
    chance = sum(share * share_b.get(label, 0.0) for label, share in share_a.items())
    return (observed - chance) / (1.0 - chance)


def bootstrap_interval(values: npt.ArrayLike, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean: values are resampled with replacement, as problems or seeds are.

    Args:
        values: one number per problem (or seed), none missing. Shape (n,), n >= 2.
        level: coverage in (0, 1).
        resamples: bootstrap draws.
        seed: of the draws; the same values and seed give the same interval.

    Raises:
        DataError: fewer than two values, a value that is not finite, or an argument out of range.
    """
    values_n = np.asarray(values, dtype=np.float64)
    if values_n.ndim != 1 or values_n.size < 2:
        raise DataError("An interval needs at least two values.")
    if not np.isfinite(values_n).all():
        raise DataError("An interval needs finite values; leave missing ones out first, and say how many.")
    if not 0.0 < level < 1.0 or resamples < 1:
        raise DataError(f"An interval needs a level in (0, 1) and at least one resample; got {level} and {resamples}.")
    rng = np.random.default_rng(seed)
    n = values_n.size
    chunk = max(1, 2_000_000 // n)  # bounds the memory of the index array
    means = np.concatenate(
        [
            values_n[rng.integers(0, n, size=(min(chunk, resamples - start), n))].mean(axis=1)
            for start in range(0, resamples, chunk)
        ]
    )
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(values_n.mean()), float(low), float(high))
