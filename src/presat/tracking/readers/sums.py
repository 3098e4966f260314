"""Rewards that are sums: with several reward functions a trainer logs their weighted sum as the reward.

The weights stand in no log, so the sum is no share of right answers, whatever its numbers. A part is one where it takes
the values 0 and 1 alone, which its mean m and its standard deviation s show: then s is the root of m (1 - m). The one
such part that tells right from wrong is true accuracy, on the training responses and on an evaluation set alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from statistics import median

from presat.metrics import GOLD_ACCURACY, is_score, reward_parts
from presat.text import listed
from presat.tracking.readers.aliases import PROXIES
from presat.tracking.readers.rows import Values

NEAR = (0.85, 1.2)
"""What s squared over m (1 - m) may be: a sample's deviation is a little higher, one averaged over steps lower."""
_OF_ANSWERS = re.compile(r"acc|correct|right|answer|verif|solve", re.IGNORECASE)
_OF_MANNERS = re.compile(r"format|tag|xml|think|length|style|lang|structure|repeti|cosine|penalty", re.IGNORECASE)
_Curve = Mapping[int, float]


def read_sums(values: Values) -> list[str]:
    """Take a sum of rewards from what is judged as accuracy, and its one part that is accuracy to it; say so."""
    parts = reward_parts(values)
    notes = []
    if parts:
        right = _accuracy({part: (f"rewards/{part}/mean", f"rewards/{part}/std") for part in parts}, values)
        notes.append(f"The train reward is a weighted sum of {listed(parts)}, and no share of right answers.")
        if right and GOLD_ACCURACY not in values:
            values[GOLD_ACCURACY] = dict(values[f"rewards/{right}/mean"])
            notes.append(f"Its part {right} takes the values 0 and 1 and is read as true accuracy.")
    for prefix in [name.removesuffix("reward") for name in values if re.fullmatch("eval/.+/reward", name)]:
        notes += _of_set(prefix, parts, values)
    return notes


def _of_set(prefix: str, known: Collection[str], values: Values) -> list[str]:
    beside = [name.removeprefix(prefix) for name in values if name.startswith(prefix)]
    parts = [name for name in beside if name in known or (name != "reward" and f"{name}_std" in beside)]
    if len(parts) < 2:
        return []
    name = prefix.removeprefix("eval/").rstrip("/")
    values[f"{prefix}sum_of_rewards"] = values.pop(f"{prefix}reward")
    if any(map(is_score, beside[: beside.index("reward")] + beside[beside.index("reward") + 1 :])):
        return []
    right = _accuracy({part: (f"{prefix}{part}", f"{prefix}{part}_std") for part in parts}, values)
    said = f"The reward of {name} is a weighted sum of {listed(parts)}, which is no held-out score"
    if right:
        values[f"{prefix}accuracy"] = dict(values[f"{prefix}{right}"])
        return [f"{said}: its part {right}, which takes the values 0 and 1, is."]
    return [f"{said}. Is one of its parts true accuracy? Say so: --columns SET COLUMN."]


def _accuracy(parts: Mapping[str, tuple[str, str]], values: Values) -> str | None:
    """The part that is right or wrong: by its name, or as the only one of two values that is not about manners."""
    found = [
        part for part, (mean, std) in parts.items()
        if part.split("/")[0] not in PROXIES and _two_valued(values.get(mean, {}), values.get(std, {}))
    ]  # fmt: skip
    named = [part for part in found if _OF_ANSWERS.search(part) and not _OF_MANNERS.search(part)]
    others = [part for part in found if not _OF_MANNERS.search(part)]
    return next((some[0] for some in (named, others) if len(some) == 1), None)


def _two_valued(means: _Curve, deviations: _Curve) -> bool:
    """Whether a reward takes the values 0 and 1 alone."""
    if any(not (math.isnan(mean) or 0.0 <= mean <= 1.0) for mean in means.values()):
        return False
    both = [(mean, deviations.get(step, math.nan)) for step, mean in means.items()]
    shares = [deviation**2 / (mean * (1 - mean)) for mean, deviation in both if 0.0 < mean < 1.0 and deviation >= 0.0]
    return bool(shares) and NEAR[0] <= median(shares) <= NEAR[1]
