"""Rewards read off the policy's own distribution: self-certainty (section 3) and negative entropy.

Both are means over response tokens of a number that the whole next-token distribution decides, at temperature 1
whatever the responses were sampled at. The numbers come with the response, in `Completion.stats`;
`presat.rewards.policy.PolicyScorer` puts them there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from presat.errors import ConfigError, RunError
from presat.types import RolloutGroup, Score

Kind = Literal["self_certainty", "entropy"]


@dataclass(frozen=True, slots=True)
class Statistic:
    """A mean over the tokens of a response, in nats.

    Attributes:
        kind: `self_certainty`, KL(U || p) with U uniform over the vocabulary; or `entropy`, H(p).
        last: share of the tokens, counted from the end, that the mean is taken over (rounded up to whole tokens).
    """

    kind: Kind
    last: float = 1.0

    @property
    def key(self) -> str:
        """Its name in `Completion.stats`."""
        return self.kind if self.last == 1 else f"{self.kind}/last_{self.last:g}"

    def of(self, values_T: Sequence[float]) -> float:
        """Return the mean over the last tokens of `values_T`, one value a token."""
        count = max(1, math.ceil(self.last * len(values_T) - 1e-9))  # .07 * 100 is a little more than 7
        return math.fsum(values_T[-count:]) / count


@dataclass(frozen=True)
class SelfCertainty:
    """Mean KL(U || p) over the response tokens, as it is (Intuitor, arXiv:2505.19590); no label is looked at."""

    name: str = "self_certainty"
    lowest: ClassVar[float] = 0.0

    @property
    def needs(self) -> tuple[Statistic, ...]:
        """Self-certainty."""
        return (Statistic("self_certainty"),)

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Hand on the statistic."""
        del scores
        return _read(group, self.needs[0])


@dataclass(frozen=True)
class NegativeEntropy:
    """Minus the mean token entropy, of the whole response or its last part (RENT, arXiv:2505.22660); no label.

    Its lowest value, minus the logarithm of the vocabulary's size, is the model's and not known here.

    Attributes:
        last: share of the response's tokens, from the end, that counts; 1 is all of it.
    """

    last: float = 1.0
    name: str = "negative_entropy"

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0 < self.last <= 1:
            raise ConfigError(f"The last part of a response is a share above 0 and up to 1; it is {self.last}.")

    @property
    def needs(self) -> tuple[Statistic, ...]:
        """Entropy of the part that counts."""
        return (Statistic("entropy", self.last),)

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Negate the statistic."""
        del scores
        return [None if value is None else -value for value in _read(group, self.needs[0])]


def _read(group: RolloutGroup, statistic: Statistic) -> list[float | None]:
    """Return the statistic of every response; None for one without tokens."""
    values: list[float | None] = []
    for completion in group.completions:
        value = completion.stats.get(statistic.key)
        if value is None and completion.token_ids:
            raise RunError(
                f"A response to problem {group.problem.id} comes without its {statistic.key}, which the reward reads. "
                "Score the responses with `presat.rewards.policy.PolicyScorer` first."
            )
        values.append(value)
    return values
