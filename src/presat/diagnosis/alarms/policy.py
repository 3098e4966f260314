"""Where the policy is: entropy, distance from the reference, clipping, and whether it moves at all."""

from __future__ import annotations

import numpy as np

from presat.diagnosis.alarms.groups import dead_curve
from presat.diagnosis.alarms.kinds import Alarm
from presat.diagnosis.alarms.series import Curve, Curves, FloatArray
from presat.diagnosis.alarms.thresholds import (
    BETA_HIGH,
    CLIPPED,
    CRITIC_FALL,
    ENTROPY_HALVED,
    ENTROPY_LEFT,
    FIRST_TOKENS,
    FLAT,
    KL_GROWTH,
    KL_LEAST,
    KL_NONE,
    KL_RUNAWAY,
    LEAST_STEPS,
    LEAST_WINDOW,
    MARGIN,
    NEAR_TOP,
    NEVER_STEPS,
    PENALTY,
    RATE_NONE,
)


def entropy_collapse(curves: Curves) -> Alarm | None:
    """Entropy is gone, or will be before the run ends, while the reward no longer rises and is not near its top."""
    found = curves.get("entropy")
    if found is None or _learns_on(curves):
        return None
    before = float(found.values[:LEAST_WINDOW].mean())  # over a tenth of a long run it may have gone already
    if before <= 0:
        return None
    floor, left = ENTROPY_LEFT * before, found.middle / before
    if left <= ENTROPY_LEFT:
        onset = found.below_since(max(floor, found.last))
        said = f"fell to {left:.0%} of what it was ({before:.3g} to {found.middle:.3g}), from step {onset} on"
        return Alarm("entropy_collapse", f"The entropy {said}: {_GONE}", "critical", onset, {"left": left})
    arrival = _arrival(found, floor) if left <= ENTROPY_HALVED and _stands(curves) else None
    if arrival is None or arrival > curves.planned:
        return None
    onset = found.below_since(max(ENTROPY_HALVED * before, found.last))
    sentence = (
        f"The entropy fell from {before:.3g} to {found.middle:.3g} and on its way reaches {floor:.2g} at step "
        f"{arrival}, before the run ends at {curves.planned}, while the reward no longer rises: {_GONE}"
    )
    return Alarm("entropy_collapse", sentence, "warning", onset, {"left": left, "arrival": arrival})


_GONE = "without it all responses of a group are alike, and nothing is found any more."


def kl_runaway(curves: Curves) -> Alarm | None:
    """The policy leaves the reference ever faster."""
    found = curves.get("kl")
    if found is None:
        return None
    half = found.part(found.size // 2)
    growth = found.middle / max(float(np.median(half.values[: half.window])), 1e-9)
    earlier = float(np.median(found.values[: max(found.window, found.size // 2)]))
    bound = min(KL_RUNAWAY, max(KL_LEAST, KL_GROWTH * earlier))
    if found.middle < bound:
        return None
    onset, far = found.above_since(min(bound, found.last)), found.middle >= KL_RUNAWAY
    sentence = (
        f"The KL to the reference is {found.middle:.3g} a token (median of the first half: {earlier:.3g}), from step "
        f"{onset} on: the policy is no longer near the model it started from, and what that could do is being lost."
    )
    return Alarm(
        "kl_runaway", sentence, "critical" if far else "warning", onset, {"kl": found.middle, "growth": growth}
    )


def policy_stuck(curves: Curves) -> Alarm | None:
    """The weights cannot move: a learning rate of 0, no distance from the reference, no gradient in live groups."""
    rate, kl, gradient = curves.get("rate"), curves.get("kl"), curves.get("gradient")
    reward, dead = curves.get("reward"), dead_curve(curves)
    if reward is not None and (reward.rose(MARGIN) or reward.fell(MARGIN)):
        return None
    why = ""
    if rate is not None and float(rate.values.max()) <= RATE_NONE:
        why, number = f"the learning rate is {rate.values.max():.2g} throughout", float(rate.values.max())
    elif kl is not None and kl.values.any() and kl.middle <= KL_NONE:
        why, number = f"the KL to the reference is {kl.middle:.2g} after {kl.steps[-1]} steps", kl.middle
    elif gradient is not None and not gradient.values.any() and (dead is None or dead.last < 1.0):
        why, number = "every gradient is exactly 0 although groups have rewards to tell apart", 0.0
    else:
        return None
    first = int((kl or rate or gradient or Curve(np.array([1]), np.array([0.0]))).steps[0])
    sentence = f"The policy does not move: {why}. What is sampled is sampled from the model as it came."
    return Alarm("policy_stuck", sentence, "critical", first, {"value": number})


def kl_weight(curves: Curves) -> Alarm | None:
    """The KL weight outweighs the reward: it is large, and the reward does not rise."""
    reward, kl, loss = curves.get("reward"), curves.get("kl"), curves.get("loss")
    if reward is None or reward.size < NEVER_STEPS / 2 or reward.rose(MARGIN):
        return None
    beta = curves.setting("beta", "kl_coef", "kl_loss_coef", "actor_rollout_ref.actor.kl_loss_coef")
    given = beta is not None
    if beta is None and kl is not None and loss is not None:
        _, at, to = np.intersect1d(kl.steps, loss.steps, return_indices=True)
        moved = kl.values[at] > KL_NONE
        distances = kl.values[at][moved]
        ratios = loss.values[to][moved] / np.maximum(distances, KL_NONE)
        if moved.sum() >= reward.window and _spread(ratios) <= PENALTY < _spread(distances):
            beta = float(np.median(ratios))
    if beta is None or beta < BETA_HIGH:
        return None
    read = "set to" if given else "read off loss / KL as"
    sentence = (
        f"The KL weight is {read} {beta:.2g}, and the reward stayed at {reward.last:.3g} (first: {reward.first:.3g}): "
        "the penalty holds the policy where it started."
    )
    return Alarm("kl_weight", sentence, "critical", int(reward.steps[0]), {"beta": beta})


def clip_saturation(curves: Curves) -> Alarm | None:
    """A large share of the tokens is outside of the clip range, where there is no gradient."""
    found = curves.get("clipped")
    if found is None or found.last < CLIPPED:
        return None
    onset = found.above_since(CLIPPED)
    sentence = (
        f"{found.last:.0%} of the tokens are clipped, from step {onset} on: they give no gradient, and the updates are "
        "larger than the samples they rest on allow."
    )
    return Alarm("clip_saturation", sentence, "warning", onset, {"clipped": found.last})


def critic_diverging(curves: Curves) -> Alarm | None:
    """A critic that explains less than a constant would."""
    found = curves.get("explained")
    if found is None or found.last >= 0.0 or float(found.smooth().max()) - found.last < CRITIC_FALL:
        return None
    onset = found.below_since(0.0)
    best = float(found.smooth().max())
    sentence = (
        f"The critic's explained variance fell from {best:.2f} to {found.last:.2f}, below 0 from step {onset} on: "
        "its values mislead the advantages more than a constant would."
    )
    return Alarm("critic_diverging", sentence, "warning", onset, {"explained": found.last})


def kl_in_first_tokens(curves: Curves) -> Alarm | None:
    """Nearly all of the KL lies in the first stretch of the responses."""
    count = sum(name.startswith("kl_positional/") for name in curves.run.values)
    parts = [part for index in range(count) if (part := curves.get(f"kl_positional/{index}")) is not None]
    if count < 3 or len(parts) < count:
        return None
    steps = parts[0].steps
    total = np.sum([part.values for part in parts], axis=0)
    share = Curve(steps, parts[0].values / np.maximum(total, 1e-12))
    if share.last < FIRST_TOKENS:
        return None
    onset = share.above_since(FIRST_TOKENS)
    sentence = (
        f"{share.last:.0%} of the KL is in the first of {count} stretches of the responses, from step {onset} on: how "
        "a response begins is what changes, and not how it reasons."
    )
    return Alarm("kl_in_first_tokens", sentence, "warning", onset, {"share": share.last})


def _spread(values: FloatArray) -> float:
    """The upper quartile as a multiple of the lower one; infinite where that is not above 0."""
    low, high = np.percentile(values, [25, 75])
    return float(high / low) if low > 0 else np.inf


def _learns_on(curves: Curves) -> bool:
    """Whether the reward is near its top, or rose over the last third."""
    reward = curves.get("reward")
    if reward is None:
        return False
    late = reward.part(2 * reward.size // 3)
    return (curves.reward_is_share and reward.last >= NEAR_TOP) or late.rose(0.02)


def _stands(curves: Curves) -> bool:
    """Whether the reward stood still over the last half, as far as it scatters little enough to tell."""
    reward = curves.get("reward", 2 * LEAST_STEPS)
    if reward is None:
        return False
    change, error = reward.part(reward.size // 2).change()
    return change <= FLAT and error <= FLAT / 2


def _arrival(found: Curve, floor: float) -> int | None:
    """The step at which a curve that goes on as in its last half reaches a floor; None where it does not sink."""
    late = found.part(found.size // 2)
    logs = np.log(np.maximum(late.values, 1e-12))
    slope, level = np.polyfit(late.steps.astype(float), logs, 1)
    if slope >= 0:
        return None
    return int(max(found.steps[-1], np.ceil((np.log(floor) - level) / slope)))
