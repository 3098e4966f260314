"""Where tests marked `device` hold their models: the CPU, unless PRESAT_TEST_DEVICE says otherwise."""

from __future__ import annotations

import os

DEVICE = os.environ.get("PRESAT_TEST_DEVICE", "cpu")
SLACK = 1 if DEVICE == "cpu" else 20
"""How many times the CPU's rounding a number may be off: a GPU adds in another order, and not always in the same."""


def same_draws(ours: list, theirs: list) -> bool:
    """Whether two lists of groups of responses are the same; off the CPU rounding may change one response in ten."""
    flat = [pair for row in zip(ours, theirs, strict=True) for pair in zip(*row, strict=True)]
    changed = sum(one != other for one, other in flat)
    return changed == 0 if DEVICE == "cpu" else changed <= len(flat) / 10
