"""Rewards by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from presat.answers.formats import Format
from presat.errors import ConfigError, nearest
from presat.rewards.certainty import NegativeEntropy, SelfCertainty
from presat.rewards.combine import WeightedSum
from presat.rewards.gates import GATES, Gated
from presat.rewards.sources import FormatOnly, RandomCoin, Verifiable
from presat.rewards.user import offered, user_reward
from presat.rewards.vote import MajorityVote, SoftMajorityVote
from presat.types import Reward
from presat.verify import Mode

if TYPE_CHECKING:
    from presat.config.schema import RewardConfig, TrainConfig

SOURCES: dict[str, Callable[..., Reward]] = {
    "verifiable": Verifiable,
    "majority_vote": MajorityVote,
    "soft_majority_vote": SoftMajorityVote,
    "self_certainty": SelfCertainty,
    "negative_entropy": NegativeEntropy,
    "random": RandomCoin,
    "format_only": FormatOnly,
}
_PRIVATE = {"name", "counts", "_judge"}


def make_reward(
    source: str | RewardConfig, gate: str = "none", seed: int = 0, extraction: Mode = "auto", **options: Any
) -> Reward:
    """Make a reward.

    Args:
        source: a name in `SOURCES`, the user's own (`package.module:name`, or an entry point in `presat.rewards`); or a
            `RewardConfig`, which brings the rest too.
        gate: `none`, or a name in `presat.rewards.gates.GATES`.
        seed: seed of whatever is random about it.
        extraction: where answers stand in responses (`presat.verify`), for votes and gates.
        options: settings of the source (`votes` for the majority vote). Beside a `RewardConfig` they are defaults, for
            the sources that take them.

    Raises:
        ConfigError: unknown source, gate or option, with the nearest known one; or the user's own cannot be used.
    """
    if not isinstance(source, str):
        return _configured(source, seed, extraction, options)
    if gate != "none" and gate not in GATES:
        raise ConfigError(f"There is no reward gate '{gate}'.{nearest(gate, ['none', *GATES])}")
    read = {"extraction": extraction} if "extraction" in _options_of(source) else {}
    reward = _ours(source, seed, read | options) if source in SOURCES else user_reward(source, options)
    if reward is None:
        raise ConfigError(f"There is no reward '{source}'.{nearest(source, [*SOURCES, *offered()])}")
    return _gated(reward, gate, extraction)


def reward_of(config: TrainConfig) -> Reward:
    """Return the training signal of a run; a vote reads answers as its verifier does.

    Raises:
        ConfigError: unknown reward, gate or option.
    """
    verify = config.verify
    reading = {"extraction": verify.extraction, "workers": verify.workers, "timeout_s": verify.timeout_s}
    return make_reward(config.reward, seed=config.seed, **reading)


THINKING_IS_OPEN = (
    "The prompts end in an opened `<think>`, which the gate `think` waits for in the response and would never find: "
    "`think_opened` is used in its place. Set `gate: think_opened` to say so."
)


def with_thinking_open(reward: Reward) -> Reward:
    """The reward for prompts that end in an opened `<think>`: its gates `think` are `think_opened`."""
    if isinstance(reward, WeightedSum):
        return replace(reward, rewards={name: with_thinking_open(part) for name, part in reward.rewards.items()})
    if not isinstance(reward, Gated):
        return reward
    gate = "think_opened" if reward.gate == "think" else reward.gate
    return replace(reward, reward=with_thinking_open(reward.reward), gate=gate)


def _gated(reward: Reward, gate: str, extraction: Mode, weight: float = 1.0) -> Reward:
    form: Format = "boxed" if extraction == "any" else extraction
    return reward if gate == "none" else Gated(reward, gate, cost=weight < 0, form=form)


def _ours(source: str, seed: int, options: Mapping[str, Any]) -> Reward:
    known = _options_of(source)
    for option in options:
        if option not in known:
            raise ConfigError(f"The reward {source} takes no option '{option}'.{nearest(option, known)}")
    try:
        return SOURCES[source](**({"seed": seed, **options} if "seed" in known else options))
    except TypeError as error:  # a value of another kind than the option's
        raise ConfigError(f"The reward {source} cannot be made with the options {dict(options)}: {error}.") from error


def _options_of(source: str) -> set[str]:
    """The options a source of ours takes; none for one that is not ours."""
    return set(inspect.signature(SOURCES[source]).parameters) - _PRIVATE if source in SOURCES else set()


def _configured(config: RewardConfig, seed: int, extraction: Mode, defaults: Mapping[str, Any]) -> Reward:
    def make(source: str, options: Mapping[str, Any]) -> Reward:
        given = {"votes": config.votes, **defaults}
        taken = {name: value for name, value in given.items() if name in _options_of(source)}
        return make_reward(source, "none", seed, **{"extraction": extraction, **taken, **options})

    if not config.parts:
        return _gated(make(config.source, config.options), config.gate, extraction)
    rewards: dict[str, Reward] = {}
    for part in config.parts:
        reward = _gated(make(part.source, part.options), part.gate, extraction, part.weight)
        # a gate around a sum is the same gate around each part; so every part is logged as it counts
        reward = _gated(reward, config.gate, extraction, part.weight) if config.gate != part.gate else reward
        name = part.name or reward.name
        if name in rewards:
            raise ConfigError(f"Two parts of the weighted sum are called '{name}'; give one of them another `name`.")
        rewards[name] = reward
    return WeightedSum(rewards, {name: part.weight for name, part in zip(rewards, config.parts, strict=True)})
