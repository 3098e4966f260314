"""What the reward pays for: proxies that leave the truth, parts of a sum, formats, labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from presat.diagnosis.alarms.kinds import Alarm
from presat.diagnosis.alarms.series import Curve, Curves
from presat.diagnosis.alarms.thresholds import (
    ABOVE_TRUTH,
    DROWNED,
    FARM_SHARE,
    FARM_STEPS,
    FARMED,
    FIRST_STEP,
    FLAT,
    HELD_OUT_FALL,
    LABELS_FALL,
    LABELS_WRONG,
    LEAST_STEPS,
    MARGIN,
    NEVER_STEPS,
)
from presat.diagnosis.alarms.truth import held_out, pays_for_form, pays_for_truth, reward_parts
from presat.metrics import GOLD_ACCURACY, find_drop, find_step_fall
from presat.metrics.headline import is_share
from presat.tracking import Run
from presat.tracking.settings import prompts_per_step

FloatArray = npt.NDArray[np.float64]


def reward_hacking(curves: Curves) -> Alarm | None:
    """The reward rose while accuracy against the gold answers fell, be it in the first steps."""
    reward, gold = _rise(curves.run), _gold_fall(curves.run)
    if reward is None or gold is None:
        return None
    (reward_before, reward_after), (gold_before, gold_after, step) = reward, gold
    sentence = (
        f"The reward rose from {reward_before:.2f} to {reward_after:.2f} while accuracy against the gold answers fell "
        f"from {gold_before:.2f} to {gold_after:.2f}: the policy is learning to please the reward, not to be right. "
        "Stop, and go back to a checkpoint from before the fall."
    )
    evidence = {
        "reward_first": reward_before,
        "reward_last": reward_after,
        "gold_first": gold_before,
        "gold_last": gold_after,
    }
    return Alarm("reward_hacking", sentence, "critical", step, evidence)


def truth_flat(curves: Curves) -> Alarm | None:
    """The reward rose, and the accuracy of the same responses did not."""
    reward, gold = curves.get("reward"), curves.get("gold")
    if reward is None or gold is None or gold.size < NEVER_STEPS / 2 or curves.reward_is_truth:
        return None
    gained = reward.last - reward.first
    scale = gained if curves.reward_is_share else FARMED
    if not reward.rose(FARMED) or gold.change()[0] >= max(FLAT, scale / 4) or _gold_fall(curves.run):
        return None
    sentence = (
        f"The reward rose from {reward.first:.2f} to {reward.last:.2f} and the accuracy of the same responses went "
        f"from {gold.first:.2f} to {gold.last:.2f}: what is paid is not what is wanted."
    )
    onset = reward.above_since(reward.first + gained / 3)
    evidence = {"reward_gain": gained, "gold_gain": gold.last - gold.first}
    return Alarm("truth_flat", sentence, "warning", onset, evidence)


def above_truth(curves: Curves) -> Alarm | None:
    """The reward is far above the accuracy of the same responses, from the first or since it left it."""
    reward, gold = curves.get("reward", LEAST_STEPS // 2), curves.get("gold", LEAST_STEPS // 2)
    if reward is None or gold is None or not curves.reward_is_share:
        return None
    steps, at, to = np.intersect1d(reward.steps, gold.steps, return_indices=True)
    gap = Curve(steps, reward.values[at] - gold.values[to])
    if not gap.size or gap.last < ABOVE_TRUTH:
        return None
    onset = gap.above_since(ABOVE_TRUTH)
    sentence = (
        f"The reward is {reward.last:.2f} and the accuracy of the same responses {gold.last:.2f}, so far apart from "
        f"step {onset} on: most of what is paid for is wrong."
    )
    return Alarm("above_truth", sentence, "critical", onset, {"reward": reward.last, "gold": gold.last})


def held_out_fell(curves: Curves) -> Alarm | None:
    """The held-out score has clearly fallen from its best, or never followed a reward that rose far."""
    score, reward = held_out(curves, 4), curves.get("reward")
    if score is None or reward is None or not is_share(score.values):
        return None
    count = 1 if score.size < 8 else 3
    means = np.convolve(score.values, np.ones(count) / count, mode="valid")
    best, after = int(np.argmax(means)), float(means[-1])
    scatter = float(np.sqrt(np.mean(np.diff(score.values) ** 2) / 2)) if score.size >= 8 else 0.0
    if means[best] - after < max(HELD_OUT_FALL, 2 * scatter) or means.size - best < 2:
        return None
    means_S = reward.smooth()
    if reward.last < means_S.max() - (means_S.max() - means_S.min()) / 4:
        return None  # the reward fell too, which is said by another alarm
    step = int(score.steps[min(score.size - 1, best + count)])
    sentence = (
        f"The held-out score fell from {means[best]:.2f} to {after:.2f}, from step {step} on, while the train reward "
        "did not: what is learned now does not carry over."
    )
    return Alarm("held_out_fell", sentence, "critical", step, {"best": float(means[best]), "last": after})


def reward_collapse(curves: Curves) -> Alarm | None:
    """The train reward fell from its best and stayed down."""
    found = find_drop(curves.run.train_rewards())
    if found is None:
        return None
    sentence = (
        f"The train reward fell from {found.before:.2f} to {found.after:.2f}, from step {found.step} on, and is there "
        "still."
    )
    return Alarm("reward_collapse", sentence, "critical", found.step, {"before": found.before, "after": found.after})


def part_drowns(curves: Curves) -> Alarm | None:
    """One part of a summed reward pays several times what being right pays."""
    paid = _paid(curves)
    true = [name for name in paid if pays_for_truth(name)]
    if len(paid) < 2 or not true or len(true) == len(paid):
        return None
    rest = np.sum([np.abs(paid[name]) for name in paid if name not in true], axis=0)
    ours = np.sum([np.abs(paid[name]) for name in true], axis=0)
    window = max(5, rest.size // 10)
    early, late = (
        float(r.mean()) / max(float(o.mean()), 1e-9)
        for r, o in ((rest[:window], ours[:window]), (rest[-window:], ours[-window:]))
    )
    if min(early, late) < DROWNED:
        return None
    loud = max((name for name in paid if name not in true), key=lambda name: float(np.abs(paid[name]).mean()))
    steps = curves.get("reward")
    sentence = (
        f"Of the summed reward {loud} and its like pay {late:.1f} times what {' and '.join(true)} pays (at first "
        f"{early:.1f} times): being right makes hardly a difference."
    )
    first = int(steps.steps[0]) if steps is not None else None
    return Alarm("part_drowns", sentence, "warning", first, {"ratio_first": early, "ratio_last": late})


def format_farming(curves: Curves) -> Alarm | None:
    """The part of the reward that pays for the format rose, and since then accuracy stood still."""
    parts = _parts(curves)
    true = next((curve for name, curve in parts.items() if pays_for_truth(name)), None) or curves.get("gold")
    forms = [(name, curve) for name, curve in parts.items() if pays_for_form(name)]
    if true is None or not forms:
        return None
    name, form = max(forms, key=lambda item: item[1].last - item[1].first)
    low = float(form.smooth()[form.window :].min()) if form.size > form.window else form.first
    if form.last - min(low, form.first) < FARMED:
        return None
    began = form.above_since(min(low, form.first) + (form.last - min(low, form.first)) / 3)
    after = true.part(int(np.searchsorted(true.steps, began or 0)))
    least = max(FARM_STEPS, FARM_SHARE * curves.planned)
    if (
        after.size < least
        or after.change()[0] >= max(0.02, 2 * after.change()[1])
        or after.last >= 0.9 * max(1.0, form.last)
    ):
        return None
    sentence = (
        f"{name} rose from {form.first:.2f} to {form.last:.2f}, from step {began} on, and for {after.size} steps since "
        f"then accuracy stands at {after.last:.2f}: the format is farmed."
    )
    return Alarm("format_farming", sentence, "warning", began, {"format": form.last, "accuracy": after.last})


def labels_wrong(curves: Curves) -> Alarm | None:
    """Labels, given or voted, that are mostly wrong, or become so."""
    found = curves.get("labels", LEAST_STEPS // 2)
    if found is None:
        return None
    fell = found.size >= LEAST_STEPS and found.fell(LABELS_FALL)
    if found.last >= LABELS_WRONG and not fell:
        return None
    low = found.below_since(LABELS_WRONG)
    onset = low if low is not None else found.below_since(found.first - LABELS_FALL)
    moved = f"fell from {found.first:.0%} to {found.last:.0%}" if fell else f"are {found.last:.0%}"
    sentence = (
        f"The labels that are right {moved}{'' if onset is None else f', from step {onset} on'}: what is rewarded is "
        "mostly something else than the truth."
    )
    return Alarm(
        "labels_wrong",
        sentence,
        "critical" if found.last < LABELS_WRONG / 2 else "warning",
        onset,
        {"first": found.first, "last": found.last},
    )


def _parts(curves: Curves) -> dict[str, Curve]:
    """The parts of a summed reward as they are logged, by name."""
    reward = curves.get("reward")
    found = {part: curve for part, curve in reward_parts(curves).items() if not _is_the_sum(curve, reward)}
    return found if len(found) > 1 else {}


def _is_the_sum(curve: Curve, reward: Curve | None) -> bool:
    """Whether a part is the whole reward, which TRL logs like one."""
    return (
        reward is not None and curve.size == reward.size and bool(np.allclose(curve.values, reward.values, atol=1e-6))
    )


def _paid(curves: Curves) -> dict[str, FloatArray]:
    """What each part adds to the reward by step: the part times the weight by which the sum comes out."""
    parts, reward = _parts(curves), curves.get("reward")
    if not parts or reward is None or any(curve.size != reward.size for curve in parts.values()):
        return {}
    table = np.stack([curve.values for curve in parts.values()], axis=1)
    given = curves.run.config.get("reward")
    weights = {}
    for part in (given.get("parts") or []) if isinstance(given, dict) else []:
        if isinstance(part, dict):
            weights[str(part.get("name") or part.get("source"))] = float(part.get("weight", 1.0))
    if set(weights) >= set(parts):
        found = np.array([weights[name] for name in parts])
    else:
        found, *_ = np.linalg.lstsq(table, reward.values, rcond=None)
    return {name: table[:, place] * found[place] for place, name in enumerate(parts)}


def _rise(run: Run) -> tuple[float, float] | None:
    """The reward before and after, where it rose: from the first step to the last fifth, or from the first fifth."""
    found = _first_and_last(run, "reward")
    if found is None:
        return None
    first, last = found
    start, end = float(first[0]), float(last.mean())
    values = run.series("reward")[1]
    scatter = float(np.sqrt(np.mean(np.diff(values[~np.isnan(values)]) ** 2) / 2))  # a trend adds little to it
    if end - start > max(MARGIN, FIRST_STEP * scatter):
        return start, end
    return (float(first.mean()), end) if _change(first, last) > 0 else None


def _gold_fall(run: Run) -> tuple[float, float, int] | None:
    """The true accuracy before and after, and since when, where it fell: since the first step, or the first fifth."""
    found = _first_and_last(run, GOLD_ACCURACY)
    if found is None:
        return None
    steps, values = run.series(GOLD_ACCURACY)
    fall = find_step_fall(steps, values, prompts_per_step(run.config))
    if fall is not None:
        return fall.before, fall.after, fall.step
    if _change(*found) >= 0:
        return None
    curve = Curve(steps[~np.isnan(values)], values[~np.isnan(values)])
    before, after = float(found[0].mean()), float(found[1].mean())
    onset = curve.below_since((before + after) / 2)
    return before, after, int(curve.steps[0]) if onset is None else onset


def _first_and_last(run: Run, name: str) -> tuple[FloatArray, FloatArray] | None:
    """The first and the last fifth of a metric's recorded values; None when it has too few."""
    if name not in run.names():
        return None
    values = run.series(name)[1]
    values = values[~np.isnan(values)]
    fifth = values.size // 5
    return (values[:fifth], values[-fifth:]) if values.size >= LEAST_STEPS else None


def _change(first: FloatArray, last: FloatArray) -> float:
    """The change of the mean; 0 when it is within `MARGIN` or within twice its standard error."""
    change = float(last.mean() - first.mean())
    error = float(np.sqrt(first.var(ddof=1) / first.size + last.var(ddof=1) / last.size))
    return change if abs(change) > max(MARGIN, 2 * error) else 0.0
