"""One run in numbers: what its reward did, what its held-out scores did, and what that says.

`summarise` reads a run of any kind and keeps what is there. The saturation numbers are the paper's (section 4.1); the
choices it leaves open are named in the summary. The sentence at the end follows from the numbers by the rules of
`verdict.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from presat.analysis.collapse import find_falls
from presat.analysis.estimates import (
    LEVEL,
    MEANS,
    Change,
    avg_of,
    by_problem,
    paired_change,
    pass_of,
    proportion_change,
)
from presat.analysis.models import models_of
from presat.analysis.numbers import Choices, RunSummary, SetSummary
from presat.analysis.peak import find_peak
from presat.analysis.verdict import NOT_RISEN, did_not_train, judge, standing
from presat.metrics import (
    GOLD_ACCURACY,
    Coverage,
    Interval,
    SaturationGains,
    coverage_of,
    find_saturation,
    is_share,
    k_of,
    mean_interval,
    metric_of,
    saturation_gains,
    share_interval,
    smooth,
    two_sample_interval,
)
from presat.metrics.support import PassCurve, SupportChange, pass_curve, support_change
from presat.text import printable
from presat.tracking.questions import tainted

if TYPE_CHECKING:
    import polars as pl

    from presat.metrics.saturation import FloatArray
    from presat.tracking import Run


LENGTH = "completions/mean_length"
SHRUNK = 4
"""Responses that are so many times shorter at the end are worth a word."""


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
    share = run.reward_is_share()
    smoothed_T = smooth(rewards_T, choices.window)
    saturation, smoothed = (find_saturation(curve, tail=choices.tail) for curve in (rewards_T, smoothed_T))
    found = (_summarise_set(run, set_name, choices, (rewards_T, smoothed_T)) for set_name in run.held_out_sets())
    sets = [item for item in found if item is not None]
    unscored = _unscored(run, [item.name for item in sets])
    covered = [(item.name, item.coverage) for item in sets] + list(unscored.items())
    said = [f"{name}: {found.sentence}." for name, found in covered if found and found.partial]
    summary = RunSummary(
        name=printable(name or run.name),
        path=printable(str(run.path)),
        kind=run.kind,
        status=run.status,
        status_reason=run.status_reason,
        steps=len(rewards_T) or _last_step(run),
        rewards_T=[float(value) for value in rewards_T],
        reward_is_share=share,
        gold_T=_by_step(run, GOLD_ACCURACY, len(rewards_T)),
        reward=ends(run, "reward", choices.window, noisy=not share),
        gold=ends(run, GOLD_ACCURACY, choices.window, noisy=not share),
        loss=ends(run, "loss", choices.window),
        t_sat=saturation.step,
        t_sat_smoothed=smoothed.step,
        t_sat_reason=saturation.reason,
        rapid=saturation.rapid,
        tail=saturation.tail,
        choices=choices,
        sets=sets,
        unscored=unscored,
        tainted=tainted(run.provenance),
        notes=[
            *_shrunk(run, choices.window),
            *run.notes,
            *filter(None, map(_by_model, sets)),
            *said,
            *filter(None, map(_left_out, sets)),
        ],
        alarms=alarms(run),
        falls=find_falls(run),
    )
    if summary.reward is not None and did_not_train(summary.reward, share):
        summary = _without_saturation(summary)
    verdict = judge(summary)
    fallen = any(fall.kind != "breadth" for fall in summary.falls)
    return replace(summary, verdict=verdict, alarms=standing(summary.alarms, verdict, fallen))


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
    )


def _summarise_set(run: Run, name: str, choices: Choices, curves: tuple[FloatArray, FloatArray]) -> SetSummary | None:
    """One set, by the reward as logged and smoothed; None when it holds no score that was ever measured."""
    found = run.scores(name)
    if found is None:
        return None
    (metric, steps, scores), metrics = found, run.eval_metrics()[name]
    both = [
        saturation_gains(curve, steps, scores, tail=choices.tail, reading=choices.reading, grid=choices.grid)
        for curve in curves
    ]
    first, last = int(steps[0]), int(steps[-1])
    models = models_of(run, name, steps.tolist())
    halves = evaluation(run, name, first), evaluation(run, name, last)
    return SetSummary(
        name=name,
        metric=metric,
        steps=[int(step) for step in steps],
        scores=[float(score) for score in scores],
        intervals=[_score_interval(evaluation(run, name, int(step)), metric) for step in steps],
        first_step=first,
        last_step=last,
        gains=both[0],
        smoothed_gains=both[1],
        changes=_changes(run, name, [metric, *(m for m in metrics if m != metric)], (first, last), halves),
        peak=None
        if models
        else find_peak(metric, steps.tolist(), scores.tolist(), lambda step: evaluation(run, name, step)),
        support=None if models or first == last else _support(*halves),
        pass_curves=None if models or first == last else _pass_curves(*halves),
        models=models,
    )


def _score_interval(frame: pl.DataFrame | None, metric: str) -> Interval | None:
    """Interval of the headline score over the problems; None where it is no mean over saved responses."""
    if frame is None or metric.partition("@")[0] not in MEANS:
        return None
    means = [avg_of(scores) for scores in by_problem(frame).values()]
    return (share_interval if is_share(means) else mean_interval)(means, LEVEL)


def _unscored(run: Run, scored: Sequence[str]) -> dict[str, Coverage]:
    """The sets no response of which could be judged, at their last evaluation: they are no held-out score."""
    found: dict[str, Coverage] = {}
    metrics, known = run.eval_metrics(), set(scored)
    for name in (name for name in run.held_out_sets() if name not in known):
        last = {metric: run.eval_series(name, metric)[1][-1] for metric in metrics[name]}
        if (covered := coverage_of(last)) is not None:
            found[name] = covered
    return found


def _left_out(item: SetSummary) -> str | None:
    """How many problems of a set the first and the last evaluation left out of pass@k alone; None where none."""
    found = item.changes.get("unjudged_problems")
    covered = item.coverage
    if found and covered and max(found.before, found.after) <= covered.problems - covered.judged:
        return None
    ends = () if found is None else ((item.first_step, found.before), (item.last_step, found.after))
    counts = ", ".join(f"{count:.0f} at step {step}" for step, count in dict(ends).items() if count)
    metric = metric_of(item.changes, "pass") or item.metric
    return f"{item.name}: problems with too few judged responses, left out of {metric}: {counts}." if counts else None


def _shrunk(run: Run, window: int) -> list[str]:
    """Say that the responses have lost most of their length, whatever is paid for."""
    length = ends(run, LENGTH, window)
    if length is None or not 0 <= length.after <= length.before / SHRUNK:
        return []
    went = f"from {length.before:.0f} tokens to {length.after:.0f}"
    return [f"The responses shrank {went}: is there reasoning left in them?"]


def _by_model(item: SetSummary) -> str | None:
    """The score of each model, where a set's evaluations are of several."""
    scores = ", ".join(f"{name} {score:.2f}" for name, score in zip(item.models, item.scores, strict=False))
    return f"{item.name}, {item.metric} by model: {scores}." if scores else None


_Halves = tuple["pl.DataFrame | None", "pl.DataFrame | None"]
"""The responses of the first and of the last evaluation of a set."""


def _changes(run: Run, set_name: str, metrics: list[str], ends: tuple[int, int], halves: _Halves) -> dict[str, Change]:
    """First to last evaluation of every metric of a set, with intervals where the responses are there."""
    changes: dict[str, Change] = {}
    for metric in metrics:
        points = dict(zip(*(array.tolist() for array in run.eval_series(set_name, metric)), strict=True))
        a, b = (points.get(step, math.nan) for step in ends)
        if not (math.isnan(a) or math.isnan(b)):
            changes[metric] = _change(metric, a, b, *halves)
    return changes


def _support(before: pl.DataFrame | None, after: pl.DataFrame | None) -> SupportChange | None:
    """Which problems were gained and lost between two evaluations."""
    rows = [{} if frame is None else by_problem(frame) for frame in (before, after)]
    shares = all(is_share([score for scores in half.values() for score in scores]) for half in rows)
    return support_change(*rows) if all(rows) and shares else None


def _pass_curves(before: pl.DataFrame | None, after: pl.DataFrame | None) -> tuple[PassCurve, PassCurve] | None:
    """pass@k before and after, at powers of two up to what most problems have samples for."""
    rows = [[] if frame is None else list(by_problem(frame).values()) for frame in (before, after)]
    if not all(rows) or not all(is_share([score for scores in half for score in scores]) for half in rows):
        return None
    most = min(sorted(map(len, half))[len(half) // 2] for half in rows)
    ks = [2**power for power in range(most.bit_length()) if 2**power <= most]
    curves = [pass_curve(half, ks) for half in rows] if len(ks) > 1 else []
    return (curves[0], curves[1]) if all(len(curve) > 1 for curve in curves) and curves else None


def _change(metric: str, a: float, b: float, before: pl.DataFrame | None, after: pl.DataFrame | None) -> Change:
    if before is None or after is None:
        return Change(a, b)
    kind, k = metric.partition("@")[0], k_of(metric)
    if kind == "pass" or kind in MEANS:
        of_problem = pass_of(k) if kind == "pass" else avg_of
        return paired_change(a, b, by_problem(before), by_problem(after), of_problem)
    if metric == "valid_trace" and before[metric].count() and after[metric].count():
        return paired_change(a, b, by_problem(before, metric), by_problem(after, metric), avg_of)
    if kind in ("greedy", "maj"):
        return proportion_change(a, b, min(before["problem_id"].n_unique(), after["problem_id"].n_unique()))
    return Change(a, b)


def evaluation(run: Run, set_name: str, step: int) -> pl.DataFrame | None:
    """The verdicts on the saved responses of one evaluation, by problem; None where there are none."""
    return run.rollouts("eval", [step], set_name=set_name, columns=("problem_id", "score", "valid_trace"))


def ends(run: Run, name: str, window: int, noisy: bool = False) -> Change | None:
    """Mean of the first and of the last `window` logged values after step 0; None when the run logged none.

    With `noisy`, the change has the interval that follows from how the steps of each window (of two at least) scatter
    (Welch's).
    """
    if name not in run.values:
        return None
    steps, values = run.series(name)
    known = values[(steps >= 1) & ~np.isnan(values)]
    if not known.size:
        return None
    window = max(1, min(window, known.size // 2))
    first, last = known[:window], known[-window:]
    interval = two_sample_interval(first, last, LEVEL) if noisy else None
    return Change(float(first.mean()), float(last.mean()), interval)


def _by_step(run: Run, name: str, steps: int) -> list[float]:
    """Values of steps 1..`steps`, NaN where not logged; empty when none was."""
    points = run.values.get(name, {})
    return [points.get(step, math.nan) for step in range(1, steps + 1)] if points else []


def _last_step(run: Run) -> int:
    return max((step for series in run.values.values() for step in series), default=0)
