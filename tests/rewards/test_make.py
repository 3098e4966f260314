from __future__ import annotations

import pickle
from typing import Any

import pytest

from presat.config.schema import RewardConfig
from presat.errors import ConfigError
from presat.rewards import GATES, SOURCES, FormatOnly, Gated, MajorityVote, RandomCoin, Verifiable, make_reward

KINDS = {"verifiable": Verifiable, "majority_vote": MajorityVote, "random": RandomCoin, "format_only": FormatOnly}


def test_every_source_behind_every_gate_keeps_its_name_and_pickles() -> None:
    assert set(SOURCES) == set(KINDS)
    for source, kind in KINDS.items():
        for gate in ("none", *GATES):
            reward = make_reward(source, gate)
            assert isinstance(reward.reward if isinstance(reward, Gated) else reward, kind)
            assert isinstance(reward, Gated) == (gate != "none")
            assert reward.name == source
            assert pickle.loads(pickle.dumps(reward)) == reward


def test_settings_reach_the_source() -> None:
    assert make_reward("random", seed=7, probability=0.1) == RandomCoin(7, 0.1)
    assert make_reward("majority_vote", votes=5, extraction="any") == MajorityVote(5, "any")
    assert make_reward("verifiable", seed=7) == Verifiable()


def test_a_configuration_makes_the_reward() -> None:
    config = RewardConfig(source="majority_vote", gate="think", votes=12)
    assert make_reward(config, extraction="any", timeout_s=2.0) == Gated(MajorityVote(12, "any", 1, 2.0), "think")
    assert make_reward(RewardConfig()) == Verifiable()
    assert make_reward(RewardConfig(source="random", options={"probability": 0.2}), seed=3) == RandomCoin(3, 0.2)


@pytest.mark.parametrize(
    ("source", "gate", "options", "message"),
    [
        ("majority", "none", {}, "no reward 'majority'. Did you mean 'majority_vote'"),
        ("zzz", "none", {}, "no reward 'zzz'. Known: format_only, majority_vote, random, verifiable"),
        ("verifiable", "thinks", {}, "no reward gate 'thinks'. Did you mean 'think'"),
        ("majority_vote", "none", {"vote": 3}, "majority_vote takes no option 'vote'. Did you mean 'votes'"),
        ("majority_vote", "none", {"counts": {}}, "takes no option 'counts'"),
        ("verifiable", "none", {"votes": 3}, "verifiable takes no option 'votes'"),
        ("majority_vote", "none", {"votes": 0}, "at least one vote"),
    ],
)
def test_errors_name_the_nearest(source: str, gate: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_reward(source, gate, **options)
