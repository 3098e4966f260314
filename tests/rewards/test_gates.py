from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rewards.conftest import MakeGroup

from presat.config.schema import RewardConfig
from presat.rewards import (
    GATES,
    SOURCES,
    FormatOnly,
    Gated,
    MajorityVote,
    RandomCoin,
    UserReward,
    Verifiable,
    judge,
    make_reward,
    needs_of,
    votes_of,
)
from presat.types import RolloutGroup, Score
from presat.verify import extract_boxed

# response: passes boxed, think, think_opened, single_box
FORMS = {
    r"\boxed{1}": "b  s",
    r"so \boxed{1}.": "b  s",
    r"$$\boxed{1}$$": "b  s",
    r"\[ \boxed{1} \]": "b  s",
    r"\boxed{1} is the answer": "b   ",
    r"\boxed{1} \boxed{1}": "b   ",
    r"\boxed{\boxed{1}}": "b  s",
    r"\boxed{}": "    ",
    r"\boxed{1": "    ",
    "1": "    ",
    "": "    ",
    r"<think>a</think> \boxed{1}": "bt s",
    r"<think>a</think> \boxed{1} \boxed{2} .": "bt  ",
    r"<think></think>\boxed{1}": "bt s",
    r"first <think>a</think> \boxed{1}": "bt s",
    r"a</think> \boxed{1}": "b os",
    r"a</think> \boxed{1} bye": "b o ",
    r"<think>a \boxed{1}</think> and so it is done": "b   ",
    r"a \boxed{1}</think> and so it is done": "b   ",
    r"<think>a \boxed{1}": "b  s",
    r"</think>a<think> \boxed{1}": "b  s",
    r"</think><think>a</think> \boxed{1}": "b  s",
    r"<think>a<think>b</think> \boxed{1}": "b  s",
    r"<think>a</think>b</think> \boxed{1}": "b  s",
    r"a</think>b</think> \boxed{1}": "b  s",
    r"<think>a</think>": "    ",
    r"\boxed {1}": "b  s",
    r"\boxed{ }": "    ",
    r"\boxed{\boxed{}}": "    ",
    r"\boxed{1} \boxed{}": "    ",
    r"<think>\boxed{</think> \boxed{1} }": "b  s",  # the box that is read begins in the thought
    r"<think>\boxed{a</think> \boxed{1}": "bt s",
    r"<think>a</think> \boxed{}": "    ",
}
LETTERS = {"boxed": "b", "think": "t", "think_opened": "o", "single_box": "s"}


@pytest.mark.parametrize("text", list(FORMS))
@pytest.mark.parametrize("gate", list(GATES))
def test_what_each_gate_lets_pass(gate: str, text: str) -> None:
    assert GATES[gate](text, "boxed") is (LETTERS[gate] in FORMS[text])


@pytest.mark.parametrize("gate", list(GATES))
def test_a_gate_before_a_reward_of_0_and_1_is_the_papers(gate: str, group: MakeGroup) -> None:
    texts = list(FORMS)
    values = [[1.0, 0.0, None][index % 3] for index in range(len(texts))]
    gated = Gated(Verifiable(), gate)
    rewards = gated(group(texts), [Score(value) for value in values])
    assert rewards == [v if LETTERS[gate] in FORMS[t] else 0.0 for v, t in zip(values, texts, strict=True)]


@pytest.mark.parametrize("reward", [Verifiable(), FormatOnly(), RandomCoin(), MajorityVote()])
def test_a_gate_never_changes_the_source(reward: Verifiable | MajorityVote) -> None:
    gated = Gated(reward, "think")
    assert gated.name == reward.name
    assert pickle.loads(pickle.dumps(gated)) == gated


def test_a_gated_majority_vote_is_still_a_majority_vote(group: MakeGroup) -> None:
    """Every response votes, passing or not, and neither gold nor scores decide."""
    texts = [r"\boxed{7}", r"\boxed{7}", r"<think>a</think>\boxed{7}", r"<think>a</think>\boxed{1}"]
    rewards = Gated(MajorityVote(votes=4), "think")(group(texts, gold="1"), [Score(0.0)] * 3 + [Score(1.0)])
    assert rewards == [0.0, 0.0, 1.0, 0.0]


@given(st.lists(st.sampled_from(list(FORMS)), min_size=1, max_size=4).map(" ".join))
def test_what_passes_a_gate_has_an_answer_that_is_read(text: str) -> None:
    """Gates and extraction agree on what a box is: what passes `boxed` is exactly what has an answer."""
    assert GATES["boxed"](text, "boxed") == bool(extract_boxed(text))
    for gate, passes in GATES.items():
        assert GATES["boxed"](text, "boxed") or not passes(text, "boxed"), gate


def drawn_group(make: MakeGroup, texts: list[str], stats: list[float]) -> RolloutGroup:
    made = make(texts, "lab")
    keys = [need.key for source in SOURCES for need in needs_of(make_reward(source))]
    completions = tuple(
        dataclasses.replace(completion, stats=dict.fromkeys(keys, value))
        for completion, value in zip(made.completions, stats, strict=True)
    )
    return dataclasses.replace(made, completions=completions)


def length_as_cost(group: RolloutGroup, scores: Any) -> list[float | None]:
    """A user's reward: never above 0, no lowest value, and none for an empty response."""
    return [-float(len(completion.text)) if completion.text else None for completion in group.completions]


RESPONSES = st.tuples(
    st.sampled_from(list(FORMS)), st.floats(0, 12, allow_subnormal=False), st.sampled_from([0.0, 1.0, None])
)
WEIGHTS = st.sampled_from([-2.0, -0.05, 0.0, 0.1, 1.0])
PAPERS = ("verifiable", "majority_vote", "soft_majority_vote", "random", "format_only")
"""Rewards within 0 and 1: the reward times the gate, as in the paper. A passing 0 is as low as what fails."""


@given(st.lists(RESPONSES, min_size=1, max_size=8), st.sampled_from(list(GATES)))
def test_what_fails_a_gate_earns_less_than_what_passes(group: MakeGroup, responses: list[Any], gate: str) -> None:
    texts, stats, values = (list(column) for column in zip(*responses, strict=True))
    made, scores = drawn_group(group, texts, stats), [Score(value) for value in values]
    for source in (*SOURCES, length_as_cost):
        plain = UserReward(source, "mine") if callable(source) else make_reward(source)
        gated = Gated(plain, gate)
        before, after = plain(made, scores), gated(made, scores)
        passes = [GATES[gate](text, "boxed") for text in texts]
        assert [value for value, ok in zip(after, passes, strict=True) if ok] == [
            value for value, ok in zip(before, passes, strict=True) if ok
        ]
        if source in PAPERS:
            assert [value for value, ok in zip(after, passes, strict=True) if not ok] == [0.0] * passes.count(False)
        _orders(after, passes, strict=source not in (*PAPERS, "self_certainty"))


@given(st.lists(RESPONSES, min_size=1, max_size=6), st.sampled_from(list(GATES)), st.data())
def test_what_fails_a_gate_earns_less_in_a_sum_of_any_weights(
    group: MakeGroup, responses: list[Any], gate: str, data: st.DataObject
) -> None:
    texts, stats, values = (list(column) for column in zip(*responses, strict=True))
    made, scores = drawn_group(group, texts, stats), [Score(value) for value in values]
    parts = [{"source": source, "weight": data.draw(WEIGHTS)} for source in SOURCES]
    counting = [part for part in parts if part["weight"]]
    if not counting:
        return
    config = RewardConfig.model_validate({"source": "weighted_sum", "gate": gate, "parts": parts})
    bounded = all(part["weight"] > 0 and part["source"] != "negative_entropy" for part in counting)
    _orders(make_reward(config)(made, scores), [GATES[gate](text, "boxed") for text in texts], strict=not bounded)


def _orders(values: list[float | None], passes: list[bool], *, strict: bool) -> None:
    failing = [value for value, ok in zip(values, passes, strict=True) if not ok]
    passing = [value for value, ok in zip(values, passes, strict=True) if ok and value is not None]
    assert None not in failing
    assert len(set(failing)) <= 1
    for low in failing:
        assert all(low < high if strict else low <= high for high in passing)


def test_a_gate_before_negative_entropy_puts_what_fails_below_what_passes(group: MakeGroup) -> None:
    texts = [r"\boxed{1}", r"\boxed{2}", "none", ""]
    gated = make_reward("negative_entropy", "boxed")
    assert gated(drawn_group(group, texts, [0.5, 2.0, 0.1, 9.0]), []) == [-0.5, -2.0, -3.0, -3.0]
    assert gated(drawn_group(group, texts[2:], [0.1, 9.0]), []) == [-10.0, -10.0]  # nothing passes: nothing to learn


@pytest.mark.parametrize("source", list(SOURCES))
def test_a_gate_keeps_the_votes_and_the_statistics(source: str, group: MakeGroup) -> None:
    texts = [r"<think>a</think>\boxed{7}", r"\boxed{7}", r"<think>a</think>\boxed{1}", "7"]
    plain, gated = make_reward(source), make_reward(source, "think")
    made, scores = drawn_group(group, texts, [0.5] * 4), [Score(1.0), Score(1.0), Score(0.0), Score(0.0)]
    assert (votes_of(gated), needs_of(gated)) == (votes_of(plain), needs_of(plain))
    assert judge(gated, made, scores).vote == judge(plain, made, scores).vote
