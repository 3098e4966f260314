from __future__ import annotations

import pytest
from tests.rewards.conftest import MakeGroup

from presat.errors import ConfigError
from presat.rewards import FormatOnly, Gated, MajorityVote, NegativeEntropy, Verifiable, WeightedSum, judge
from presat.types import Score


def sum_of(**weights: float) -> WeightedSum:
    rewards = {"right": Verifiable(), "form": FormatOnly(), "vote": MajorityVote(votes=3)}
    return WeightedSum({name: rewards[name] for name in weights}, weights)


def test_a_sum_adds_weighted_values_and_tells_the_parts(group: MakeGroup) -> None:
    texts = [r"\boxed{2}", r"\boxed{2}", "none", r"\boxed{1}"]
    scores = [Score(0.0), Score(0.0), Score(0.0), Score(1.0)]
    found = judge(sum_of(right=1.0, form=0.5, vote=-0.25), group(texts, "lab"), scores)
    assert found.values_N == [0.25, 0.25, 0.0, 1.5]
    assert found.parts == {"right": [0, 0, 0, 1], "form": [1, 1, 0, 1], "vote": [1, 1, 0, 0]}
    assert found.vote is not None
    assert (found.vote.label, found.vote.share) == ("2", 2 / 3)


def test_a_missing_part_leaves_the_sum_missing_unless_it_only_logs(group: MakeGroup) -> None:
    scores = [Score(None), Score(1.0)]
    assert sum_of(right=1.0, form=1.0)(group([r"\boxed{1}"] * 2), scores) == [None, 2.0]
    assert sum_of(right=0.0, form=1.0)(group([r"\boxed{1}"] * 2), scores) == [1.0, 1.0]


def test_a_sum_asks_for_what_its_parts_ask_for() -> None:
    entropy, late = NegativeEntropy(), NegativeEntropy(0.5)
    made = WeightedSum(
        {"a": entropy, "b": Gated(late, "think"), "c": entropy, "d": Gated(MajorityVote(12), "boxed")},
        dict.fromkeys("abcd", 1.0),
    )
    assert made.needs == (*entropy.needs, *late.needs)
    assert made.votes == 12
    assert sum_of(right=1.0).votes is None


@pytest.mark.parametrize("weights", [{}, {"right": 0.0}])
def test_a_sum_of_nothing_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="at least one part"):
        sum_of(**weights)


def test_weights_and_parts_belong_together() -> None:
    with pytest.raises(ConfigError, match="every weight a part"):
        WeightedSum({"right": Verifiable()}, {"rihgt": 1.0})
