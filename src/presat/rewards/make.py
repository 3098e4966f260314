"""Rewards by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from presat.errors import ConfigError, nearest
from presat.rewards.gates import GATES, Gated
from presat.rewards.sources import FormatOnly, RandomCoin, Verifiable
from presat.rewards.vote import MajorityVote
from presat.types import Reward

if TYPE_CHECKING:
    from presat.config.schema import RewardConfig

SOURCES: dict[str, Callable[..., Reward]] = {
    "verifiable": Verifiable,
    "majority_vote": MajorityVote,
    "random": RandomCoin,
    "format_only": FormatOnly,
}
_PRIVATE = {"name", "counts", "_judge"}


def make_reward(source: str | RewardConfig, gate: str = "none", seed: int = 0, **options: Any) -> Reward:
    """Make a reward.

    Args:
        source: `verifiable`, `majority_vote`, `random`, `format_only`; or a `RewardConfig`, which brings the rest too.
        gate: `none`, or a name in `presat.rewards.gates.GATES`.
        seed: seed of whatever is random about it.
        options: settings of the source (`votes` for the majority vote).

    Raises:
        ConfigError: unknown source, gate or option, with the nearest known one.
    """
    if not isinstance(source, str):
        if source.source == "majority_vote":
            options = {"votes": source.votes, **options}
        return make_reward(source.source, source.gate, seed, **{**options, **source.options})
    if source not in SOURCES:
        raise ConfigError(f"There is no reward '{source}'.{nearest(source, SOURCES)}")
    if gate != "none" and gate not in GATES:
        raise ConfigError(f"There is no reward gate '{gate}'.{nearest(gate, ['none', *GATES])}")
    known = set(inspect.signature(SOURCES[source]).parameters) - _PRIVATE
    for option in options:
        if option not in known:
            raise ConfigError(f"The reward {source} takes no option '{option}'.{nearest(option, known)}")
    if "seed" in known:
        options = {"seed": seed, **options}
    reward = SOURCES[source](**options)
    return reward if gate == "none" else Gated(reward, gate)
