"""Saturation of a run that is still going: for the live view and for stopping early.

The paper's definition (section 4.1) applied to the run so far: with `patience` as the tail, t_sat is the first step
whose smoothed reward is within `threshold` of the best so far, provided that `patience` steps have followed it. A
later, clearly better reward moves it again; while no reward is above 0 there is none, as in `find_saturation`, and no
stop. What is returned depends on the rewards and scores seen and on nothing else, so a resumed run that replays its log
decides exactly as an unbroken one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from presat.errors import DataError
from presat.metrics.saturation import THRESHOLD, find_saturation, smooth, window_mean


class OnlineSaturation:
    """Incremental t_sat and the question whether to stop.

    Args:
        threshold: share of the best smoothed reward that counts as saturated.
        window: steps of the trailing average the reward is judged on; 1 does not smooth.
        patience: steps that must follow t_sat, and the best held-out score, before the run counts as saturated.
        min_reward: never saturated while the best smoothed reward is below this.
    """

    def __init__(
        self, threshold: float = THRESHOLD, window: int = 1, patience: int = 50, min_reward: float = -math.inf
    ) -> None:
        if patience < 1:
            raise DataError(f"Patience must be at least 1 step, got {patience}.")
        smooth([], window)  # refuses a bad window now rather than at the first step
        find_saturation([], threshold)
        self.threshold, self.window, self.patience, self.min_reward = threshold, window, patience, min_reward
        self._rewards: list[float] = []
        self._means: list[float] = []  # smoothed rewards, of the first steps at least
        self._scores: dict[int, float] = {}
        self._otherwise: int | None = None

    def observe(self, step: int, reward: float) -> None:
        """Note the mean train reward of `step` (1-based). Steps left out count as not recorded; the last word wins."""
        if step < 1:
            raise DataError(f"Training steps count from 1, got {step}.")
        self._rewards.extend([math.nan] * (step - len(self._rewards)))
        self._rewards[step - 1] = float(reward)
        del self._means[step - 1 :]

    def observe_score(self, step: int, score: float | None) -> None:
        """Note the held-out score of an evaluation at `step` (0 = before training); None or NaN is ignored."""
        if score is not None and not math.isnan(score):
            self._scores[step] = float(score)

    def forget_scores(self) -> None:
        """Forget the scores noted so far: they were of another kind than those to come."""
        self._scores.clear()

    def note_otherwise(self, step: int | None) -> None:
        """Note the last step that was evaluated with other settings, if any: patience is counted from there at least.

        Such a score compares with none of those noted by `observe_score`.
        """
        self._otherwise = step

    @classmethod
    def replay(
        cls, rewards_T: npt.ArrayLike, scores: Iterable[tuple[int, float]] = (), **settings: float
    ) -> OnlineSaturation:
        """Rebuild the state of a run from its rewards and held-out `(step, score)` pairs, for a resumed run."""
        state = cls(**settings)  # type: ignore[arg-type]
        for step, reward in enumerate(np.asarray(rewards_T, dtype=np.float64), start=1):
            state.observe(step, float(reward))
        for step, score in scores:
            state.observe_score(int(step), float(score))
        return state

    @property
    def steps(self) -> int:
        """Steps seen so far."""
        return len(self._rewards)

    @property
    def smoothed_reward(self) -> float | None:
        """The newest smoothed reward."""
        value = self._smoothed()[-1] if self._rewards else math.nan
        return None if math.isnan(value) else value

    @property
    def candidate(self) -> int | None:
        """First step within `threshold` of the best smoothed reward so far: t_sat, should nothing better come."""
        found = find_saturation(self._smoothed(), self.threshold, tail=0)
        if found.step is None or found.max_reward is None or found.max_reward < self.min_reward:
            return None
        return found.step

    @property
    def t_sat(self) -> int | None:
        """`candidate` once `patience` steps have followed it, else None."""
        step = self.candidate
        return step if step is not None and self.steps - step >= self.patience else None

    @property
    def saturated(self) -> bool:
        """Whether the train reward has saturated."""
        return self.t_sat is not None

    @property
    def best_score_step(self) -> int | None:
        """Step of the best held-out score so far (the first of equals)."""
        return min(self._scores, key=lambda step: (-self._scores[step], step)) if self._scores else None

    def stop_reason(self) -> str | None:
        """Why the run may stop now, as a sentence; None when it should go on.

        The train reward and, where it was ever measured, the held-out score must both be flat for `patience` steps.
        """
        t_sat, best, otherwise = self.t_sat, self.best_score_step, self._otherwise
        known = [step for step in (best, otherwise) if step is not None]
        if t_sat is None or (known and self.steps - max(known) < self.patience):
            return None
        if best is None:
            held_out = "no held-out score was measured"
        elif len(self._scores) == 1:
            held_out = f"the held-out score was measured once, at step {best}"
        else:
            held_out = f"the held-out score was best at step {best}"
        if otherwise is not None:
            held_out += f", those up to step {otherwise} that were measured with other settings left out"
        return (
            f"The train reward saturated at step {t_sat} and has not risen clearly in the "
            f"{self.steps - t_sat} steps since; {held_out}."
        )

    def _smoothed(self) -> list[float]:
        """The trailing means of all steps; each is made once, so that a step costs no more late in a run."""
        for end in range(len(self._means) + 1, len(self._rewards) + 1):
            self._means.append(window_mean(np.array(self._rewards[max(0, end - self.window) : end])))
        return self._means
