"""Responses that are cut off, that grow because length pays, or that repeat themselves."""

from __future__ import annotations

import numpy as np

from presat.diagnosis.alarms.kinds import Alarm
from presat.diagnosis.alarms.series import Curve, Curves, correlation, rank_correlation
from presat.diagnosis.alarms.thresholds import (
    FOLLOWS,
    LEAST_STEPS,
    LONGER,
    LONGER_ALONE,
    MARGIN,
    PAID,
    PAID_GROWTH,
    REPEATED_WORDS,
    REPEATS,
    TRUNCATED,
    TRUNCATED_CRITICAL,
    TRUNCATION_RISE,
)
from presat.diagnosis.alarms.truth import truth_change


def truncation(curves: Curves) -> Alarm | None:
    """Many responses reach the length limit."""
    found = curves.get("truncated", LEAST_STEPS // 2)
    if found is None:
        return None
    rising = found.size >= LEAST_STEPS and found.last - found.first >= TRUNCATION_RISE and found.rose(MARGIN)
    if found.last < TRUNCATED and not rising:
        return None
    bound = min(TRUNCATED, found.first + TRUNCATION_RISE) if rising else TRUNCATED
    onset = found.above_since(bound)
    sentence = (
        f"{found.last:.0%} of the responses are cut off at the length limit, from step {onset} on at least "
        f"{bound:.0%}: what is cut off earns nothing, however good it was, so shortness is what is taught."
    )
    severity = "critical" if found.last >= TRUNCATED_CRITICAL else "warning"
    return Alarm("truncation", sentence, severity, onset, {"truncated": found.last})


def length_growth(curves: Curves) -> Alarm | None:
    """Responses grow and the reward pays for it, while accuracy does not come with it."""
    length, reward = curves.get("length"), curves.get("reward")
    if length is None or reward is None or length.first <= 0:
        return None
    growth = length.last / length.first
    onset = length.above_since(length.first + (length.last - length.first) / 3)
    change = truth_change(curves)
    paid = _paid_by_length(curves) if growth >= PAID_GROWTH else 0.0
    follows = rank_correlation(length, reward)
    untrue = change is not None and growth >= LONGER and _pays_untrue(curves, reward, onset)
    alone = change is None and growth >= LONGER_ALONE and follows >= FOLLOWS
    if not (paid >= PAID or alone or untrue):
        return None
    why = f"within a group, reward and length correlate by {paid:.2f}" if paid >= PAID else (
        f"the reward follows the length (rank correlation {follows:.2f})" if alone else "accuracy did not rise with it"
    )  # fmt: skip
    sentence = (
        f"The responses grew from {length.first:.0f} to {length.last:.0f} tokens, and {why}: length is what pays."
    )
    evidence = {"growth": growth, "rank_correlation": follows, "within_groups": paid}
    return Alarm("length_growth", sentence, "warning", onset, evidence)


def _pays_untrue(curves: Curves, reward: Curve, grown: int | None) -> bool:
    """Whether the reward rose and what is true did not: in all, or since the responses grew."""
    for start, rise in ((0, MARGIN), (grown or 0, 2 * MARGIN)):
        change = truth_change(curves, start)
        if change is not None and change < MARGIN and reward.from_step(start).rose(rise):
            return True
    return False


def repetition(curves: Curves) -> Alarm | None:
    """Responses say the same words over and over."""
    found = curves.get("repetition")
    if found is None:
        found = _repeats(curves)
    if found is None or found.last < REPEATS:
        return None
    onset = found.above_since(REPEATS)
    sentence = (
        f"{found.last:.0%} of the word sequences in the responses are repeats of earlier ones in the same response, "
        f"from step {onset} on: the policy loops."
    )
    return Alarm("repetition", sentence, "warning", onset, {"repeated": found.last})


def _paid_by_length(curves: Curves) -> float:
    """Mean correlation of reward and length within the groups of the last saved steps, beyond what being right pays."""
    frame = curves.last_responses(("step", "problem_id", "seed", "reward", "score", "n_tokens", "text"))
    if frame is None or frame["reward"].null_count():
        return 0.0
    found = []
    for _, part in frame.group_by("step", "problem_id", "seed"):
        rewards = part["reward"].to_numpy().astype(float)
        counted = part["n_tokens"] if part["n_tokens"].null_count() == 0 else part["text"].fill_null("").str.len_chars()
        lengths = counted.to_numpy().astype(float)
        scores = part["score"].to_numpy().astype(float)
        for value in np.unique(scores[~np.isnan(scores)]) if not np.isnan(scores).all() else [None]:
            chosen = scores == value if value is not None else np.ones(rewards.size, dtype=bool)
            if chosen.sum() >= 4 and lengths[chosen].std() > 0:  # fewer say nothing of a correlation
                found.append(correlation(rewards[chosen], lengths[chosen]))
    return float(np.mean(found)) if found else 0.0


def _repeats(curves: Curves) -> Curve | None:
    """The share of repeated word sequences in the saved responses of some steps: the last, and ten on the way."""
    saved = curves.run.rollout_steps("train")
    steps = sorted({*saved[:: max(1, len(saved) // 10)], *saved[-3:]})
    frame = curves.run.rollouts("train", steps=steps, columns=("step", "text")) if steps else None
    if frame is None:
        return None
    shares: dict[int, list[float]] = {}
    for step, text in frame.iter_rows():
        shares.setdefault(step, []).append(repeated_share(text or ""))
    at = sorted(shares)
    return Curve(np.array(at, dtype=np.int64), np.array([float(np.mean(shares[step])) for step in at]))


def repeated_share(text: str) -> float:
    """Share of the word sequences of a text that stood in it before."""
    words = text.split()
    total = len(words) - REPEATED_WORDS + 1
    different = set(zip(*(words[i:] for i in range(REPEATED_WORDS)), strict=False))
    return 1 - len(different) / total if total > 0 else 0.0
