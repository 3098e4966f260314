"""What a run gained before and after saturation, and what more data would have gained (paper section 4.1).

With M(t) a held-out metric at step t: pre-saturation gain D_sat = M(t_sat) - M(0); post-saturation residual
D_post = max over t in [t_sat, T] of M(t), minus M(t_sat); large-small gap of runs on n' > n prompts
G(n', n) = M_n'(t_sat of n) - M_n(t_sat of n).

M is known at the evaluations only, and the paper does not say how it is read at a t_sat between two of them. Two named
choices decide:

- `reading`, the value M(t): `interpolate` (a straight line between the two neighbours, the default), `previous` (the
  last evaluation at or before t) or `nearest` (ties go to the earlier). None of them extrapolates, except that
  `previous` and `nearest` hold the last evaluation until the end of the run.
- `grid`, where the maximum of D_post is taken: `curve` (the default: evaluations from t_sat on, and M(t_sat) itself, so
  D_post >= 0) or `evaluations` (evaluations from t_sat on and nothing else). The negative D_post of the paper's table 1
  can only come from `evaluations`: M(t_sat) is then read partly or wholly from an evaluation before t_sat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from presat.errors import DataError, nearest
from presat.metrics.headline import headline_metric
from presat.metrics.saturation import PAPER_TAIL, THRESHOLD, FloatArray, find_saturation, reward_curve

IntArray = npt.NDArray[np.int64]
Reading = Literal["interpolate", "previous", "nearest"]
Grid = Literal["curve", "evaluations"]

READINGS: tuple[Reading, ...] = ("interpolate", "previous", "nearest")
GRIDS: tuple[Grid, ...] = ("curve", "evaluations")


@dataclass(frozen=True, slots=True)
class SaturationGains:
    """The two gains of one run on one held-out metric. What cannot be computed is None, and `reason` says why.

    Unpacks into its two numbers: `d_sat, d_post = saturation_gains(...)`.

    Attributes:
        t_sat: saturation step, 1-based.
        pre_saturation_gain: D_sat.
        post_saturation_residual: D_post.
        start_score: M(0), the evaluation before training.
        saturation_score: M(t_sat), by `reading`.
        best_score_after: the maximum that D_post is taken from.
        tail: steps at the end that t_sat was not searched in.
        reading: how M(t_sat) was read.
        grid: where the maximum was taken.
        reason: why something above is None; empty when nothing is.
    """

    t_sat: int | None
    pre_saturation_gain: float | None
    post_saturation_residual: float | None
    start_score: float | None
    saturation_score: float | None
    best_score_after: float | None
    tail: int
    reading: Reading
    grid: Grid
    reason: str = ""

    def __iter__(self) -> Iterator[float | None]:
        return iter((self.pre_saturation_gain, self.post_saturation_residual))


@dataclass(frozen=True)
class RunCurves:
    """The curves of one run that the metrics read.

    Attributes:
        rewards_T: mean train reward of steps 1..T, NaN where not recorded.
        eval_steps: steps with an evaluation, strictly increasing, 0 = before training. Shape (E,).
        eval_scores: held-out metrics by name, each of shape (E,), NaN where not measured at that step.
    """

    rewards_T: FloatArray
    eval_steps: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    eval_scores: Mapping[str, FloatArray] = field(default_factory=dict)

    def score(self, name: str) -> tuple[IntArray, FloatArray]:
        """Steps and values of one held-out metric, unmeasured steps left out."""
        if name not in self.eval_scores:
            raise DataError(f"This run has no held-out metric '{name}'.{nearest(name, self.eval_scores)}")
        return _measured(self.eval_steps, self.eval_scores[name])

    def gains(
        self,
        name: str,
        *,
        threshold: float = THRESHOLD,
        tail: int | None = None,
        reading: Reading = "interpolate",
        grid: Grid = "curve",
    ) -> SaturationGains:
        """`saturation_gains` of one held-out metric; the tail is `default_tail(T)` unless given."""
        steps, scores = self.score(name)
        return saturation_gains(
            self.rewards_T, steps, scores, threshold=threshold, tail=tail, reading=reading, grid=grid
        )


class HasCurves(Protocol):
    """A run that gives its curves, as the ones `presat.open_run` returns do."""

    def curves(self) -> RunCurves:
        """The curves."""
        ...


def read_score(eval_steps: npt.ArrayLike, eval_scores: npt.ArrayLike, step: int, reading: Reading) -> float | None:
    """M(step) read from evaluations at other steps; None where `reading` does not reach.

    Raises:
        DataError: unknown reading, or malformed evaluations.
    """
    _check_choice("reading", reading, READINGS)
    steps, scores = _measured(eval_steps, eval_scores)
    if not steps.size or step < steps[0]:
        return None
    if reading == "nearest":
        return float(scores[np.argmin(np.abs(steps - step))])  # the first of two minima: the earlier evaluation
    before = int(np.searchsorted(steps, step, side="right")) - 1
    if reading == "previous" or steps[before] == step:
        return float(scores[before])
    if step > steps[-1]:
        return None
    return float(np.interp(step, steps, scores))


def saturation_gains(
    rewards_T: npt.ArrayLike,
    eval_steps: npt.ArrayLike,
    eval_scores: npt.ArrayLike,
    *,
    threshold: float = THRESHOLD,
    tail: int | None = PAPER_TAIL,
    reading: Reading = "interpolate",
    grid: Grid = "curve",
) -> SaturationGains:
    """D_sat and D_post of one run on one held-out metric (section 4.1).

    Args:
        rewards_T: mean train reward of steps 1..T; smooth it first if t_sat should be read from a smoothed curve.
        eval_steps: steps with an evaluation, strictly increasing. Shape (E,).
        eval_scores: the held-out metric there, NaN where not measured. Shape (E,).
        threshold: as in `saturation_step`.
        tail: as in `saturation_step`; None takes `default_tail(T)`.
        reading: how M is read between evaluations (module docstring).
        grid: where the maximum is taken (module docstring).

    Raises:
        DataError: malformed curves or an unknown choice.
    """
    _check_choice("reading", reading, READINGS)
    _check_choice("grid", grid, GRIDS)
    steps, scores = _measured(eval_steps, eval_scores)
    saturation = find_saturation(rewards_T, threshold, tail)
    t_sat = saturation.step
    start = float(scores[0]) if steps.size and steps[0] == 0 else None
    reasons = [] if start is not None else ["there is no evaluation before training (step 0)"]

    at_saturation = best = None
    if t_sat is None:
        reasons.insert(0, saturation.reason)
    else:
        at_saturation = read_score(steps, scores, t_sat, reading)
        candidates = [float(value) for value in scores[steps >= t_sat]]
        if at_saturation is None:
            reasons.append(f"no evaluation lets `{reading}` read the score at step {t_sat}")
        else:
            if grid == "curve":
                candidates.append(at_saturation)
            best = max(candidates, default=None)
            if best is None:
                reasons.append(f"there is no evaluation from step {t_sat} on")
    return SaturationGains(
        t_sat=t_sat,
        pre_saturation_gain=_difference(at_saturation, start),
        post_saturation_residual=_difference(best, at_saturation),
        start_score=start,
        saturation_score=at_saturation,
        best_score_after=best,
        tail=saturation.tail,
        reading=reading,
        grid=grid,
        reason="; ".join(reasons),
    )


def large_small_gap(
    large_run: RunCurves | HasCurves,
    small_run: RunCurves | HasCurves,
    names: Sequence[str] | None = None,
    *,
    threshold: float = THRESHOLD,
    tail: int | None = None,
    reading: Reading = "interpolate",
) -> float:
    """G(n', n): how far the run on more data is ahead at the step where the run on less data saturates (section 4.1).

    Args:
        large_run: the run on n' prompts: an opened run, or its curves.
        small_run: the run on n < n' prompts; its t_sat is the step compared at.
        names: held-out metrics to average over (in-domain and out-of-domain are averaged apart: call twice). When
            None: every avg@k both runs have, the paper's metric, or all that both have where there is none.
        threshold: as in `saturation_step`.
        tail: as in `saturation_step`; None takes `default_tail(T)` of the small run.
        reading: how M is read between evaluations.

    Raises:
        DataError: the gap is not defined: no t_sat, no shared metric, or a metric that cannot be read there.
    """
    large_run, small_run = (run if isinstance(run, RunCurves) else run.curves() for run in (large_run, small_run))
    saturation = find_saturation(small_run.rewards_T, threshold, tail)
    if saturation.step is None:
        raise DataError(f"The smaller run has no saturation step: {saturation.reason}. The gap is not defined.")
    shared = _shared_scores(large_run, small_run) if names is None else list(names)
    if not shared:
        raise DataError("The two runs share no held-out metric. Evaluate both on the same sets.")
    gaps = []
    for name in shared:
        large, small = (read_score(*run.score(name), saturation.step, reading) for run in (large_run, small_run))
        if large is None or small is None:
            which = "larger" if large is None else "smaller"
            raise DataError(
                f"The {which} run has no evaluation of '{name}' from which `{reading}` can read step {saturation.step}."
            )
        gaps.append(large - small)
    return float(np.mean(gaps))


def _shared_scores(large_run: RunCurves, small_run: RunCurves) -> list[str]:
    """The headline score of each set that two runs share."""
    shared: dict[str, list[str]] = {}
    for name in small_run.eval_scores:
        if name in large_run.eval_scores:
            set_name, _, metric = name.rpartition("/")
            shared.setdefault(set_name, []).append(metric)
    found = {set_name: headline_metric(metrics) for set_name, metrics in shared.items()}
    return [f"{set_name}/{metric}" if set_name else metric for set_name, metric in found.items() if metric is not None]


def _measured(eval_steps: npt.ArrayLike, eval_scores: npt.ArrayLike) -> tuple[IntArray, FloatArray]:
    """Evaluations with a score, checked: one score a step, steps whole and strictly increasing from 0."""
    raw_steps, scores = np.asarray(eval_steps, dtype=np.float64), reward_curve(eval_scores)
    if raw_steps.shape != scores.shape:
        raise DataError(f"There are {raw_steps.size} evaluation steps but {scores.size} scores.")
    steps = raw_steps.astype(np.int64)
    if (steps != raw_steps).any() or (steps < 0).any() or (np.diff(steps) <= 0).any():
        raise DataError("Evaluation steps must be whole numbers from 0 up, each once, in increasing order.")
    keep = ~np.isnan(scores)
    return steps[keep], scores[keep]


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _check_choice(what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise DataError(f"Unknown {what} '{value}'.{nearest(value, known)}")
