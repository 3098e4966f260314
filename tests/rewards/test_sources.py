from __future__ import annotations

import pickle

import pytest
from tests.rewards.conftest import MakeGroup

from presat.errors import ConfigError
from presat.rewards import FormatOnly, RandomCoin, Verifiable, label_is_right
from presat.types import Score

NOTHING: list[Score] = []
"""Scores for rewards that must not look at them: looking would fail."""


def test_verifiable_hands_on_the_verdict(group: MakeGroup) -> None:
    scores = [Score(1.0, "1"), Score(0.0, "2"), Score(None, "3", "timeout")]
    assert Verifiable()(group(["a", "b", "c"]), scores) == [1.0, 0.0, None]


def test_format_only_sees_the_box_alone(group: MakeGroup) -> None:
    texts = [r"\boxed{1}", r"\boxed{wrong}", r"\boxed{}", r"\boxed{1", "1", r"\boxed{1} \boxed{2}"]
    assert FormatOnly()(group(texts), NOTHING) == [1, 1, 0, 0, 0, 1]


def test_the_coin_is_fair_and_falls_only_for_a_single_box(group: MakeGroup) -> None:
    texts = [r"\boxed{1}"] * 2000
    values = RandomCoin(seed=1)(group(texts), NOTHING)
    assert set(values) == {0.0, 1.0}
    assert abs(sum(value or 0 for value in values) / 2000 - 0.5) < 0.05  # 4.5 standard deviations
    without = [r"\boxed{1} \boxed{2}", "1", r"\boxed{}", ""] * 50
    assert RandomCoin(probability=1.0)(group(without), NOTHING) == [0.0] * 200


def test_the_coin_is_a_function_of_seed_group_and_place(group: MakeGroup) -> None:
    texts = [r"\boxed{1}"] * 64
    first = RandomCoin(seed=1)(group(texts, seed=5), NOTHING)
    assert RandomCoin(seed=1)(group([r"\boxed{other}"] * 64, seed=5, gold=None), NOTHING) == first
    assert RandomCoin(seed=2)(group(texts, seed=5), NOTHING) != first
    assert RandomCoin(seed=1)(group(texts, seed=6), NOTHING) != first
    assert RandomCoin(seed=1)(group(texts[:8], seed=5), NOTHING) == first[:8]


@pytest.mark.parametrize(("probability", "value"), [(0.0, 0.0), (1.0, 1.0)])
def test_a_certain_coin(probability: float, value: float, group: MakeGroup) -> None:
    assert RandomCoin(probability=probability)(group([r"\boxed{1}"] * 100), NOTHING) == [value] * 100


def test_a_coin_needs_a_probability() -> None:
    with pytest.raises(ConfigError, match=r"within 0 and 1; it is 1\.5"):
        RandomCoin(probability=1.5)


@pytest.mark.parametrize("reward", [Verifiable(), RandomCoin(3, 0.25), FormatOnly()])
def test_they_are_picklable_and_named(reward: Verifiable | RandomCoin | FormatOnly) -> None:
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert reward.name in ("verifiable", "random", "format_only")


@pytest.mark.parametrize(
    ("rewards", "values", "right"),
    [
        ([1.0, 0.0], [1.0, 0.0], True),
        ([1.0, 0.0], [0.0, 1.0], False),
        ([0.0, 0.0], [1.0, 1.0], None),  # nothing was rewarded
        ([1.0, 0.0], [None, 1.0], None),  # what was rewarded could not be judged
        ([1.0, 1.0], [None, 1.0], True),
        ([None, 1.0], [1.0, 0.0], False),
    ],
)
def test_whether_the_label_is_right(rewards: list[float], values: list[float], right: bool | None) -> None:
    assert label_is_right(rewards, [Score(value) for value in values]) is right
