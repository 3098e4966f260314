"""What is known of the truth beside the reward: accuracy of the training responses, else the held-out score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from presat.diagnosis.alarms.series import Curve, Curves, FloatArray

MANY = 8
"""Evaluations of which the best is likely a lucky one."""


def held_out(curves: Curves, least: int = 3) -> Curve | None:
    """The held-out score by step, the first evaluation included; None with fewer than `least`."""
    found = curves.run.held_out()
    if found is None or found[2].size < least:
        return None
    return Curve(np.asarray(found[2], dtype=np.int64), np.asarray(found[3], dtype=np.float64))


def ends(curve: Curve) -> tuple[float, float]:
    """Its first and its last level: of few points the first one or two, and the last."""
    count = max(1, min(curve.window, curve.size // 4))
    return float(curve.values[:count].mean()), float(curve.values[-count:].mean())


def truth_change(curves: Curves) -> float | None:
    """By how much the held-out score, else the accuracy of the training responses, rose; None where nothing says."""
    score = held_out(curves)
    if score is not None:
        before, after = ends(score)
        return after - before
    gold = curves.get("gold")
    return None if gold is None else gold.last - gold.first


def best_of(values: Sequence[float] | FloatArray) -> float:
    """The best level of a held-out score: of many evaluations the mean of three, so that no lucky one makes it."""
    scores = np.asarray(values, dtype=np.float64)
    count = 1 if scores.size < MANY else 3
    return float(np.convolve(scores, np.ones(count) / count, mode="valid").max())
