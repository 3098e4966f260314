from __future__ import annotations

import dataclasses
import pickle

import pytest
from tests.rewards.conftest import MakeGroup

from presat.rewards import (
    GATES,
    SOURCES,
    FormatOnly,
    Gated,
    MajorityVote,
    RandomCoin,
    Verifiable,
    judge,
    make_reward,
    needs_of,
    votes_of,
)
from presat.types import Score

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
    r"<think>a \boxed{1}</think> done": "b   ",
    r"a \boxed{1}</think> done": "b   ",
    r"<think>a \boxed{1}": "b  s",
    r"</think>a<think> \boxed{1}": "b  s",
    r"</think><think>a</think> \boxed{1}": "b  s",
    r"<think>a<think>b</think> \boxed{1}": "b  s",
    r"<think>a</think>b</think> \boxed{1}": "b  s",
    r"a</think>b</think> \boxed{1}": "b  s",
    r"<think>a</think>": "    ",
    r"<think>a</think> \boxed{}": "    ",
}
LETTERS = {"boxed": "b", "think": "t", "think_opened": "o", "single_box": "s"}


@pytest.mark.parametrize("text", list(FORMS))
@pytest.mark.parametrize("gate", list(GATES))
def test_what_each_gate_lets_pass(gate: str, text: str) -> None:
    assert GATES[gate](text) is (LETTERS[gate] in FORMS[text])


@pytest.mark.parametrize("gate", list(GATES))
def test_a_gate_changes_nothing_but_zeros(gate: str, group: MakeGroup) -> None:
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


@pytest.mark.parametrize("source", list(SOURCES))
def test_a_gate_works_with_every_source(source: str, group: MakeGroup) -> None:
    """The gated reward is the reward times the gate, and asks for the same votes and statistics."""
    texts = [r"<think>a</think>\boxed{7}", r"\boxed{7}", r"<think>a</think>\boxed{1}", "7"]
    plain = make_reward(source)
    gated = make_reward(source, "think")
    stats = {need.key: 0.5 for need in needs_of(plain)}
    made = group(texts)
    made = dataclasses.replace(made, completions=tuple(dataclasses.replace(c, stats=stats) for c in made.completions))
    scores = [Score(1.0), Score(1.0), Score(0.0), Score(0.0)]
    values = plain(made, scores)
    assert gated(made, scores) == [values[0], 0.0, values[2], 0.0]
    assert (votes_of(gated), needs_of(gated)) == (votes_of(plain), needs_of(plain))
    assert judge(gated, made, scores).vote == judge(plain, made, scores).vote
