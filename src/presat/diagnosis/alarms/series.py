"""A run's curves as checks read them: by one name whoever logged them, without gaps, and what is asked of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from presat.diagnosis.alarms.thresholds import (
    ERRORS,
    LEAST_STEPS,
    LEAST_WINDOW,
    MOST_WINDOW,
    WINDOW_SHARE,
)
from presat.metrics import GOLD_ACCURACY, is_share
from presat.metrics.ranks import spearman
from presat.tracking import Run
from presat.tracking.follow import planned_steps

if TYPE_CHECKING:
    import polars as pl

FloatArray = npt.NDArray[np.float64]
NAMES: Mapping[str, tuple[str, ...]] = {
    "reward": ("reward",),
    "gold": (GOLD_ACCURACY,),
    "labels": ("labels/label_accuracy",),
    "dead": ("frac_reward_zero_std", "zero_variance_group_frac", "adv_zero_frac"),
    "reward_std": ("reward_std", "critic/score/std", "critic/rewards/std"),
    "advantage_std": ("adv_std", "critic/advantages/std"),
    "truncated": ("completions/clipped_ratio", "truncation_rate", "max_len_hit_frac", "is_truncated/all/mean"),
    "entropy": ("entropy", "policy/entropy", "entropy_mean"),
    "kl": ("kl", "actor/ppo_kl", "kl_mean", "objective/kl"),
    "gradient": ("grad_norm",),
    "loss": ("loss", "policy_loss"),
    "rate": ("learning_rate", "lr"),
    "ratio": ("ratio_mean", "importance_ratio", "actor/ratio_mean"),
    "clipped": ("clip_ratio/region_mean", "actor/pg_clipfrac", "clip_fraction", "clip_ratio"),
    "length": ("completions/mean_length", "completion_len_mean", "response_length"),
    "repetition": ("repetition_rate", "completions/repetition"),
    "step_time": ("step_time", "timing_s/step", "perf/time_per_step", "step_time_s"),
    "explained": ("value_explained_variance", "critic/vf_explained_var"),
    "bad_numbers": ("nan_count", "inf_count"),
}
"""Ours, and what trainers log them under (TRL 1.16, verl 0.9, own scripts); the first that a run has counts."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric where it is known. Shapes (S,)."""

    steps: npt.NDArray[np.int64]
    values: FloatArray

    @property
    def size(self) -> int:
        """S."""
        return self.values.size

    @property
    def window(self) -> int:
        """How many of its points are compared."""
        return min(MOST_WINDOW, max(LEAST_WINDOW, round(WINDOW_SHARE * self.size)))

    @property
    def first(self) -> float:
        """Mean of its first points."""
        return float(self.values[: self.window].mean())

    @property
    def last(self) -> float:
        """Mean of its last points."""
        return float(self.values[-self.window :].mean())

    @property
    def middle(self) -> float:
        """Median of its last points, which one odd step does not move."""
        return float(np.median(self.values[-self.window :]))

    def smooth(self) -> FloatArray:
        """Trailing means of `window` points; at the start of those there are."""
        sums = np.concatenate([[0.0], np.cumsum(self.values)])
        ends = np.arange(1, self.size + 1)
        starts = np.maximum(0, ends - self.window)
        return (sums[ends] - sums[starts]) / (ends - starts)

    def since(self, holds: npt.NDArray[np.bool_]) -> int | None:
        """The step from which on something holds to the end; None where it does not hold there."""
        if not holds.size or not holds[-1]:
            return None
        failing = np.flatnonzero(~holds)
        return int(self.steps[failing[-1] + 1 if failing.size else 0])

    def above_since(self, bound: float) -> int | None:
        """The step from which on it is at or above a bound for good: there, and on average of the points that follow.

        A mean of the points before would say it late by half of them. None where it is below at the end.
        """
        ahead = np.lib.stride_tricks.sliding_window_view(self.values, min(self.window, self.size))
        slack = bound - 1e-9 * max(1.0, abs(bound))  # means of equal numbers differ by less
        failing = np.flatnonzero(ahead.mean(axis=1) < slack)
        first = failing[-1] + 1 if failing.size else 0
        there = np.flatnonzero(self.values[first:] >= slack)
        return int(self.steps[first + there[0]]) if first < len(ahead) and there.size else None

    def below_since(self, bound: float) -> int | None:
        """The step from which on it is at or below a bound for good, likewise."""
        return Curve(self.steps, -self.values).above_since(-bound)

    def part(self, start: int) -> Curve:
        """Its points from `start` on, by place (negative: the last)."""
        return Curve(self.steps[start:], self.values[start:])

    def from_step(self, step: int) -> Curve:
        """Its points from a step on."""
        return self.part(int(np.searchsorted(self.steps, step)))

    def change(self) -> tuple[float, float]:
        """From the first third to the last third: the difference of the means and its standard error."""
        third = max(1, self.size // 3)
        first, last = self.values[:third], self.values[-third:]
        scatter = float(np.mean(np.diff(self.values) ** 2) / 2) if self.size > 1 else 0.0  # a trend adds little to it
        return float(last.mean() - first.mean()), float(np.sqrt(2 * scatter / third))

    def rose(self, by: float) -> bool:
        """Whether it has risen by at least that much, and clearly."""
        change, error = self.change()
        return change >= max(by, ERRORS * error)

    def fell(self, by: float) -> bool:
        """Whether it has fallen by at least that much, and clearly."""
        return Curve(self.steps, -self.values).rose(by)


class Curves:
    """A run, as checks ask about it.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def get(self, name: str, least: int = LEAST_STEPS) -> Curve | None:
        """A curve by its key in `NAMES`, or by what it was logged under; None where fewer than `least` points are."""
        for logged in NAMES.get(name, (name,)):
            points = sorted((s, v) for s, v in self.run.values.get(logged, {}).items() if s >= 1 and v == v)
            if points:
                steps, values = zip(*points, strict=True)
                found = Curve(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
                return found if found.size >= least else None
        return None

    @cached_property
    def steps(self) -> int:
        """The last step of training that was logged."""
        return max((step for series in self.run.values.values() for step in series), default=0)

    @cached_property
    def planned(self) -> int:
        """How many steps the run is to have, as far as it says."""
        return max(self.steps, planned_steps(self.run) or 0)

    @cached_property
    def reward_is_share(self) -> bool:
        """Whether the reward is a share of what can be earned."""
        return is_share(self.run.values.get("reward", {}).values())

    @cached_property
    def reward_is_truth(self) -> bool:
        """Whether the reward and the true accuracy are the same numbers, so that one cannot leave the other."""
        reward, gold = (self.run.values.get(name, {}) for name in ("reward", GOLD_ACCURACY))
        both = [(reward[step], gold[step]) for step in reward if gold.get(step, np.nan) == gold.get(step)]
        return bool(both) and bool(np.allclose(*zip(*both, strict=True), atol=1e-6, equal_nan=True))

    def setting(self, *names: str) -> float | None:
        """A number of the run's configuration by dotted name, the first that is there."""
        for name in names:
            value: Any = self.run.config
            for key in name.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        return None

    def last_responses(self, columns: Collection[str], steps: int = 3) -> pl.DataFrame | None:
        """Saved training responses of the last steps that have some; None where none are saved."""
        saved = self.run.rollout_steps("train")[-steps:]
        return self.run.rollouts("train", steps=saved, columns=columns) if saved else None


def rank_correlation(one: Curve, other: Curve) -> float:
    """Spearman's correlation of two curves over the steps that both have; 0 where one of them is constant."""
    _, at, to = np.intersect1d(one.steps, other.steps, return_indices=True)
    return spearman(one.values[at], other.values[to]) or 0.0


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Pearson's correlation; 0 where one of them is constant."""
    if one.size < 3 or one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
