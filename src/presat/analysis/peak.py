"""A held-out score that was at its best in between, which the comparison of the first and the last evaluation misses.

The best of several evaluations looks better than it is: of equal ones the luckiest is picked. So the fall from it is
judged by an interval at level 1 - 0.05 / m, m being the evaluations in between (Bonferroni): a run that has no peak is
said to have one in about 5% of cases at most, however often it was evaluated. The peak's own value is given as
measured and stays a little too high.

Without saved responses, as in most logs of other trainers, the interval follows from how far evaluations lie from the
middle of their neighbours, as the median has it, which a steady rise or fall adds nothing to. Where there are too few
for that, a fall counts that is `BARE_OF_FEW`; where they do not scatter at all, one that is `BARE`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, median
from typing import TYPE_CHECKING

from presat.analysis.estimates import LEVEL, MEANS, Change, avg_of, by_problem, direction, moved, paired_change
from presat.metrics import Interval, is_share

if TYPE_CHECKING:
    import polars as pl

BARE, BARE_OF_FEW = 0.1, 0.2
"""The smallest fall that is clear without responses, and where there are fewer than `LEAST` evaluations in between."""
LEAST = 4
SMOOTH = 0.005
"""Evaluations that scatter by less lie on a smooth curve, of which the scatter says nothing."""
_OF_NORMAL = NormalDist().inv_cdf(0.75)
"""The median distance of a normal number from its mean."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The best evaluation of a run, where it is clearly above the last one.

    Attributes:
        step: where it was.
        change: from there to the last evaluation; its interval allows for the choice among several.
        among: m, the evaluations between the first and the last.
        rose: whether it is clearly above the first evaluation too.
    """

    step: int
    change: Change
    among: int
    rose: bool = False

    def sentence(self, metric: str) -> str:
        """Where the best was, how far it fell since, and what to do."""
        change = self.change
        widened = f", widened for the choice of the best of {self.among}" if self.among > 1 and change.interval else ""
        return (
            f"Held-out {metric} was best at step {self.step} ({change.before:.2f}) and has fallen to "
            f"{change.after:.2f} since ({moved(change)}{widened}): take that checkpoint."
        )


def find_peak(
    metric: str, steps: Sequence[int], scores: Sequence[float], responses: Callable[[int], pl.DataFrame | None]
) -> Peak | None:
    """Return the peak of one score of one set; None where the first or last evaluation is the best, or none is clearly.

    Args:
        metric: the score; only means over a problem's samples have a paired interval.
        steps: its E evaluation steps.
        scores: its values there, shape (E,).
        responses: the saved responses of the evaluation at a step, None where there are none.
    """
    best = max(range(len(scores)), key=lambda i: scores[i])  # the first of equals
    among = len(scores) - 2
    if best in (0, len(scores) - 1) or not is_share(scores):
        return None
    level = 1 - (1 - LEVEL) / among
    paired = metric.partition("@")[0] in MEANS

    def clear_change(start: int, end: int) -> Change | None:
        before, after = (responses(steps[place]) if paired else None for place in (start, end))
        if before is not None and after is not None:
            rows = by_problem(before), by_problem(after)
            change = paired_change(scores[start], scores[end], *rows, avg_of, level=level)
            return change if change.interval is not None and direction(change) else None
        change = _by_scatter(scores, start, end, level)
        return change if change.direction(BARE_OF_FEW if among < LEAST else BARE) else None

    fall = clear_change(best, len(scores) - 1)
    if fall is None:
        return None
    return Peak(steps[best], fall, among, rose=clear_change(0, best) is not None)


def _by_scatter(scores: Sequence[float], start: int, end: int, level: float) -> Change:
    """The change between two evaluations, with an interval by how all of them scatter, where they do."""
    change = Change(scores[start], scores[end])
    if len(scores) - 2 < LEAST:
        return change
    bends = [abs(a - 2 * b + c) for a, b, c in zip(scores, scores[1:], scores[2:], strict=False)]
    deviation = median(bends) / _OF_NORMAL / math.sqrt(6)  # of one evaluation: a bend has six times its variance
    spread = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(2) * deviation
    if spread < SMOOTH:
        return change
    at = change.difference
    return replace(change, interval=Interval(at, at - spread, at + spread))
