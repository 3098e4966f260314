"""Accuracy from several samples a problem: avg@k, pass@k, maj@k, greedy (paper section 4.1).

Scores come as `scores_PG`, one row of samples a problem: 1 right, 0 wrong, None or NaN missing (the verifier could not
decide). Missing samples are left out, never counted as wrong, and a problem then has as many samples as were judged. A
problem with too few of them for a metric is left out of it: of pass@k with fewer than k, of a mean with none. A metric
is None where no problem is left, never a guess. Rows may differ in length.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, TypeVar

from presat.errors import DataError

Scores = Sequence[Sequence[float | None]]
Ties = Literal["expected", "first"]
T = TypeVar("T")


def pass_at_k(samples: int, correct: int, k: int) -> float | None:
    """Unbiased pass@k of one problem: the chance that k of its samples, drawn without putting back, hold a right one.

    1 - C(n - c, k) / C(n, k), computed as a product so that no binomial overflows. None when k > samples: with fewer
    samples than k it is not defined.

    Raises:
        DataError: `correct` outside 0..samples, or k < 1.
    """
    if k < 1:
        raise DataError(f"pass@k needs k of at least 1, got {k}.")
    if not 0 <= correct <= samples:
        raise DataError(f"{correct} right answers among {samples} samples is not possible.")
    if k > samples:
        return None
    if samples - correct < k:  # every draw of k holds a right one
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(samples - correct + 1, samples + 1))


def mean_pass_at_k(scores_PG: Scores, k: int) -> float | None:
    """Mean of the unbiased pass@k over the problems with k judged samples or more; None when there is none.

    `too_few_judged` counts the others.

    Raises:
        DataError: a score is not 0, 1 or missing.
    """
    values = []
    for row in scores_PG:
        judged = _judged(row)
        if any(score not in (0.0, 1.0) for score in judged):
            raise DataError("pass@k is defined for scores of 0 and 1 only.")
        if len(judged) >= k:
            values.append(pass_at_k(len(judged), int(sum(judged)), k))
    return _mean(values)


def too_few_judged(scores_PG: Scores, k: int) -> int:
    """How many problems have fewer than k judged samples, so that pass@k leaves them out."""
    return sum(len(_judged(row)) < k for row in scores_PG)


def avg_at_k(scores_PG: Scores, k: int | None = None) -> float | None:
    """Mean over problems of the mean score of the first k samples (all of them when None).

    Problems with no judged sample are left out; None when no problem is left.

    Raises:
        DataError: a problem has fewer than k samples.
    """
    rows = [_judged(_first(row, k)) for row in scores_PG]
    return _mean([sum(row) / len(row) for row in rows if row])


def greedy(scores_P: Sequence[float | None]) -> float | None:
    """Accuracy of one greedy response a problem, missing ones left out; None when none is left."""
    judged = _judged(scores_P)
    return _mean(judged)


def maj_at_k(
    answers_PG: Sequence[Sequence[Hashable]], scores_PG: Scores, k: int | None = None, ties: Ties = "expected"
) -> float | None:
    """Accuracy of the most frequent answer among the first k samples of each problem, averaged over the problems.

    Args:
        answers_PG: what each sample says; None has no vote. Equal values are one answer: pass classes of equivalent
            answers (`presat.verify.equivalence`) where `1/2` and `0.5` should be one.
        scores_PG: score of each sample; an answer's score is the mean over its judged samples.
        k: samples that vote; all when None.
        ties: `expected` averages the tied answers' scores (what a fair draw earns on average; the default),
            `first` takes the one seen first, as the majority-vote reward does.

    Returns:
        The mean over the problems; a problem where nothing was extracted counts 0 (a vote without votes is not right)
        unless none of its samples was judged. Such a one, and one whose winner could not be judged, is left out; None
        when no problem is left.

    Raises:
        DataError: shapes differ, a problem has fewer than k samples, or `ties` is unknown.
    """
    if ties not in ("expected", "first"):
        raise DataError(f"Unknown tie rule '{ties}'. Known: expected, first.")
    if len(answers_PG) != len(scores_PG):
        raise DataError(f"There are answers for {len(answers_PG)} problems but scores for {len(scores_PG)}.")
    values = []
    for answers, scores in zip(answers_PG, scores_PG, strict=True):
        if len(answers) != len(scores):
            raise DataError(f"A problem has {len(answers)} answers but {len(scores)} scores.")
        values.append(_majority_score(_first(answers, k), _first(scores, k), ties))
    return _mean([value for value in values if value is not None])


def _majority_score(answers: Sequence[Hashable], scores: Sequence[float | None], ties: Ties) -> float | None:
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0 if _judged(scores) else None
    most = max(votes.values())
    winners = [answer for answer, count in votes.items() if count == most]  # in order of first appearance
    if ties == "first":
        winners = winners[:1]
    values = [
        _mean(_judged(score for given, score in zip(answers, scores, strict=True) if given == answer))
        for answer in winners
    ]
    return _mean(values)


def _judged(scores: Iterable[float | None]) -> list[float]:
    return [float(score) for score in scores if score is not None and not math.isnan(score)]


def _first(row: Sequence[T], k: int | None) -> Sequence[T]:
    if k is None:
        return row
    if k < 1 or k > len(row):
        raise DataError(f"A problem has {len(row)} samples; the first {k} cannot be taken.")
    return row[:k]


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean; None when there is nothing to average or a part is missing."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
