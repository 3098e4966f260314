"""Curves as drawn: smoothed, but not across a jump, so that a crash of two steps does not look like a slope."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from presat.metrics import smooth

if TYPE_CHECKING:
    from presat.analysis.numbers import RunSummary

JUMP = 0.2
"""Least size of a jump, as a share of the range of the values."""
SCATTERS = 6.0
"""Least size of a jump in standard deviations of the scatter from step to step: noise is none."""


def smooth_pieces(values_T: Sequence[float], window: int) -> tuple[list[float], list[int]]:
    """Return the trailing mean of `window` values that starts anew at every jump, and the places where it does.

    A value that is not a number is left out of the means and is never a jump.
    """
    starts = [0, *jumps(values_T, window)]
    ends = [*starts[1:], len(values_T)]
    pieces = [smooth(np.asarray(values_T[a:b], dtype=np.float64), window) for a, b in zip(starts, ends, strict=True)]
    return [float(value) for piece in pieces for value in piece], starts[1:]


def jumps(values_T: Sequence[float], window: int) -> list[int]:
    """The places whose value is far from the median of the `window` values since the last jump before it."""
    known = np.asarray([value for value in values_T if math.isfinite(value)], dtype=np.float64)
    if known.size < 3:
        return []
    scatter = float(np.median(np.abs(np.diff(known)))) * 1.4826 / math.sqrt(2)
    least = max(JUMP * float(known.max() - known.min()), SCATTERS * scatter)
    found: list[int] = []
    recent: list[float] = []
    for place, value in enumerate(values_T):
        if not math.isfinite(value):
            continue
        if recent and least > 0 and abs(value - float(np.median(recent))) > least:
            found.append(place)
            recent = []
        recent = [*recent, value][-window:]
    return found


def gold_differs(summary: RunSummary) -> bool:
    """Whether the logged true accuracy is anything else than the reward: the labels are wrong, or not what is paid."""
    pairs = zip(summary.gold_T, summary.rewards_T, strict=False)
    return any(math.isfinite(g) and math.isfinite(r) and abs(g - r) > 0.01 for g, r in pairs)
