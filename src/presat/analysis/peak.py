"""A held-out score that was at its best in between, which the comparison of the first and the last evaluation misses.

The best of several evaluations looks better than it is: of equal ones the luckiest is picked. So the fall from it is
judged by an interval at level 1 - 0.05 / m, m being the evaluations in between (Bonferroni): a run that has no peak is
said to have one in about 5% of cases at most, however often it was evaluated. The peak's own value is given as
measured and stays a little too high. Without saved responses there is no interval, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.analysis.estimates import LEVEL, MEANS, Change, avg_of, by_problem, direction, paired_change

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Peak:
    """The best evaluation of a run, where it is clearly above the last one.

    Attributes:
        step: where it was.
        change: from there to the last evaluation; its interval allows for the choice among several.
        among: m, the evaluations between the first and the last.
    """

    step: int
    change: Change
    among: int


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
    if best in (0, len(scores) - 1) or metric.partition("@")[0] not in MEANS:
        return None
    before, after = responses(steps[best]), responses(steps[-1])
    if before is None or after is None:
        return None
    change = paired_change(
        scores[best],
        scores[-1],
        by_problem(before),
        by_problem(after),
        avg_of,
        level=1 - (1 - LEVEL) / among,
    )
    return Peak(steps[best], change, among) if change.interval is not None and direction(change) < 0 else None
