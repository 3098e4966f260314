"""What is known of the truth: the held-out score, accuracy of the training responses, rewards for being right."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from presat.diagnosis.alarms.series import Curve, Curves, FloatArray
from presat.diagnosis.alarms.thresholds import LEAST_WINDOW

FEW, MANY = 3, 8
"""Evaluations that make a curve; and of which the best is likely a lucky one."""
_TRUE = re.compile(r"accura|correct|verif|answer|gold|exact|solve|math|outcome", re.IGNORECASE)
_NOT_TRUE = re.compile(r"incorrect|inaccura|penal|wrong", re.IGNORECASE)
_FORM = re.compile(r"format|tag|box|think|style|xml|struct|length|brev|concis", re.IGNORECASE)
_PART = re.compile(r"(?:rewards|reward_components)/(.+?)(?:/mean)?")


def pays_for_truth(part: str) -> bool:
    """Whether a part of a reward pays for being right, by its name."""
    return bool(_TRUE.search(part)) and not pays_for_form(part) and not _NOT_TRUE.search(part)


def pays_for_form(part: str) -> bool:
    """Whether a part of a reward pays for how a response looks, by its name."""
    return bool(_FORM.search(part))


def reward_parts(curves: Curves) -> dict[str, Curve]:
    """The rewards that are logged one by one, by name; TRL logs the only one like a part."""
    named = {name: match[1] for name in curves.run.values if (match := _PART.fullmatch(name))}
    found = {part: curves.get(name) for name, part in named.items() if not part.endswith("/std")}
    return {part: curve for part, curve in found.items() if curve is not None}


def held_out(curves: Curves, least: int = FEW) -> Curve | None:
    """The held-out score by step, the first evaluation included; None with fewer than `least`."""
    found = curves.run.held_out()
    if found is None or found[2].size < least:
        return None
    return Curve(np.asarray(found[2], dtype=np.int64), np.asarray(found[3], dtype=np.float64))


def ends(curve: Curve) -> tuple[float, float]:
    """Its first and its last level: of few points the first one or two, and the last."""
    count = max(1, min(curve.window, curve.size // 4))
    return float(curve.values[:count].mean()), float(curve.values[-count:].mean())


def truth_change(curves: Curves, since: int = 0) -> float | None:
    """By how much the truth rose, as far as something says it; None where nothing does.

    The held-out score is believed first, then the accuracy of the training responses, then those parts of the reward
    that pay for being right, by their names: a policy may please these too, but nothing better is known.

    Args:
        curves: the run's.
        since: a step; what was before it does not count.
    """
    score, gold = held_out(curves), curves.get("gold")
    if score is not None:
        known = score.from_step(since)
        if known.size < FEW:
            return None
        before, after = ends(known)
        return after - before
    true = [gold] if gold is not None else [
        curve for part, curve in reward_parts(curves).items() if pays_for_truth(part)
    ]  # fmt: skip
    late = [found for curve in true if (found := curve.from_step(since)).size >= LEAST_WINDOW]
    return sum(curve.last - curve.first for curve in late) if late else None


def best_of(values: Sequence[float] | FloatArray) -> float:
    """The best level of a held-out score: of many evaluations the mean of three, so that no lucky one makes it."""
    scores = np.asarray(values, dtype=np.float64)
    count = 1 if scores.size < MANY else 3
    return float(np.convolve(scores, np.ones(count) / count, mode="valid").max())
