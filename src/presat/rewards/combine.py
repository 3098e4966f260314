"""Weighted sums of rewards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from presat.errors import ConfigError
from presat.rewards.certainty import Statistic
from presat.rewards.outcome import Outcome, judge, needs_of, votes_of
from presat.types import Reward, RolloutGroup, Score


@dataclass
class WeightedSum:
    """The sum of several rewards' values times their weights.

    A response that a part does not apply to (None) has no sum either: a missing part is never taken for 0. A part of
    weight 0 is only logged, and does not do that. A sum names no `lowest` value, for weights may be negative.

    Attributes:
        rewards: the parts by the name they are logged under.
        weights: the weight of each, by the same names.
    """

    rewards: Mapping[str, Reward]
    weights: Mapping[str, float]
    name: str = "weighted_sum"

    def __post_init__(self) -> None:
        """Refuse an empty sum, and one that no part has a weight in."""
        if set(self.rewards) != set(self.weights):
            raise ConfigError("Every part of a weighted sum needs a weight, and every weight a part.")
        if not any(self.weights.values()):
            raise ConfigError("A weighted sum of rewards needs at least one part whose weight is not 0.")

    @property
    def votes(self) -> int | None:
        """The most responses that vote on any part."""
        return max((votes for part in self.rewards.values() if (votes := votes_of(part)) is not None), default=None)

    @property
    def needs(self) -> tuple[Statistic, ...]:
        """All statistics of the policy that the parts read."""
        return tuple(dict.fromkeys(need for part in self.rewards.values() for need in needs_of(part)))

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Return the sums."""
        return self.outcome(group, scores).values_N

    def outcome(self, group: RolloutGroup, scores: Sequence[Score]) -> Outcome:
        """The sums, each part's values, and the first part's vote that there is."""
        found = {name: judge(part, group, scores) for name, part in self.rewards.items()}
        counting = [name for name, weight in self.weights.items() if weight]
        rows = zip(*(found[name].values_N for name in counting), strict=True)
        weights = [self.weights[name] for name in counting]
        return Outcome(
            [_weighted(weights, row) for row in rows],
            {name: part.values_N for name, part in found.items()},
            next((part.vote for part in found.values() if part.vote is not None), None),
        )


def _weighted(weights: Sequence[float], values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(w * v for w, v in zip(weights, known, strict=True)) if len(known) == len(values) else None
