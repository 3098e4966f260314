"""The user's own reward, from a module in the current folder and from the entry points of an installed package."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from tests.rewards.conftest import MakeGroup

from presat.config.schema import RewardConfig
from presat.errors import ConfigError, RunError
from presat.rewards import Gated, SelfCertainty, WeightedSum, judge, make_reward, needs_of, votes_of
from presat.rewards.labels import count_labels, label_metrics
from presat.types import Score

SOURCE = '''
from dataclasses import dataclass
from presat.rewards import MajorityVote, Outcome, SelfCertainty, Vote

def short(group, scores, limit=3):
    return [len(c.text) <= limit for c in group.completions]

def wrong_number(group, scores):
    return [1.0]

def not_a_list(group, scores):
    return 1.0

def not_a_number(group, scores):
    return [float("nan")] * len(group.completions)

def wrong_signature(completions):
    return []

@dataclass
class Agrees:
    """Half the verdict, with votes and statistics of its own."""
    factor: float = 0.5
    votes: int = 5
    name: str = "agreement"
    needs = SelfCertainty().needs

    def __call__(self, group, scores):
        return [None if s.value is None else self.factor * s.value for s in scores]

class OwnVote:
    """Majority vote, worth ten, with what is known of the vote."""
    votes = 3

    def __init__(self):
        self.vote = MajorityVote(votes=3)

    def __call__(self, group, scores):
        return self.outcome(group, scores).values_N

    def outcome(self, group, scores):
        found = self.vote.outcome(group, scores)
        return Outcome([10 * value for value in found.values_N], {"ten": found.values_N}, found.vote)

class NoOutcome(OwnVote):
    def outcome(self, group, scores):
        return [1.0] * len(group.completions)

class ShortOutcome(OwnVote):
    def outcome(self, group, scores):
        return Outcome([1.0])

class ShortVote(OwnVote):
    def outcome(self, group, scores):
        return Outcome([1.0] * len(group.completions), vote=Vote("1", (True,), 1.0, False, (1.0,)))

class OtherParts(OwnVote):
    def outcome(self, group, scores):
        values = [1.0] * len(group.completions)
        return Outcome(values, {c.text: values for c in group.completions})

class Fails:
    def __init__(self, now=False):
        if now:
            raise ValueError("no such mood")

    def __call__(self, group, scores):
        raise KeyError("colour")

class FailsInOutcome(OwnVote):
    def outcome(self, group, scores):
        return 1 / 0

class Bounded:
    def __init__(self, lowest, above=5):
        self.lowest, self.above = lowest, above

    def __call__(self, group, scores):
        return [float(self.lowest) + self.above] * len(group.completions)

NUMBER = 3
'''


@pytest.fixture(autouse=True)
def own_module(tmp_path, monkeypatch):
    """A module `own_rewards` beside the user, and a package that offers one of its rewards as `shortness`."""
    (tmp_path / "own_rewards.py").write_text(SOURCE)
    package = tmp_path / "installed" / "own_rewards-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: own-rewards\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[presat.rewards]\nshortness = own_rewards:short\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(package.parent)])
    yield
    sys.modules.pop("own_rewards", None)


def test_a_dotted_path_names_a_function(group: MakeGroup) -> None:
    made = group(["ab", "abcd"])
    assert make_reward("own_rewards:short")(made, []) == [1.0, 0.0]
    assert make_reward("own_rewards:short", limit=4)(made, []) == [1.0, 1.0]
    assert make_reward("own_rewards:short").name == "short"
    reward = make_reward("own_rewards:short", limit=4)
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_a_class_is_made_with_its_options(group: MakeGroup) -> None:
    reward = make_reward("own_rewards:Agrees", factor=3.0)
    assert reward(group(["a", "b"]), [Score(1.0), Score(None)]) == [3.0, None]
    assert (reward.name, votes_of(reward), needs_of(reward)) == ("agreement", 5, SelfCertainty().needs)


@pytest.mark.parametrize("gate", ["none", "boxed"])
def test_its_own_vote_is_logged(gate: str, group: MakeGroup) -> None:
    reward = make_reward("own_rewards:OwnVote", gate)
    made = group([r"\boxed{7}", r"\boxed{8}", "no answer"])
    outcome = judge(reward, made, [])
    assert outcome.values_N == [10.0, 0.0, 0.0 if gate == "none" else -1.0]  # less than anything that passes
    assert outcome.vote is not None
    assert (outcome.vote.label, outcome.vote.tied) == ("7", True)
    found = label_metrics(count_labels([made], [[Score(0.0), Score(1.0), Score(0.0)]], [outcome], 3))
    assert (found["labels/ties"], found["labels/label_accuracy"]) == (1.0, 0.0)
    assert found["labels/majority_share"] == pytest.approx(1 / 3)
    assert (found.get("rewards/ten/mean") == pytest.approx(1 / 3)) is (gate == "none")  # a gate keeps the vote


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NoOutcome", r"`outcome` of the reward NoOutcome returned list, not a presat\.rewards\.Outcome"),
        ("ShortOutcome", "ShortOutcome returned 1 values for 2 responses"),
        ("ShortVote", "vote of the reward ShortVote has 1 verdicts .* for 2 responses"),
    ],
)
def test_its_outcome_is_checked(name: str, message: str, group: MakeGroup) -> None:
    with pytest.raises(RunError, match=message):
        judge(make_reward(f"own_rewards:{name}"), group(["a", "b"]), [])


def test_what_it_raises_is_its_own_failure_not_a_bug_here(group: MakeGroup) -> None:
    with pytest.raises(RunError, match=r"The reward Fails failed \(KeyError: 'colour'\)") as found:
        make_reward("own_rewards:Fails")(group(["a"]), [])
    assert isinstance(found.value.__cause__, KeyError)
    with pytest.raises(RunError, match=r"FailsInOutcome failed \(ZeroDivisionError: division by zero\)"):
        judge(make_reward("own_rewards:FailsInOutcome"), group(["a"]), [])
    with pytest.raises(ConfigError, match=r"own_rewards:Fails cannot be made .*ValueError: no such mood"):
        make_reward("own_rewards:Fails", now=True)


@pytest.mark.parametrize(("text", "fault"), [("def short(:\n", "SyntaxError"), ("limit = nothing\n", "NameError")])
def test_a_module_that_fails_is_named(text: str, fault: str) -> None:
    Path("broken_rewards.py").write_text(text)
    with pytest.raises(ConfigError, match=f"broken_rewards:short cannot be imported.*{fault}"):
        make_reward("broken_rewards:short")


def test_its_parts_have_the_same_names_in_the_same_order_for_every_group(group: MakeGroup) -> None:
    reward = make_reward("own_rewards:OtherParts")
    assert list(judge(reward, group(["a", "b"]), []).parts) == ["a", "b"]
    assert list(judge(reward, group(["b", "a"]), []).parts) == ["a", "b"]  # processes add them up by place
    with pytest.raises(RunError, match=r"returned the parts \['b'\] for one group and \['a', 'b'\] for another"):
        judge(reward, group(["b"]), [])


def test_without_an_outcome_its_values_are_all_there_is(group: MakeGroup) -> None:
    outcome = judge(make_reward("own_rewards:short"), group(["ab", "abcd"]), [])
    assert (outcome.values_N, dict(outcome.parts), outcome.vote) == ([1.0, 0.0], {}, None)


def test_an_entry_point_names_it_too(group: MakeGroup) -> None:
    reward = make_reward("shortness")
    assert reward.name == "shortness"
    assert reward(group(["ab", "abcd"]), []) == [1.0, 0.0]
    with pytest.raises(ConfigError, match=r"no reward 'shortnes'\. Did you mean 'shortness'"):
        make_reward("shortnes")


def test_what_fails_a_gate_earns_the_lowest_value_it_names(group: MakeGroup) -> None:
    made = group([r"\boxed{7}", "no answer"])
    for lowest in (-2, 0.0):
        assert make_reward("own_rewards:Bounded", "boxed", lowest=lowest)(made, []) == [lowest + 5, lowest]
    with pytest.raises(RunError, match=r"reward Bounded returned -3\.0, which is below its own `lowest`, -2"):
        make_reward("own_rewards:Bounded", lowest=-2, above=-1.0)(made, [])
    for lowest in (float("-inf"), "0"):
        with pytest.raises(ConfigError, match="`lowest` of the reward Bounded should be a finite number or None"):
            make_reward("own_rewards:Bounded", lowest=lowest)


def test_it_goes_behind_gates_and_into_sums(group: MakeGroup) -> None:
    config = RewardConfig.model_validate(
        {
            "source": "weighted_sum",
            "gate": "boxed",
            "parts": [{"source": "own_rewards:short", "options": {"limit": 20}}, {"source": "verifiable"}],
        }
    )
    reward = make_reward(config)
    assert isinstance(reward, WeightedSum)
    assert isinstance(reward.rewards["short"], Gated)
    assert reward(group([r"\boxed{1}", "1"]), [Score(1.0), Score(1.0)]) == [2.0, 0.0]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("own_reward:short", {}, "cannot be imported.*No module named 'own_reward'"),
        ("own_rewards:shrt", {}, "no shrt in own_rewards. Did you mean 'short'"),
        ("own_rewards:NUMBER", {}, "is of type int, not a function or a class"),
        ("own_rewards:wrong_signature", {}, r"called as \(group, scores\), but its signature is \(completions\)"),
        ("own_rewards:short", {"limits": 3}, r"called as \(group, scores, limits=\.\.\.\)"),
        ("own_rewards:Agrees", {"factr": 3}, "cannot be made with the options {'factr': 3}"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(source: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_reward(source, **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong_number", "wrong_number returned 1 values for 2 responses"),
        ("not_a_list", "not_a_list returned float for 2 responses"),
        ("not_a_number", "not_a_number returned nan; a reward is a finite number"),
    ],
)
def test_what_it_returns_is_checked(name: str, message: str, group: MakeGroup) -> None:
    with pytest.raises(RunError, match=message):
        make_reward(f"own_rewards:{name}")(group(["a", "b"]), [])


def test_the_current_folder_counts(tmp_path: Path) -> None:
    assert str(tmp_path) not in sys.path
    make_reward("own_rewards:short")
    assert sys.path[0] == str(tmp_path)
