"""Training signals: small picklable callables `(group, scores) -> one reward per response`."""

from __future__ import annotations

from presat.rewards.gates import GATES, Gated
from presat.rewards.make import SOURCES, make_reward
from presat.rewards.sources import FormatOnly, RandomCoin, Verifiable
from presat.rewards.vote import MajorityVote, Vote, label_is_right

__all__ = [
    "GATES",
    "SOURCES",
    "FormatOnly",
    "Gated",
    "MajorityVote",
    "RandomCoin",
    "Verifiable",
    "Vote",
    "label_is_right",
    "make_reward",
]
