"""Diversity of responses and agreement of judges (paper appendix F)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from presat.errors import DataError


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
    return min(1.0, (effective - 1.0) / (sizes_K.size - 1.0))  # rounding may leave a last bit above


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """The share of pairs of a positive and a negative in which the positive has the larger score, ties counting half.

    Args:
        scores: larger where a judge finds a response more likely positive.
        positive: which ones are.

    Returns:
        .5 by chance and 1 at best; None without a positive or without a negative.

    Raises:
        DataError: different lengths, or a score is not a number.
    """
    if len(scores) != len(positive):
        raise DataError(f"Every score needs its label: {len(scores)} scores and {len(positive)} labels.")
    scores_n, positive_n = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    if np.isnan(scores_n).any():
        raise DataError("The area under the ROC curve needs scores that are numbers.")
    if not positive_n.any() or positive_n.all():
        return None
    negatives_n = np.sort(scores_n[~positive_n])
    below = np.searchsorted(negatives_n, scores_n[positive_n], side="left")
    not_above = np.searchsorted(negatives_n, scores_n[positive_n], side="right")
    return float((below + not_above).mean() / 2 / negatives_n.size)


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
