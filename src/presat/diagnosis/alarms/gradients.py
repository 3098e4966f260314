"""Gradients that spike or are exactly 0, numbers that are none, and steps that take ever longer."""

from __future__ import annotations

import math

import numpy as np

from presat.diagnosis.alarms.groups import dead_curve
from presat.diagnosis.alarms.kinds import Alarm
from presat.diagnosis.alarms.series import NAMES, Curve, Curves, rank_correlation
from presat.diagnosis.alarms.thresholds import (
    DEAD,
    FOLLOWS,
    LEAST_STEPS,
    SLOWER,
    SPIKE,
    SPIKE_CRITICAL,
    SPIKES,
    ZERO_GRADIENTS,
)

_FINITE = ("reward", "loss", "gradient", "kl", "entropy")
"""What is a number at every step of a run that works."""


def gradient_spikes(curves: Curves) -> Alarm | None:
    """Single gradient norms far above those around them."""
    found = _live_gradients(curves)
    if found is None:
        return None
    usual = float(np.median(found.values[found.values > 0]))
    half = max(5, found.window)
    around = np.array([np.median(found.values[max(0, i - half) : i + half + 1]) for i in range(found.size)])
    spikes = np.flatnonzero(found.values > SPIKE * np.maximum(around, usual))
    if spikes.size < SPIKES:
        return None
    worst = float((found.values[spikes] / np.maximum(around[spikes], usual)).max())
    sentence = (
        f"{spikes.size} of {found.size} gradient norms are over {SPIKE:g} times those around them, the worst "
        f"{worst:.0f} times, the first at step {found.steps[spikes[0]]}: single batches throw the weights about."
    )
    severity = "critical" if spikes.size >= SPIKE_CRITICAL * found.size else "warning"
    return Alarm(
        "gradient_spikes", sentence, severity, int(found.steps[spikes[0]]), {"spikes": int(spikes.size), "worst": worst}
    )


def _live_gradients(curves: Curves) -> Curve | None:
    """The gradient norms of the steps of which most groups have one: the few others differ by how many live."""
    found, dead = curves.get("gradient"), dead_curve(curves)
    if found is None:
        return None
    dying = {int(step) for step, share in zip(dead.steps, dead.values, strict=True) if share >= DEAD} if dead else set()
    lives = np.array([step not in dying for step in found.steps.tolist()]) & (found.values > 0)
    return Curve(found.steps[lives], found.values[lives]) if lives.sum() >= LEAST_STEPS else None


def zero_gradients(curves: Curves) -> Alarm | None:
    """Gradients that are exactly 0 in steps whose groups had something to learn from."""
    found = curves.get("gradient")
    if found is None:
        return None
    zero = found.values == 0.0
    dead = dead_curve(curves)
    all_dead = dict(zip(dead.steps.tolist(), dead.values.tolist(), strict=True)) if dead is not None else {}
    unexplained = zero & np.array([all_dead.get(int(step), 0.0) < 1.0 for step in found.steps])
    share = float(unexplained.mean())
    if share < ZERO_GRADIENTS:
        return None
    first = int(found.steps[np.flatnonzero(unexplained)[0]])
    sentence = (
        f"The gradient is exactly 0 in {share:.0%} of the steps, first at step {first}, although not all of their "
        "groups were dead: the loss does not reach the weights that are trained."
    )
    return Alarm("zero_gradients", sentence, "critical", first, {"share": share})


def not_finite(curves: Curves) -> Alarm | None:
    """Numbers that are infinite or none, where every step has one."""
    counted = {name: curves.run.values.get(name, {}) for name in NAMES["bad_numbers"]}
    bad = {step: name for name, series in counted.items() for step, value in series.items() if value > 0}
    for key in _FINITE:
        name = next((name for name in NAMES[key] if name in curves.run.values), None)
        if name is None:
            continue
        series = curves.run.values[name]
        known = [step for step, value in series.items() if step >= 1 and math.isfinite(value)]
        lacking = [step for step, value in series.items() if step >= 1 and not math.isfinite(value)]
        if key in ("reward", "loss", "gradient"):  # may be missing throughout, but not be logged as what is no number
            said = {step for step in curves.run.not_finite.get(name, ()) if step >= 1}
            bad |= dict.fromkeys(lacking if known else [], name) | dict.fromkeys(said, name)
        elif known and len(lacking) <= len(known):
            bad |= dict.fromkeys(lacking, name)
    ended = curves.run.status_reason
    if not bad and not (curves.run.status == "failed" and "finite" in ended):
        return None
    first = min(bad) if bad else curves.steps
    what = f"{bad[first]} is no finite number at step {first}" if bad else ended.rstrip(".")
    more = f", and {len(bad) - 1} more steps have such numbers" if len(bad) > 1 else ""
    sentence = f"What was computed is not finite: {what}{more}. An update from it spoils every weight."
    return Alarm("not_finite", sentence, "critical", first, {"steps": len(bad)})


def slower_steps(curves: Curves) -> Alarm | None:
    """Steps that take ever longer, and not only for longer responses."""
    found = curves.get("step_time", LEAST_STEPS * 2)
    if found is None:
        return None
    early = float(np.median(found.values[: found.size // 4]))
    if early <= 0 or found.middle < SLOWER * early:
        return None
    late = found.part(found.size // 3)
    if rank_correlation(Curve(late.steps, late.steps.astype(float)), late) < FOLLOWS:
        return None  # a step up, or now and then: another job on the machine, and no decay
    length = curves.get("length")
    grown = length.last / length.first if length is not None and length.first > 0 else 1.0
    if grown >= found.middle / early:
        return None
    onset = found.above_since((early + found.middle) / 2)
    sentence = (
        f"A step takes {found.middle:.3g} s, {found.middle / early:.1f} times what it took at first, and the responses "
        f"are {grown:.1f} times as long: something grows that should not."
    )
    return Alarm("slower_steps", sentence, "warning", onset, {"times": found.middle / early, "length": grown})
