"""Training signals: small picklable callables `(group, scores) -> one reward per response`."""

from __future__ import annotations

from presat.rewards.certainty import NegativeEntropy, SelfCertainty, Statistic
from presat.rewards.combine import WeightedSum
from presat.rewards.gates import GATES, Gated
from presat.rewards.make import SOURCES, THINKING_IS_OPEN, make_reward, reward_of, with_thinking_open
from presat.rewards.outcome import Outcome, Vote, judge, lowest_of, needs_of, votes_of
from presat.rewards.sources import FormatOnly, RandomCoin, Verifiable
from presat.rewards.user import UserReward
from presat.rewards.vote import MajorityVote, SoftMajorityVote, label_is_right

__all__ = [
    "GATES",
    "SOURCES",
    "THINKING_IS_OPEN",
    "FormatOnly",
    "Gated",
    "MajorityVote",
    "NegativeEntropy",
    "Outcome",
    "RandomCoin",
    "SelfCertainty",
    "SoftMajorityVote",
    "Statistic",
    "UserReward",
    "Verifiable",
    "Vote",
    "WeightedSum",
    "judge",
    "label_is_right",
    "lowest_of",
    "make_reward",
    "needs_of",
    "reward_of",
    "votes_of",
    "with_thinking_open",
]
