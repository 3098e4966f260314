"""Two-valued rewards as shares: (r - low) / (high - low), so that a reward of -1 and 1 has a t_sat.

A mean does not show what it is the mean of. A reward counts as two-valued where the rewards of single responses take
two values (dumps), where the least and the highest reward of every step do, or where a person says so. A mean below 0
without any of these stays as it is, and a note says what to do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from presat.errors import RunError
from presat.tracking.readers.rows import Values

USUAL = {-1.0, 1.0}
"""verl's own scores of mathematics; any other two values have to be all that `LEAST` rewards take."""
LEAST = 16
_OF_REWARDS = ("avg@", "score", "reward")


def two_values(rewards: Iterable[float]) -> tuple[float, float] | None:
    """The two values that rewards take; None where they take others or are too few to tell, or are shares already."""
    found: Counter[float] = Counter(reward for reward in rewards if not math.isnan(reward))
    if len(found) != 2 or set(found) == {0.0, 1.0} or (set(found) != USUAL and found.total() < LEAST):
        return None
    low, high = sorted(found)
    return low, high


def as_shares(values: Values, low: float, high: float) -> list[str]:
    """Read the train reward, and held-out means of the same reward that go below 0, as shares of what is paid.

    Raises:
        RunError: a mean reward lies outside of the two values.
    """
    if "reward" not in values:
        return []
    for step, value in values["reward"].items():
        if not (math.isnan(value) or low - 1e-6 <= value <= high + 1e-6):
            raise RunError(
                f"The mean reward of step {step} is {value:g}, which no share of {low:g} and {high:g} makes."
            )
    names = ["reward"]
    for name, series in values.items():
        kind = name.rpartition("/")[2]
        known = [value for value in series.values() if not math.isnan(value)]
        if name.startswith("eval/") and kind.startswith(_OF_REWARDS) and low < 0 and known:
            names += [name] if low <= min(known) < 0 and max(known) <= high else []
    for name in names:
        values[name] = {step: (value - low) / (high - low) for step, value in values[name].items()}
    also = f", and so are {', '.join(names[1:])}" if names[1:] else ""
    return [f"The reward takes the values {low:g} and {high:g}; it is read as the share of {high:g}{also}."]


def unknown_range(values: Values) -> list[str]:
    """Say what to do where a mean reward below 0 is all there is."""
    below = sum(value < 0 for value in values.get("reward", {}).values())
    if not below:
        return []
    where = f"{below} step{'s' * (below > 1)}"
    said = f"The mean reward is below 0 at {where}, and nothing in the log says which values single rewards take."
    return [f"{said} If they are two, say them (--reward-values -1 1), and it is read as a share."]
