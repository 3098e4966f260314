"""A share that is logged at every step, and has clearly fallen since the first: by how much, and from which step on.

The responses of step 1 are drawn before any update, so its value is what the model could do before training; a mean of
the first steps would hide what is lost within them. It is compared with the mean of the last steps. Where the problems
of a step are known the fall is clear when its interval (that of two shares of independent problems, one answer each,
which is wider than several answers a problem give) leaves out 0; else when it is `BARE` or more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presat.metrics.headline import is_share
from presat.metrics.intervals import Interval, proportion_change_interval
from presat.metrics.saturation import smooth

BARE = 0.2
"""A fall of a step's share that is clear where nothing is known of how many problems a step has."""
LEAST = 0.05
"""A smaller one is not, whatever its interval."""
LEAST_AFTER = 3
"""Steps that a drop of the reward must have lasted."""
LAST = 5
"""Steps that its end is the mean of, at most."""


class StepFall(NamedTuple):
    """A share that has fallen.

    Attributes:
        before: at the first logged step.
        after: mean of the last steps.
        first: the first logged step.
        step: the first step after the fall: where one level before and one after fit best.
        interval: of after - before; None where the problems of a step are not known.
    """

    before: float
    after: float
    first: int
    step: int
    interval: Interval | None


def find_step_fall(steps: npt.ArrayLike, values: npt.ArrayLike, problems: int | None = None) -> StepFall | None:
    """Return the fall of a share since its first step; None where it has not clearly fallen, or is no share.

    Args:
        steps: the S steps, increasing.
        values: the share at each, NaN where it is not known. Shape (S,).
        problems: how many problems a step has; None where it is not known.
    """
    values_S = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(values_S)
    steps_S, values_S = np.asarray(steps)[known], values_S[known]
    if values_S.size < 2 or not is_share(values_S):
        return None
    last = min(LAST, values_S.size // 2)
    before, after = float(values_S[0]), float(values_S[-last:].mean())
    interval = proportion_change_interval(before, after, problems, units_after=problems * last) if problems else None
    clear = before - after >= (BARE if interval is None else LEAST) and (interval is None or interval.high < 0.0)
    if not clear:
        return None
    return StepFall(before, after, int(steps_S[0]), int(steps_S[_break(values_S)]), interval)


class Drop(NamedTuple):
    """A reward that has clearly fallen from its best, and is there still.

    Attributes:
        start: mean of the first steps.
        before: at the step before the drop, or at the first where that was higher.
        after: mean of the last steps.
        first: the step of `before`.
        step: the first step after the drop.
    """

    start: float
    before: float
    after: float
    first: int
    step: int

    @property
    def below_start(self) -> bool:
        """Whether it has fallen clearly below where it began, too."""
        return self.start - self.after >= BARE


def find_drop(rewards_T: npt.ArrayLike) -> Drop | None:
    """Return how a reward that is a share fell from its best: by `BARE`, and by twice what its steps scatter since.

    Args:
        rewards_T: the reward of steps 1..T, NaN where it is not known.
    """
    rewards_T = np.asarray(rewards_T, dtype=np.float64)
    steps_S = np.flatnonzero(~np.isnan(rewards_T)) + 1
    values_S = rewards_T[steps_S - 1]
    if values_S.size <= LEAST_AFTER or not is_share(values_S):
        return None
    best = int(np.argmax(smooth(values_S, LAST)))
    begin = max(0, best - LAST + 1)
    if values_S.size - begin < 2:
        return None
    at = begin + _break(values_S[begin:])
    after = float(values_S[max(at, values_S.size - LAST) :].mean())
    fallen = float(values_S[max(begin, at - LAST) : at].mean()) - after
    if values_S.size - at < LEAST_AFTER or fallen < max(BARE, 2 * float(values_S[at:].std())):
        return None
    start = float(values_S[: min(LAST, at)].mean())
    first = at - 1 if values_S[at - 1] >= start else 0
    return Drop(start, float(values_S[first]), after, int(steps_S[first]), int(steps_S[at]))


def _break(values_S: npt.NDArray[np.float64]) -> int:
    """Where the second of two levels begins that leave the least squares, the first being the higher."""
    n = np.arange(1, values_S.size)
    sums = np.cumsum(values_S)
    first, second = sums[:-1] / n, (sums[-1] - sums[:-1]) / (values_S.size - n)
    explained = n * (values_S.size - n) * np.where(first > second, first - second, 0.0) ** 2
    return int(np.argmax(explained)) + 1
