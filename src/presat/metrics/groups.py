"""What to expect of groups drawn from samples that are there: dead ones, covered problems, noise that is survived.

A problem of which c of n samples are right stands for the policy: a group of G responses is G of them, drawn without
putting back. Shapes: P problems.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from presat.errors import DataError
from presat.metrics.accuracy import Scores, mean_pass_at_k


class Dead(NamedTuple):
    """The chances that all responses of a group are right, and that all are wrong: neither has an advantage."""

    all_right: float
    all_wrong: float

    @property
    def either(self) -> float:
        """The chance that the group teaches nothing."""
        return self.all_right + self.all_wrong


def dead_group(samples: int, right: int, group_size: int) -> Dead | None:
    """The chances that a group of a problem is dead (GRPO's advantage is 0 where all rewards are equal).

    Args:
        samples: how many of the problem's responses were judged.
        right: how many of them are right.
        group_size: G, responses of a group.

    Returns:
        C(c, G) / C(n, G) and C(n - c, G) / C(n, G), without bias for G <= n; None for larger groups.

    Raises:
        DataError: `right` outside 0..samples, or a group of less than one.
    """
    if not 0 <= right <= samples or group_size < 1:
        raise DataError(f"A group of {group_size} from {samples} samples with {right} right ones is not possible.")
    if group_size > samples:
        return None
    groups = math.comb(samples, group_size)
    return Dead(math.comb(right, group_size) / groups, math.comb(samples - right, group_size) / groups)


def cover_at_tau(scores_PG: Scores, tau: float) -> float | None:
    """Cover@tau: the share of problems solved in at least a share tau of their samples (arXiv:2510.08325).

    Args:
        scores_PG: 1 right, 0 wrong, None missing; missing samples are left out.
        tau: in (0, 1].

    Returns:
        The share over the problems with a judged sample; None without one.

    Raises:
        DataError: tau is out of range.
    """
    if not 0.0 < tau <= 1.0:
        raise DataError(f"Cover@tau needs tau above 0 and up to 1, got {tau}.")
    shares = [_share(row) for row in scores_PG]
    known = [share for share in shares if share is not None]
    return sum(share >= tau - 1e-12 for share in known) / len(known) if known else None


def cot_pass_at_k(scores_PG: Scores, aligned_PG: Sequence[Sequence[bool | None]], k: int) -> float | None:
    """CoT-pass@k: pass@k where only a right answer with sound reasoning counts as right (arXiv:2506.14245).

    Args:
        scores_PG: 1 right, 0 wrong, None missing.
        aligned_PG: whether a judge found the reasoning sound; None where it abstains. A wrong response is wrong
            whatever its reasoning; a right one without a judgement is left out, which takes the sound ones among those
            away and no wrong one: where a judge abstains the result is a lower bound.
        k: draws.

    Raises:
        DataError: shapes differ, or a score is not 0, 1 or missing.
    """
    rows = []
    for scores, aligned in zip(scores_PG, aligned_PG, strict=True):
        if len(scores) != len(aligned):
            raise DataError(f"A problem has {len(scores)} scores but {len(aligned)} judgements.")
        both = zip(scores, aligned, strict=True)
        rows.append([None if score == 1.0 and sound is None else score and float(bool(sound)) for score, sound in both])
    return mean_pass_at_k(rows, k)


def noise_limit(right_P: Sequence[float], wrong_P: Sequence[float]) -> float | None:
    """The share of wrong labels at which the expected update stops pushing to right answers.

    A label that a share p of a problem's responses agrees with separates the group by sqrt(p (1 - p)): the standard
    deviation of its reward, by which GRPO's advantage is divided and which the expected change of its log-odds is
    proportional to. Of S_right, the mean of this under the true labels, and S_wrong, that under the labels that noise
    puts in their place, gamma S_wrong overtakes (1 - gamma) S_right at the returned gamma. It takes every push as one
    of the same kind, so a wrong label, whose push other problems do not share, is counted in full: a lower bound.

    Args:
        right_P: share of right responses of each problem.
        wrong_P: share that the most frequent wrong answer has; 0 without a wrong answer, which cannot be a label.

    Returns:
        A share of 0 to 1; None where neither pushes.
    """
    pushes = [math.fsum(math.sqrt(p * (1.0 - p)) for p in shares) for shares in (right_P, wrong_P)]
    total = math.fsum(pushes)
    return pushes[0] / total if total > 0 else None


def _share(row: Sequence[float | None]) -> float | None:
    judged = [score for score in row if score is not None]
    return sum(judged) / len(judged) if judged else None
