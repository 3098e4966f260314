"""When a run saturates: t_sat, and the same question asked while the run is still going.

Paper section 4.1. rbar_t is the mean train reward of step t and rmax its maximum over all T steps; t_sat is the first
step t in 1..T-tail with rbar_t >= threshold * rmax (threshold 0.99, tail 50). Steps are 1-based everywhere; index 0 of
`rewards_T` is step 1.

The paper is silent on four things, which are explicit choices here:

- **Smoothing.** The paper does not smooth, neither does `saturation_step`. Pass `smooth(rewards_T, window)` to smooth.
- **Short runs.** A tail of 50 leaves nothing of a short run: `default_tail(T)` is 50, or 10% of T where that is less.
- **Missing steps.** A NaN is a step whose reward was not recorded. It is never t_sat and takes no part in rmax.
- **Rewards without a positive maximum.** The paper's rewards are 0 or 1, and `threshold * rmax` is a share of the way
  from 0 to rmax. Where rmax is 0 every such step would qualify, and where it is negative (negative entropy) no step
  could, not even the best. There is no saturation step then, and the reason says so. Shifting the reward to make it
  positive would make t_sat depend on the shift: the zero of such a reward means nothing to begin with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from presat.errors import DataError

FloatArray = npt.NDArray[np.float64]
Smoothing = Literal["trailing", "centered"]

THRESHOLD = 0.99
PAPER_TAIL = 50
PAPER_STEPS = 496
RAPID_SHARE = 100 / PAPER_STEPS
"""The paper calls t_sat < 100 of 496 rapid; for other lengths the same share of the run."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """Where a reward curve saturates, and how that was decided.

    Attributes:
        step: t_sat, 1-based, or None.
        max_reward: rmax, the maximum over all recorded steps; None when no step was recorded.
        threshold: share of `max_reward` that counts as saturated.
        tail: steps at the end that are not searched.
        steps: T, the length of the run.
        reason: why `step` is None, as a sentence; empty otherwise.
    """

    step: int | None
    max_reward: float | None
    threshold: float
    tail: int
    steps: int
    reason: str = ""

    @property
    def rapid(self) -> bool | None:
        """Whether t_sat is under 100/496 of the run (paper, table 1); None without a t_sat."""
        return None if self.step is None else self.step < RAPID_SHARE * self.steps


def default_tail(steps: int) -> int:
    """Tail for a run of `steps` steps: the paper's 50, or 10% of the run (rounded up) where that is less."""
    if steps < 0:
        raise DataError(f"A run cannot have {steps} steps.")
    return min(PAPER_TAIL, math.ceil(steps / 10))


def smooth(rewards_T: npt.ArrayLike, window: int, kind: Smoothing = "trailing") -> FloatArray:
    """Moving average of the recorded steps in a window; same length, NaN where the window holds none.

    Args:
        rewards_T: reward per step, NaN where not recorded.
        window: steps in the window; 1 returns the curve as it is.
        kind: `trailing` averages a step with those before it (what a live run can know), `centered` looks both ways
            (odd windows only). Windows are cut at the ends of the run.

    Raises:
        DataError: `window` is not positive, or even and centered, or the rewards are not a finite curve.
    """
    curve_T = reward_curve(rewards_T)
    if window < 1:
        raise DataError(f"A smoothing window needs at least 1 step, got {window}.")
    if kind == "centered" and window % 2 == 0:
        raise DataError(f"A centered window needs an odd number of steps, got {window}.")
    before, after = (window - 1, 0) if kind == "trailing" else (window // 2, window // 2)
    smoothed_T = np.empty_like(curve_T)
    for t in range(curve_T.size):
        smoothed_T[t] = window_mean(curve_T[max(0, t - before) : t + after + 1])
    return smoothed_T


def window_mean(rewards_W: FloatArray) -> float:
    """Mean of the recorded steps of one window; NaN where there is none."""
    seen = rewards_W[~np.isnan(rewards_W)]
    return float(seen.mean()) if seen.size else math.nan


def find_saturation(
    rewards_T: npt.ArrayLike, threshold: float = THRESHOLD, tail: int | None = PAPER_TAIL
) -> Saturation:
    """Find t_sat and say how (section 4.1).

    Args:
        rewards_T: mean train reward of steps 1..T; NaN where not recorded.
        threshold: share of the maximum in (0, 1].
        tail: last steps that are not searched; None takes `default_tail(T)`.

    Raises:
        DataError: the rewards are not a one-dimensional curve or hold an infinity; `threshold` or `tail` out of range.
    """
    curve_T = reward_curve(rewards_T)
    steps = curve_T.size
    if not 0.0 < threshold <= 1.0:
        raise DataError(f"The saturation threshold must be above 0 and at most 1, got {threshold}.")
    tail = default_tail(steps) if tail is None else tail
    if tail < 0:
        raise DataError(f"The tail must not be negative, got {tail}.")

    recorded = curve_T[~np.isnan(curve_T)]
    top = float(recorded.max()) if recorded.size else None

    def missing(reason: str) -> Saturation:
        return Saturation(None, top, threshold, tail, steps, reason)

    if top is None:
        return missing("no step has a recorded reward")
    if top <= 0.0:
        return missing(f"the highest reward is {top:.3g}; a share of the highest means nothing unless it is positive")
    if tail >= steps:
        return missing(f"a tail of {tail} leaves nothing of a run of {steps} steps")
    reached = np.flatnonzero(curve_T[: steps - tail] >= threshold * top)  # a NaN compares false
    if not reached.size:
        return missing(f"{threshold:g} of the highest reward ({top:g}) is not reached before the last {tail} steps")
    return Saturation(int(reached[0]) + 1, top, threshold, tail, steps)


def saturation_step(
    rewards_T: npt.ArrayLike, threshold: float = THRESHOLD, tail: int | None = PAPER_TAIL
) -> int | None:
    """t_sat, 1-based; None when there is none before the tail. `find_saturation` also says why."""
    return find_saturation(rewards_T, threshold, tail).step


def reward_curve(rewards_T: npt.ArrayLike) -> FloatArray:
    """Check that `rewards_T` is one number a step, NaN allowed, and return it as an array of floats."""
    curve_T = np.asarray(rewards_T, dtype=np.float64)
    if curve_T.ndim != 1:
        raise DataError(f"A reward curve has one number a step; this one has shape {curve_T.shape}.")
    if np.isinf(curve_T).any():
        step = int(np.flatnonzero(np.isinf(curve_T))[0]) + 1
        raise DataError(f"The reward of step {step} is infinite. Mark steps without a reward as NaN.")
    return curve_T
