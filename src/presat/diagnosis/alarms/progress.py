"""How the reward goes: saturated, on a plateau, never rising; and whether other problems gained from it."""

from __future__ import annotations

from presat.diagnosis.alarms.kinds import Alarm
from presat.diagnosis.alarms.series import Curves
from presat.diagnosis.alarms.thresholds import (
    FLAT,
    LEAST_STEPS,
    MARGIN,
    MOST_SUMMED,
    NEAR_TOP,
    NEVER_STEPS,
    PLATEAU_SHARE,
    PLATEAU_STEPS,
    RISEN,
)
from presat.diagnosis.alarms.truth import best_of, truth_change
from presat.metrics import find_saturation
from presat.tracking import Run
from presat.tracking.state import ENDED


def rapid_saturation(curves: Curves) -> Alarm | None:
    """The train reward saturated in the first 100/496 of the run (section 4.1)."""
    rewards_T = curves.run.train_rewards()
    found = find_saturation(rewards_T, tail=None)
    if rewards_T.size < LEAST_STEPS or not found.rapid:
        return None
    sentence = (
        f"The train reward saturated at step {found.step} of {found.steps}, which the paper calls rapid (under 100 of "
        "496). Its rapidly saturating models memorised, and broke first under noisy or proxy rewards: look at the "
        "held-out score before training longer."
    )
    return Alarm("rapid_saturation", sentence, "info", found.step, {"t_sat": found.step or 0, "steps": found.steps})


def held_out_flat(curves: Curves) -> Alarm | None:
    """The train reward saturated, and no held-out set gained from it (section 4.1)."""
    run = curves.run
    rewards_T = run.train_rewards()
    t_sat = find_saturation(rewards_T, tail=None).step
    changes = {name: change for name in run.eval_sets() if (change := _held_out_change(run, name)) is not None}
    if rewards_T.size < LEAST_STEPS or t_sat is None or not changes:
        return None
    if any(after - before >= MARGIN or best - before >= 2 * MARGIN for before, best, after in changes.values()):
        return None  # what rose and fell again is said by another alarm
    moves = ", ".join(f"{name} {before:.2f} to {after:.2f}" for name, (before, _, after) in changes.items())
    sentence = (
        f"The train reward saturated at step {t_sat}, but no held-out score ended {MARGIN:.2f} or more higher "
        f"({moves}): this looks like memorising the prompts. Rather than on more steps, spend the compute on repair "
        "before RL (continual pre-training, Thinking SFT)."
    )
    evidence = {"t_sat": t_sat, **{name: after - before for name, (before, _, after) in changes.items()}}
    return Alarm("held_out_flat", sentence, "warning", t_sat, evidence)


def memorising(curves: Curves) -> Alarm | None:
    """The train reward rises far and the held-out score hardly, before any saturation."""
    reward, score = curves.get("reward"), curves.run.held_out()
    if reward is None or score is None or score[2].size < 3 or reward.values.max() > MOST_SUMMED:
        return None
    gained, held = reward.last - reward.first, float(score[3][-1] - score[3][0])
    if gained < 4 * MARGIN or not reward.rose(2 * MARGIN) or held >= gained / 5:
        return None
    if best_of(score[3]) - float(score[3][0]) >= max(2 * MARGIN, gained / 5):
        return None  # it was learned, and lost again: another alarm
    gold = curves.get("gold")
    if gold is not None and not gold.rose(2 * MARGIN):
        return None  # the reward left the truth, which is said by another alarm
    onset = reward.above_since(reward.first + gained / 2)
    sentence = (
        f"The train reward gained {gained:.2f} and the held-out score of {score[0]} {held:+.2f}: these prompts are "
        "being memorised."
    )
    return Alarm("memorising", sentence, "warning", onset, {"reward_gain": gained, "held_out_gain": held})


def plateau(curves: Curves) -> Alarm | None:
    """The reward rose, and stands still below its top: to know only, where the run has ended or the truth rises."""
    reward = curves.get("reward")
    if reward is None or not curves.reward_is_share or reward.last >= NEAR_TOP:
        return None
    count = max(PLATEAU_STEPS, round(PLATEAU_SHARE * reward.size))
    if reward.size < 2 * count * 0.7 or count >= reward.size:
        return None
    late = reward.part(-count)
    change, error = late.change()
    level = float(late.values.mean())
    risen = level - reward.first
    if risen < RISEN or abs(change) > min(FLAT, risen / 10) or error > FLAT / 2:
        return None
    onset = reward.above_since(level - FLAT)
    left = curves.planned - curves.steps
    rest = f"; {left} steps are left" if left else ""
    sentence = (
        f"The reward rose to {level:.2f} by step {onset} and has stood still for {curves.steps - (onset or 0)} steps"
        f"{rest}: more of the same gains nothing."
    )
    learning = (truth_change(curves, onset or 0) or 0.0) >= MARGIN  # more of the same does gain something
    severity = "info" if learning or curves.run.status in ENDED else "warning"
    return Alarm("plateau", sentence, severity, onset, {"level": level, "left": left})


def never_rose(curves: Curves) -> Alarm | None:
    """The reward is where it began, and there was enough time to rise."""
    reward = curves.get("reward", NEVER_STEPS)
    if reward is None or (curves.reward_is_share and reward.first >= NEAR_TOP):
        return None
    change, error = reward.change()
    scale = FLAT if curves.reward_is_share else 0.05 * max(abs(reward.first), 1e-9)
    if abs(change) > scale or error > scale or reward.last - reward.first > 2 * scale:
        return None
    sentence = (
        f"The reward is {reward.last:.3g} after {reward.steps[-1]} steps and began at {reward.first:.3g}: nothing was "
        "learned that it pays for."
    )
    return Alarm("never_rose", sentence, "warning", int(reward.steps[0]), {"first": reward.first, "last": reward.last})


def _held_out_change(run: Run, set_name: str) -> tuple[float, float, float] | None:
    """Score of a set before training, at its best and at the last evaluation; None where an end is missing."""
    found = run.scores(set_name)
    if found is None:
        return None
    _, steps, values = found
    ends = steps.size >= 2 and steps[0] == 0
    return (float(values[0]), best_of(values), float(values[-1])) if ends else None
