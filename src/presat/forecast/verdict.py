"""From evidence to a verdict for each kind of supervision: generalise, uncertain, memorise, cannot learn, not known.

A verdict is a logistic model over a few of the quantities of `presat.forecast.evidence`, one for each kind. What each
quantity weighs stands in `weights.json`, with where these numbers come from and how well they forecast held-out runs;
where nobody measured that yet, it says so, and every verdict with it.

A run cannot learn where no group of it would have a gradient; no weight is asked about that. Nor is any where nothing
is known that the kind's model weighs: without gold answers a model's bias alone would be the verdict.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypedDict

from presat.forecast.evidence import MEANINGS, Evidence, Values, collect
from presat.forecast.probe import Drawn
from presat.jsons import parse_json

Label = Literal["generalise", "uncertain", "memorise", "cannot learn", "not known"]
Kind = Literal["clean", "noisy", "majority_vote", "self_certainty"]
KINDS: tuple[Kind, ...] = ("clean", "noisy", "majority_vote", "self_certainty")
WORDS: Mapping[Kind, str] = {
    "clean": "right labels",
    "noisy": "wrong labels among them",
    "majority_vote": "no labels, majority vote",
    "self_certainty": "no labels, self-certainty",
}
OF_THE_JUDGE = frozenset(("aligned_right", "faithful_diversity"))
"""Quantities that are only as good as the judge of the reasoning."""
SURE = 2 / 3
"""Probability from which on a verdict is `generalise`; from 1 minus it down, `memorise`."""
LEAST_LIVE = 0.02
"""Least share of groups with a gradient: below, a step of 64 prompts has about one."""
FEWEST = 3
"""Prompts below which nothing is said: what they have in common is chance."""
RESAMPLES = 200
AGREED = 0.95
"""Share of resampled prompts under which all verdicts must be the same for a pass to be over early."""


class Weighed(TypedDict):
    """One quantity of a model: (value - middle) / scale, cut to -1..1, times weight."""

    weight: float
    middle: float
    scale: float


@dataclass(frozen=True, slots=True)
class Reason:
    """What one quantity says.

    Attributes:
        name: the quantity.
        sentence: its value in words.
        push: what it adds to the log-odds of generalising; None where it decides alone.
    """

    name: str
    sentence: str
    push: float | None


@dataclass(frozen=True)
class Verdict:
    """The forecast for one kind of supervision.

    Attributes:
        kind: of supervision.
        words: the same, in words.
        label: the verdict.
        probability: of generalising; None where it cannot learn, or nothing is known.
        low: the lower end of its 95% interval over prompts (percentiles of a bootstrap), the weights taken as known.
        high: the upper end.
        reasons_for: evidence for generalising, the strongest first.
        reasons_against: evidence against.
        unknown: quantities that weigh and are not known here.
        skill: how well such verdicts foretold held-out runs, as it was measured; or that it was not.
    """

    kind: Kind
    words: str
    label: Label
    probability: float | None
    low: float | None
    high: float | None
    reasons_for: list[Reason]
    reasons_against: list[Reason]
    unknown: list[str]
    skill: str

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@cache
def weights() -> Mapping[str, Any]:
    """The models: by kind their `bias`, `quantities` and `skill`; and `source`, where the numbers come from.

    Each kind has a second one, `without_judge`, fitted and measured without what a judge of the reasoning says.
    """
    return parse_json((resources.files("presat.forecast") / "weights.json").read_text(encoding="utf-8"))


def model_of(kind: Kind, exact: bool) -> Mapping[str, Any]:
    """The model of a kind: the whole one where the judge's word may be weighed."""
    model = weights()[kind]
    return model if exact else model["without_judge"]


def judge_kinds(evidence: Evidence, drawn: Sequence[Drawn], values: Sequence[Values], gamma: float) -> list[Verdict]:
    """Return the verdict for every kind of supervision.

    Args:
        evidence: what is known.
        drawn: the prompts it is from, for the intervals.
        values: the quantities of each.
        gamma: share of wrong labels of the noisy kind.
    """
    again = resampled(drawn, values, evidence)
    return [_verdict(kind, evidence, again, gamma) for kind in KINDS]


def is_clear(drawn: Sequence[Drawn], values: Sequence[Values], group_size: int, gamma: float, exact: bool) -> bool:
    """Whether the verdicts stay what they are under nearly all resamplings of the prompts."""
    now = collect(drawn, group_size, values, exact)
    again = resampled(drawn, values, now)
    for kind in KINDS:
        label = label_of(kind, now, gamma)
        if sum(label_of(kind, other, gamma) == label for other in again) < AGREED * len(again):
            return False
    return True


def resampled(drawn: Sequence[Drawn], values: Sequence[Values], now: Evidence) -> list[Evidence]:
    """The evidence of prompts drawn with putting back, so many times that its scatter is that over prompts."""
    rng = random.Random(0)
    found = []
    for _ in range(RESAMPLES):
        chosen = rng.choices(range(len(drawn)), k=len(drawn))
        again = [drawn[i] for i in chosen], now.group_size, [values[i] for i in chosen], now.exact
        found.append(collect(*again, bare=True))
    return found


def label_of(kind: Kind, evidence: Evidence, gamma: float) -> Label:
    """The verdict alone."""
    if evidence.prompts < FEWEST:
        return "not known"
    if why_not(kind, evidence):
        return "cannot learn"
    if not reasons(kind, evidence, gamma):
        return "not known"
    chance = probability(kind, evidence, gamma)
    return "generalise" if chance >= SURE else "memorise" if chance <= 1 - SURE else "uncertain"


def why_not(kind: Kind, evidence: Evidence) -> str:
    """Why no group of such a run would have a gradient; empty where some would."""
    if (evidence["read"] or 0.0) < LEAST_LIVE and kind != "self_certainty":
        return "an answer is read from next to no response, so nothing can be rewarded"
    dead = (evidence["dead_right"], evidence["dead_wrong"])
    if kind in ("clean", "noisy") and None not in dead and sum(filter(None, dead)) > 1 - LEAST_LIVE:
        return f"groups are expected all right ({dead[0]:.0%}) or all wrong ({dead[1]:.0%}), which teaches nothing"
    alike = evidence["dead_vote"]
    if kind == "majority_vote" and alike is not None and alike > 1 - LEAST_LIVE:
        return f"groups are expected to give one answer ({alike:.0%}), which no vote divides"
    return ""


def probability(kind: Kind, evidence: Evidence, gamma: float) -> float:
    """The chance that such a run generalises, as the model of its kind has it."""
    pushes = [reason.push for reason in reasons(kind, evidence, gamma)]
    return 1.0 / (1.0 + math.exp(-model_of(kind, evidence.exact)["bias"] - math.fsum(filter(None, pushes))))


def reasons(kind: Kind, evidence: Evidence, gamma: float) -> list[Reason]:
    """What every quantity that is known says, the strongest first."""
    found = []
    for name, weighed in model_of(kind, evidence.exact)["quantities"].items():
        value = _quantity(name, evidence, gamma)
        if value is not None:
            push = weighed["weight"] * standing(value, weighed["middle"], weighed["scale"])
            found.append(Reason(name, _sentence(name, value, evidence, gamma), push))
    return sorted(found, key=lambda reason: -abs(reason.push or 0.0))


def _base_rate(kind: Kind, evidence: Evidence) -> Reason:
    """What the model of a kind begins with: how runs of that kind came out, whatever was known before."""
    bias = model_of(kind, evidence.exact)["bias"]
    rate = 1.0 / (1.0 + math.exp(-bias))
    return Reason(
        "base_rate", f"what runs of this kind came to where all else was middling: {rate:.0%} generalised", bias
    )


def standing(value: float, middle: float, scale: float) -> float:
    """Where a value stands as a model weighs it: 0 in the middle, -1 or 1 a scale away and beyond."""
    return max(-1.0, min(1.0, (value - middle) / scale))


def _quantity(name: str, evidence: Evidence, gamma: float) -> float | None:
    """The value that a model weighs: a quantity of the evidence, or the room that noise leaves."""
    if name in OF_THE_JUDGE and not evidence.exact:
        return None
    if name != "noise_room":
        return evidence[name]
    limit = evidence["noise_limit"]
    return None if limit is None else limit - gamma


def _sentence(name: str, value: float, evidence: Evidence, gamma: float) -> str:
    if name == "noise_room":
        return f"{MEANINGS['noise_limit']}: {evidence['noise_limit']:.2f}, and {gamma:g} is asked about"
    return f"{MEANINGS[name]}: {value:.2f}"


def _verdict(kind: Kind, evidence: Evidence, again: Sequence[Evidence], gamma: float) -> Verdict:
    skill = model_of(kind, evidence.exact)["skill"]
    words = WORDS[kind] if kind != "noisy" else f"{gamma:.0%} {WORDS[kind]}"
    unknown = [name for name in weights()[kind]["quantities"] if _quantity(name, evidence, gamma) is None]
    label = label_of(kind, evidence, gamma)
    if label == "not known":
        return Verdict(kind, words, label, None, None, None, [], [], unknown, skill)
    if why := why_not(kind, evidence):
        against = [Reason("gradient", why, None)]
        return Verdict(kind, words, "cannot learn", None, None, None, [], against, unknown, skill)
    found = [*reasons(kind, evidence, gamma), _base_rate(kind, evidence)]
    found.sort(key=lambda reason: -abs(reason.push or 0.0))
    chances = sorted(probability(kind, other, gamma) for other in again)
    low, high = (chances[min(len(chances) - 1, int(q * len(chances)))] for q in (0.025, 0.975))
    return Verdict(
        kind,
        words,
        label,
        probability(kind, evidence, gamma),
        low,
        high,
        [reason for reason in found if (reason.push or 0.0) > 0],
        [reason for reason in found if (reason.push or 0.0) < 0],
        unknown,
        skill,
    )
