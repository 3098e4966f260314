from __future__ import annotations

import pickle
from typing import Any

import pytest

from presat.config.schema import RewardConfig
from presat.errors import ConfigError
from presat.rewards import (
    GATES,
    SOURCES,
    FormatOnly,
    Gated,
    MajorityVote,
    NegativeEntropy,
    RandomCoin,
    SelfCertainty,
    SoftMajorityVote,
    Verifiable,
    WeightedSum,
    make_reward,
    needs_of,
    votes_of,
)

KINDS = {
    "verifiable": Verifiable,
    "majority_vote": MajorityVote,
    "soft_majority_vote": SoftMajorityVote,
    "self_certainty": SelfCertainty,
    "negative_entropy": NegativeEntropy,
    "random": RandomCoin,
    "format_only": FormatOnly,
}


def test_every_source_behind_every_gate_keeps_its_name_and_pickles() -> None:
    assert set(SOURCES) == set(KINDS)
    for source, kind in KINDS.items():
        for gate in ("none", *GATES):
            reward = make_reward(source, gate)
            assert isinstance(reward.reward if isinstance(reward, Gated) else reward, kind)
            assert isinstance(reward, Gated) == (gate != "none")
            assert reward.name == source
            assert votes_of(reward) == (16 if "vote" in source else None)
            assert bool(needs_of(reward)) == (source in ("self_certainty", "negative_entropy"))
            assert pickle.loads(pickle.dumps(reward)) == reward


def test_settings_reach_the_source() -> None:
    assert make_reward("random", seed=7, probability=0.1) == RandomCoin(7, 0.1)
    assert make_reward("majority_vote", votes=5, extraction="any") == MajorityVote(5, "any")
    assert make_reward("verifiable", seed=7) == Verifiable()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("negative_entropy", {"last": "0.25"}, r"negative_entropy cannot be made with the options \{'last': '0.25'\}"),
        ("random", {"probability": "half"}, r"random cannot be made with the options \{'probability': 'half'\}"),
        ("majority_vote", {"votes": "16"}, "needs at least one vote; votes was '16'"),
        ("soft_majority_vote", {"votes": 2.5}, "needs at least one vote; votes was 2.5"),
        ("majority_vote", {"extraction": "boxd"}, r"no extraction mode 'boxd'\. Did you mean 'boxed'"),
    ],
)
def test_options_of_another_kind_are_refused_at_once(source: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_reward(source, **options)


def test_a_configuration_makes_the_reward() -> None:
    config = RewardConfig(source="majority_vote", gate="think", votes=12)
    assert make_reward(config, extraction="any", timeout_s=2.0) == Gated(MajorityVote(12, "any", 1, 2.0), "think")
    assert make_reward(RewardConfig()) == Verifiable()
    assert make_reward(RewardConfig(source="random", options={"probability": 0.2}), seed=3) == RandomCoin(3, 0.2)


def test_a_configuration_makes_a_weighted_sum() -> None:
    config = RewardConfig.model_validate(
        {
            "source": "weighted_sum",
            "gate": "boxed",
            "votes": 12,
            "parts": [
                {"source": "majority_vote", "gate": "think"},
                {"source": "negative_entropy", "weight": 0.1, "options": {"last": 0.25}, "name": "calm_end"},
                {"source": "random", "weight": 0, "gate": "boxed"},
                {"source": "format_only", "weight": -0.5, "gate": "think"},
            ],
        }
    )
    made = make_reward(config, seed=3, extraction="any", workers=2, timeout_s=2.0)
    assert made == WeightedSum(
        {
            "majority_vote": Gated(Gated(MajorityVote(12, "any", 2, 2.0), "think"), "boxed"),
            "calm_end": Gated(NegativeEntropy(0.25), "boxed"),
            "random": Gated(RandomCoin(3), "boxed"),
            "format_only": Gated(Gated(FormatOnly(), "think", cost=True), "boxed", cost=True),
        },
        {"majority_vote": 1.0, "calm_end": 0.1, "random": 0.0, "format_only": -0.5},
    )
    assert config.sources == ["majority_vote", "negative_entropy", "random", "format_only"]
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "weighted_sum"}, "`parts` go together"),
        ({"parts": [{"source": "random"}]}, "`parts` go together"),
        ({"source": "weighted_sum", "parts": [{}], "options": {"last": 1}}, "no options of its own"),
    ],
)
def test_contradictory_settings_of_a_sum_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RewardConfig.model_validate(settings)


def test_parts_of_one_name_are_refused() -> None:
    parts = [{"source": "negative_entropy"}, {"source": "negative_entropy", "options": {"last": 0.5}}]
    config = RewardConfig.model_validate({"source": "weighted_sum", "parts": parts})
    with pytest.raises(ConfigError, match="Two parts of the weighted sum are called 'negative_entropy'"):
        make_reward(config)


@pytest.mark.parametrize(
    ("source", "gate", "options", "message"),
    [
        ("majority", "none", {}, "no reward 'majority'. Did you mean 'majority_vote'"),
        ("zzz", "none", {}, "no reward 'zzz'. Known: format_only, majority_vote, negative_entropy, random"),
        ("verifiable", "thinks", {}, "no reward gate 'thinks'. Did you mean 'think'"),
        ("majority_vote", "none", {"vote": 3}, "majority_vote takes no option 'vote'. Did you mean 'votes'"),
        ("majority_vote", "none", {"counts": {}}, "takes no option 'counts'"),
        ("verifiable", "none", {"votes": 3}, "verifiable takes no option 'votes'"),
        ("majority_vote", "none", {"votes": 0}, "at least one vote"),
        ("negative_entropy", "none", {"last": 0}, "a share above 0 and up to 1; it is 0"),
        ("self_certainty", "none", {"last": 0.5}, "self_certainty takes no option 'last'"),
    ],
)
def test_errors_name_the_nearest(source: str, gate: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_reward(source, gate, **options)
