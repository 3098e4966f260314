"""Rewards that are sums: with several reward functions a trainer logs their weighted sum as the reward.

The weights stand in no log, so the sum is no share of right answers, whatever its numbers. A part is one where it takes
the values 0 and h alone, which its mean m and its standard deviation s show: then s is the root of m (h - m). The one
such part whose name says that it pays right answers is true accuracy, on the training responses and on an evaluation
set alike; a person has to say so of any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from statistics import median

from presat.metrics import GOLD_ACCURACY, is_score, is_share, reward_parts
from presat.text import listed
from presat.tracking.readers.aliases import PROXIES, SET
from presat.tracking.readers.rows import Values

NEAR = (0.85, 1.2)
"""What s squared over m (1 - m) may be: a sample's deviation is a little higher, one averaged over steps lower."""
USUAL = (1.0, 2.0, 3.0, 5.0, 10.0)
"""What rewards pay for a right answer; 2 in the notebooks that many TRL scripts begin from."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_OF_ANSWERS = frozenset(
    ("acc", "accuracy", "correct", "correctness", "right", "exact", "verifiable", "verified", "verify", "verifier",
     "solve", "solved", "em")
)  # fmt: skip
"""Words of a reward's name that say that it pays right answers."""
_OF_OTHERS = frozenset(
    ("incorrect", "wrong", "no", "not", "has", "have", "contains", "present", "extracted", "extract", "mentions",
     "format", "tag", "tags", "xml", "think", "thinking", "length", "style", "lang", "language", "english",
     "structure", "repetition", "cosine", "penalty", "boxed", "box", "number", "refusal", "only", "proxy", "vote",
     "votes", "majority", "consistency", "self", "pseudo", "noisy", "weak", "soft", "model", "judge", "rm",
     "partial", "steps", "reasoning")
)  # fmt: skip
"""Words that say that it pays something else, or right answers by labels that are none."""
_Curve = Mapping[int, float]


def read_sums(values: Values) -> list[str]:
    """Take a sum of rewards from what is judged as accuracy, and its one part that is accuracy to it; say so."""
    parts = reward_parts(values)
    notes = []
    if parts:
        right = _accuracy({part: (f"rewards/{part}/mean", f"rewards/{part}/std") for part in parts}, values)
        notes.append(f"The train reward is a weighted sum of {listed(parts)}, and no share of right answers.")
        if right and GOLD_ACCURACY not in values:
            name, high = right
            values[GOLD_ACCURACY] = _share_of(values[f"rewards/{name}/mean"], high)
            notes.append(f"Its part {name} takes the values 0 and {high:g} and is read as true accuracy.")
        elif GOLD_ACCURACY not in values:
            notes.append(f"Is one of its parts true accuracy? Say so: --columns {GOLD_ACCURACY} COLUMN.")
    for prefix in [name.removesuffix("reward") for name in values if re.fullmatch("eval/.+/reward", name)]:
        notes += _of_set(prefix, parts, values)
    return notes + _parts_alone(values)


def _parts_alone(values: Values) -> list[str]:
    """Take as held-out score the one part about answers of an evaluation that nothing else was exported of."""
    prefix = f"eval/{SET}/"
    beside = [name.removeprefix(prefix) for name in values if name.startswith(prefix)]
    if not beside or "sum_of_rewards" in beside or any(map(is_score, beside)):
        return []
    found = [part for part in beside if part.split("/")[0] not in PROXIES and not part.endswith("_std")]
    found = [part for part in found if _by_name(part)]
    if len(found) != 1 or not is_share(values[prefix + found[0]].values()):
        return []
    spread = values.get(f"{prefix}{found[0]}_std")
    if spread and not _two_valued(values[prefix + found[0]], spread, 1.0):
        return []
    values[f"{prefix}accuracy"] = dict(values[prefix + found[0]])
    return [f"The held-out score of {SET} is its reward {found[0]}, an accuracy by its name and its numbers."]


def _share_of(means: _Curve, high: float) -> dict[int, float]:
    return {step: mean / high for step, mean in means.items()}


def _of_set(prefix: str, known: Collection[str], values: Values) -> list[str]:
    beside = [name.removeprefix(prefix) for name in values if name.startswith(prefix)]
    parts = [name for name in beside if name in known or (name != "reward" and f"{name}_std" in beside)]
    if len(parts) < 2:
        return _of_the_sum_alone(prefix, known, beside, values)
    name = prefix.removeprefix("eval/").rstrip("/")
    values[f"{prefix}sum_of_rewards"] = values.pop(f"{prefix}reward")
    if any(map(is_score, beside[: beside.index("reward")] + beside[beside.index("reward") + 1 :])):
        return []
    right = _accuracy({part: (f"{prefix}{part}", f"{prefix}{part}_std") for part in parts}, values)
    said = f"The reward of {name} is a weighted sum of {listed(parts)}, which is no held-out score"
    if right:
        part, high = right
        values[f"{prefix}accuracy"] = _share_of(values[f"{prefix}{part}"], high)
        return [f"{said}: its part {part}, which takes the values 0 and {high:g}, is."]
    return [f"{said}. Is one of its parts true accuracy? Say so: --columns SET COLUMN."]


def _of_the_sum_alone(prefix: str, known: Collection[str], beside: Collection[str], values: Values) -> list[str]:
    """An evaluation of which the sum alone was logged: where it leaves 0 to 1 it is no score of any kind."""
    if len(known) < 2 or len(beside) > 1 or is_share(values[f"{prefix}reward"].values()):
        return []
    values[f"{prefix}sum_of_rewards"] = values.pop(f"{prefix}reward")
    name = prefix.removeprefix("eval/").rstrip("/")
    return [f"Of {name} the weighted sum of {listed(list(known))} alone was logged, which is no held-out score."]


def _accuracy(parts: Mapping[str, tuple[str, str]], values: Values) -> tuple[str, float] | None:
    """The part that is right or wrong by its name and its numbers, and what it pays; None where none or several are."""
    named = {part: columns for part, columns in parts.items() if part.split("/")[0] not in PROXIES and _by_name(part)}
    paid = {part: _paid(values.get(mean, {}), values.get(std, {})) for part, (mean, std) in named.items()}
    found = [(part, high) for part, high in paid.items() if high]
    return found[0] if len(found) == 1 else None


def _by_name(part: str) -> bool:
    """Whether a name says that right answers are paid, by whole words: `incorrect` and `has_answer` do not."""
    words = {word.lower() for word in _WORDS.findall(part)}
    return bool(words & _OF_ANSWERS) and not words & _OF_OTHERS


def _paid(means: _Curve, deviations: _Curve) -> float | None:
    """What a reward pays that takes 0 and one other value alone, where that is a usual one."""
    return next((high for high in USUAL if _two_valued(means, deviations, high)), None)


def _two_valued(means: _Curve, deviations: _Curve, high: float) -> bool:
    """Whether a reward takes the values 0 and `high` alone."""
    if any(not (math.isnan(mean) or 0.0 <= mean <= high) for mean in means.values()):
        return False
    both = [(mean, deviations.get(step, math.nan)) for step, mean in means.items()]
    shares = [deviation**2 / (mean * (high - mean)) for mean, deviation in both if 0 < mean < high and deviation >= 0]
    return bool(shares) and NEAR[0] <= median(shares) <= NEAR[1]
