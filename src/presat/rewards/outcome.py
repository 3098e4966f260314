"""What a reward says of a group, with what the log wants to know beside the values.

A reward is any callable `(group, scores) -> one value per response`. It may also carry `votes` (how many responses it
has to see), `needs` (statistics of the policy it reads from `Completion.stats`), `lowest` (a value it never goes below)
and a method `outcome` that returns more than the values; the functions here are the one place where these are looked
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from presat.types import Reward, RolloutGroup, Score

if TYPE_CHECKING:
    from presat.rewards.certainty import Statistic


@dataclass(frozen=True, slots=True)
class Vote:
    """Outcome of one vote.

    Attributes:
        label: the winning answer as first written; None when no response has an answer.
        agrees_N: for each response whether its answer is the label.
        share: share of all votes (absent answers included) that the label got.
        tied: whether another answer got as many votes.
        shares_N: for each response the share of all votes that its answer got; 0 without an answer.
    """

    label: str | None
    agrees_N: tuple[bool, ...]
    share: float
    tied: bool
    shares_N: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rewards of one group of N responses.

    Attributes:
        values_N: the rewards; None where the reward does not apply.
        parts: for a weighted sum the values of each part, by name.
        vote: the vote the rewards come from, if any.
    """

    values_N: list[float | None]
    parts: Mapping[str, list[float | None]] = field(default_factory=dict)
    vote: Vote | None = None


def judge(reward: Reward, group: RolloutGroup, scores: Sequence[Score]) -> Outcome:
    """Reward a group once and return everything the reward has to say."""
    outcome = getattr(reward, "outcome", None)
    return outcome(group, scores) if outcome is not None else Outcome(reward(group, scores))


def votes_of(reward: Reward) -> int | None:
    """Return how many responses a reward lets vote; None when it holds no vote."""
    return getattr(reward, "votes", None)


def lowest_of(reward: Reward) -> float | None:
    """Return a value the reward never goes below, by its own account; None where it names none."""
    return getattr(reward, "lowest", None)


def needs_of(reward: Reward) -> tuple[Statistic, ...]:
    """Return the statistics of the policy a reward reads from `Completion.stats`."""
    return tuple(getattr(reward, "needs", ()))
