"""Held-out scores in percent, read as shares: an accuracy above 1 can be nothing else."""

from __future__ import annotations

import math

from presat.text import listed
from presat.tracking.readers.rows import Values

ABOVE = 1.5
"""The highest value of a share is not so high, however it was rounded."""
_SHARES = ("accuracy", "acc", "gold_accuracy", "greedy")
_SHARES_AT_K = ("pass", "maj")
_MEANS = ("avg", "score", "reward")
"""May be means of rewards of any scale: read as percent beside another score of their set that is."""


def read_percents(values: Values) -> list[str]:
    """Divide by 100 the held-out accuracies that lie in 0 to 100 and not in 0 to 1; say so."""
    found = [name for name in values if _kind(name) in (*_SHARES, *_SHARES_AT_K) and _is_percent(values, name)]
    sets = {name.rpartition("/")[0] for name in found}
    found += [n for n in values if _kind(n) in _MEANS and n.rpartition("/")[0] in sets and _is_percent(values, n)]
    for name in found:
        values[name] = {step: value / 100 for step, value in values[name].items()}
    called = listed([name.removeprefix("eval/") for name in found], 6)
    return [f"Above 1 and up to 100, so in percent, and read as shares: {called}."] if found else []


def _kind(name: str) -> str:
    return name.rpartition("/")[2].partition("@")[0] if name.startswith("eval/") else ""


def _is_percent(values: Values, name: str) -> bool:
    known = [value for value in values[name].values() if not math.isnan(value)]
    return bool(known) and max(known) > ABOVE and min(known) >= 0.0 and max(known) <= 100.0
