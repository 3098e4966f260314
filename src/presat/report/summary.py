"""One run in numbers: what its reward did, what its held-out scores did, and what that says.

`summarise` reads a run of any kind and keeps what is there. The saturation numbers are the paper's (section 4.1); the
choices it leaves open are named in the summary. The sentence at the end follows from the numbers by the rules of
`verdict.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from presat.metrics import Interval, SaturationGains, bootstrap_interval, find_saturation, saturation_gains, smooth
from presat.metrics.gains import Grid, Reading
from presat.report.estimates import (
    LEVEL,
    MEANS,
    RESAMPLES,
    Change,
    Z,
    avg_of,
    by_problem,
    paired_change,
    pass_of,
    proportion_change,
)
from presat.report.naming import printable
from presat.report.peak import Peak, find_peak
from presat.report.verdict import MIN_REWARD_RISE, NOT_RISEN, Verdict, did_not_train, is_share, judge

if TYPE_CHECKING:
    import polars as pl

    from presat.diagnosis import Alarm
    from presat.tracking import Run

WINDOW = 5
NO_SCORES = frozenset(
    ("missing", "length", "finished", "valid_trace", "valid_given_right", "loss", "entropy", "kl", "reward_std",
     "frac_reward_zero_std", "epoch")
)  # fmt: skip
"""What evaluations log beside scores."""
GOLD = "labels/gold_accuracy"
_K = re.compile(r"(\w+)@(\d+)")
_OUT_OF_DISTRIBUTION = re.compile(r"(^|[^a-z])(ood(?![a-z])|out[-_ ]?of[-_ ]?d\w*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Choices:
    """How the numbers of a summary were read; every table that prints them prints this too.

    Attributes:
        tail: steps at the end that t_sat is not searched in; None takes `default_tail(T)`.
        window: steps of the trailing mean: for the smoothed t_sat, and for the first and last reward.
        reading: how a score is read between evaluations.
        grid: where the maximum of D_post is taken.
    """

    tail: int | None = None
    window: int = WINDOW
    reading: Reading = "interpolate"
    grid: Grid = "curve"


@dataclass(frozen=True)
class SetSummary:
    """One evaluation set of one run.

    Attributes:
        name: the set.
        metric: the headline score (`avg@16`, or what there is).
        steps: evaluation steps of the headline score.
        scores: its values.
        intervals: 95% interval of each, over problems; None where the responses were not saved.
        first_step: where "before" was read; 0 unless the run has no evaluation before training.
        last_step: where "after" was read.
        gains: D_sat and D_post of the headline score, with the reasons for what is missing.
        smoothed_gains: the same with t_sat from the smoothed reward.
        changes: first to last evaluation, by metric name, the headline score first.
        peak: the best evaluation in between, where the headline score has clearly fallen since.
    """

    name: str
    metric: str
    steps: list[int]
    scores: list[float]
    intervals: list[Interval | None]
    first_step: int
    last_step: int
    gains: SaturationGains
    smoothed_gains: SaturationGains
    changes: Mapping[str, Change]
    peak: Peak | None = None

    @property
    def headline(self) -> Change:
        """Change of the headline score."""
        return self.changes[self.metric]

    def change(self, kind: str) -> tuple[str, Change] | None:
        """Name and change of a metric by its kind (`pass`, `maj`, `greedy`, ...), the largest k first."""
        name = metric_of(self.changes, kind)
        return None if name is None else (name, self.changes[name])

    @property
    def out_of_distribution(self) -> bool:
        """Whether the set's name says so (`ood`, `out-of-distribution`)."""
        return bool(_OUT_OF_DISTRIBUTION.search(self.name))


@dataclass(frozen=True)
class RunSummary:
    """Everything the report says about a run in numbers.

    Attributes:
        name: what the run is called.
        path: where it was read from.
        kind: `presat`, `trl`, `verl`, `rollouts` or `csv`.
        status: how it ended.
        status_reason: why.
        steps: T, the training steps logged.
        rewards_T: mean train reward of steps 1..T, NaN where not logged.
        reward: mean of the first and of the last `choices.window` logged rewards; None without a reward.
        gold_T: accuracy of the same responses by the true answers, NaN where not logged; empty when never.
        gold: its first and last, like `reward`.
        loss: the training loss, likewise.
        t_sat: the paper's saturation step, on the reward as logged.
        t_sat_smoothed: the same on the trailing mean.
        t_sat_reason: why `t_sat` is None; a run that did not train has none.
        rapid: whether t_sat is below 100/496 of the run, which the paper calls rapid.
        tail: the tail that was used.
        choices: how everything was read.
        sets: evaluation sets, the main one first.
        notes: what the reader of the run had to say.
        alarms: what `presat.diagnosis` warns of.
        verdict: the run in plain words, by rule.
    """

    name: str
    path: str
    kind: str
    status: str
    status_reason: str
    steps: int
    rewards_T: list[float]
    gold_T: list[float]
    reward: Change | None
    gold: Change | None
    loss: Change | None
    t_sat: int | None
    t_sat_smoothed: int | None
    t_sat_reason: str
    rapid: bool | None
    tail: int
    choices: Choices
    sets: list[SetSummary]
    notes: list[str] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Verdict("no verdict", ""))

    @property
    def main_set(self) -> SetSummary | None:
        """The set the verdict looks at: the first in distribution whose scores are shares, as far as there is one."""
        return min(self.sets, key=lambda item: (item.out_of_distribution, not is_share(item.scores)), default=None)

    def transfer(self, item: SetSummary) -> float | None:
        """Rise of a set's headline score per unit of train reward gained: what of the training reached other problems.

        It compares runs that start or end at different rewards. None where the reward rose by too little to divide by,
        or there is no evaluation before and after.
        """
        if self.reward is None or self.reward.difference <= MIN_REWARD_RISE or item.first_step == item.last_step:
            return None
        return item.headline.difference / self.reward.difference

    def to_json(self) -> dict[str, Any]:
        """JSON-able form: not-a-number is null."""
        return _plain(asdict(self))


def summarise(run: Run, choices: Choices | None = None, name: str | None = None) -> RunSummary:
    """Summarise a run of any kind; what it does not hold is None or left out.

    Args:
        run: an opened run.
        choices: how t_sat and the scores are read; the defaults when None.
        name: what to call the run; its own name when None.

    Raises:
        RunError: its saved responses cannot be read.
        DataError: a choice is out of range.
    """
    from presat.diagnosis import alarms

    choices = choices or Choices()
    rewards_T = run.train_rewards()
    share = is_share(rewards_T)
    saturation = find_saturation(rewards_T, tail=choices.tail)
    smoothed = find_saturation(smooth(rewards_T, choices.window), tail=choices.tail)
    responses = run.rollouts("eval")
    sets = [_summarise_set(run, set_name, choices, responses) for set_name in ordered_sets(run)]
    summary = RunSummary(
        name=printable(name or run.name),
        path=printable(str(run.path)),
        kind=run.kind,
        status=run.status,
        status_reason=run.status_reason,
        steps=len(rewards_T) or _last_step(run),
        rewards_T=[float(value) for value in rewards_T],
        gold_T=_by_step(run, GOLD, len(rewards_T)),
        reward=ends(run, "reward", choices.window, noisy=not share),
        gold=ends(run, GOLD, choices.window, noisy=not share),
        loss=ends(run, "loss", choices.window),
        t_sat=saturation.step,
        t_sat_smoothed=smoothed.step,
        t_sat_reason=saturation.reason,
        rapid=saturation.rapid,
        tail=saturation.tail,
        choices=choices,
        sets=[item for item in sets if item is not None],
        notes=list(run.notes),
        alarms=alarms(run),
    )
    if summary.reward is not None and did_not_train(summary.reward, share):
        summary = _without_saturation(summary)
    return replace(summary, verdict=judge(summary))


def _without_saturation(summary: RunSummary) -> RunSummary:
    """Leave out what rests on t_sat, for a reward that ended about where it began, or below."""

    def bare(gains: SaturationGains) -> SaturationGains:
        nothing = dict.fromkeys(
            ("t_sat", "pre_saturation_gain", "post_saturation_residual", "saturation_score", "best_score_after")
        )
        return replace(gains, **nothing, reason=NOT_RISEN)

    return replace(
        summary,
        t_sat=None,
        t_sat_smoothed=None,
        t_sat_reason=NOT_RISEN,
        rapid=None,
        sets=[replace(s, gains=bare(s.gains), smoothed_gains=bare(s.smoothed_gains)) for s in summary.sets],
        alarms=[alarm for alarm in summary.alarms if alarm.name not in ("rapid_saturation", "held_out_flat")],
    )


def ordered_sets(run: Run) -> list[str]:
    """Evaluation sets in the order of the run's configuration, else of its log; out-of-distribution ones last."""
    sets = run.eval_metrics()
    logged = dict.fromkeys(name.removeprefix("eval/").rpartition("/")[0] for name in run.values)
    config = run.config.get("eval", {})
    listed = config.get("sets", []) if isinstance(config, Mapping) else []
    order = [str(item.get("name") or "") for item in listed if isinstance(item, Mapping)]

    def rank(name: str) -> tuple[bool, int]:
        return bool(_OUT_OF_DISTRIBUTION.search(name)), order.index(name) if name in order else len(order)

    return sorted((name for name in logged if name in sets), key=rank)


def headline_metric(names: list[str]) -> str | None:
    """The score to show of a set: avg@k with the largest k, else `score`, `accuracy`, `greedy`, maj@k, else the first.

    Numbers that are no score (`NO_SCORES`: lengths, losses, shares of missing and finished responses) are never taken.
    """
    for kind in ("avg", "score", "accuracy", "acc", "reward", "greedy", "maj", "best", "pass"):
        found = metric_of(names, kind)
        if found is not None:
            return found
    return next((name for name in names if name not in NO_SCORES), None)


def metric_of(names: Iterable[str], kind: str) -> str | None:
    """The metric of a kind (`pass`, `maj`, `greedy`, ...), of several k the largest; None when there is none."""
    return max((name for name in names if name == kind or name.startswith(f"{kind}@")), key=_k_of, default=None)


def _summarise_set(run: Run, name: str, choices: Choices, responses: pl.DataFrame | None) -> SetSummary | None:
    """One set; None when it holds no score that was ever measured."""
    metrics = run.eval_metrics()[name]
    metric = headline_metric(metrics)
    if metric is None:
        return None
    steps, scores = run.curves().score(f"{name}/{metric}")
    if not steps.size:
        return None
    rewards_T = run.train_rewards()
    both = [
        saturation_gains(curve, steps, scores, tail=choices.tail, reading=choices.reading, grid=choices.grid)
        for curve in (rewards_T, smooth(rewards_T, choices.window))
    ]
    first, last = int(steps[0]), int(steps[-1])
    return SetSummary(
        name=name,
        metric=metric,
        steps=[int(step) for step in steps],
        scores=[float(score) for score in scores],
        intervals=[_score_interval(evaluation(responses, name, int(step)), metric) for step in steps],
        first_step=first,
        last_step=last,
        gains=both[0],
        smoothed_gains=both[1],
        changes=_changes(run, name, [metric, *(m for m in metrics if m != metric)], first, last, responses),
        peak=find_peak(metric, steps.tolist(), scores.tolist(), lambda step: evaluation(responses, name, step)),
    )


def _score_interval(frame: pl.DataFrame | None, metric: str) -> Interval | None:
    """Interval of the headline score over the problems; None where it is no mean over saved responses."""
    if frame is None or metric.partition("@")[0] not in MEANS:
        return None
    means = [avg_of(scores) for scores in by_problem(frame).values()]
    return bootstrap_interval(means, LEVEL, RESAMPLES) if len(means) > 1 else None


def _changes(
    run: Run, set_name: str, metrics: list[str], first: int, last: int, responses: pl.DataFrame | None
) -> dict[str, Change]:
    """First to last evaluation of every metric of a set, with intervals where the responses are there."""
    before, after = (evaluation(responses, set_name, step) for step in (first, last))
    changes: dict[str, Change] = {}
    for metric in metrics:
        points = dict(zip(*(array.tolist() for array in run.eval_series(set_name, metric)), strict=True))
        a, b = points.get(first, math.nan), points.get(last, math.nan)
        if not (math.isnan(a) or math.isnan(b)):
            changes[metric] = _change(metric, a, b, before, after)
    return changes


def _change(metric: str, a: float, b: float, before: pl.DataFrame | None, after: pl.DataFrame | None) -> Change:
    if before is None or after is None or "score" not in before.columns:
        return Change(a, b)
    kind, k = metric.partition("@")[0], _k_of(metric)
    if kind == "pass" or kind in MEANS:
        of_problem = pass_of(k) if kind == "pass" else avg_of
        return paired_change(a, b, by_problem(before), by_problem(after), of_problem)
    if metric == "valid_trace" and metric in before.columns and metric in after.columns:
        return paired_change(a, b, by_problem(before, metric), by_problem(after, metric), avg_of)
    if kind in ("greedy", "maj"):
        return proportion_change(a, b, min(before["problem_id"].n_unique(), after["problem_id"].n_unique()))
    return Change(a, b)


def evaluation(frame: pl.DataFrame | None, set_name: str, step: int) -> pl.DataFrame | None:
    """Saved responses of one evaluation out of those of a run; None where there are none."""
    if frame is None or not {"set", "step", "problem_id", "score"} <= set(frame.columns):
        return None
    import polars as pl

    found = frame.filter((pl.col("set") == set_name) & (pl.col("step") == step))
    return found if found.height else None


def ends(run: Run, name: str, window: int, noisy: bool = False) -> Change | None:
    """Mean of the first and of the last `window` logged values after step 0; None when the run logged none.

    With `noisy`, the change has the interval that follows from how the steps of each window (of two at least) scatter.
    """
    if name not in run.values:
        return None
    steps, values = run.series(name)
    known = values[(steps >= 1) & ~np.isnan(values)]
    if not known.size:
        return None
    window = max(1, min(window, known.size // 2))
    first, last = known[:window], known[-window:]
    change = Change(float(first.mean()), float(last.mean()))
    if not noisy or window < 2:
        return change
    margin = Z * float(np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / window))
    return replace(change, interval=Interval(change.difference, change.difference - margin, change.difference + margin))


def _by_step(run: Run, name: str, steps: int) -> list[float]:
    """Values of steps 1..`steps`, NaN where not logged; empty when none was."""
    points = run.values.get(name, {})
    return [points.get(step, math.nan) for step in range(1, steps + 1)] if points else []


def _last_step(run: Run) -> int:
    return max((step for series in run.values.values() for step in series), default=0)


def _k_of(metric: str) -> int:
    match = _K.fullmatch(metric)
    return int(match.group(2)) if match else 0


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
