from __future__ import annotations

import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rewards.conftest import MakeGroup

from presat.errors import ConfigError
from presat.rewards import MajorityVote, SoftMajorityVote
from presat.types import Completion, Problem, RolloutGroup, Score


@pytest.fixture(scope="module")
def vote() -> MajorityVote:
    """One for all tests of the module: it keeps its worker."""
    return MajorityVote(votes=16)


def boxes(*answers: str) -> list[str]:
    return [f"\\boxed{{{answer}}}" for answer in answers]


def test_the_most_frequent_answer_wins_whatever_is_true(vote: MajorityVote, group: MakeGroup) -> None:
    answers = boxes("3", "5", "5", "1")
    right_scores = [Score(float(answer == r"\boxed{1}")) for answer in answers]
    assert vote(group(answers, gold="1"), right_scores) == [0.0, 1.0, 1.0, 0.0]
    assert vote(group(answers, gold=None), []) == [0.0, 1.0, 1.0, 0.0]


def test_equivalent_answers_are_one(vote: MajorityVote, group: MakeGroup) -> None:
    outcome = vote.vote(group(boxes("0.5", "3", "1/2", "3", r"\frac{1}{2}")))
    assert outcome.label == "0.5"
    assert outcome.agrees_N == (True, False, True, False, True)
    assert outcome.share == 3 / 5
    assert not outcome.tied


def test_a_tie_goes_to_the_answer_seen_first_and_is_counted(group: MakeGroup) -> None:
    vote = MajorityVote()
    outcome = vote.vote(group(boxes("4", "3", "3", "4", "9"), "lab"))
    assert (outcome.label, outcome.tied, outcome.share) == ("4", True, 0.4)
    assert outcome.agrees_N == (True, False, False, True, False)
    assert not vote.vote(group(boxes("4", "3", "3"), "lab")).tied
    assert vote.counts == {"groups": 2, "ties": 1}


def test_absent_answers_have_no_vote_and_no_reward(vote: MajorityVote, group: MakeGroup) -> None:
    texts = ["not sure yet", "not sure yet", r"\boxed{}", r"\boxed{2}", r"\boxed{2"]
    outcome = vote.vote(group(texts))
    assert outcome.agrees_N == (False, False, False, True, False)
    assert outcome.share == 1 / 5  # of all votes, absent ones too
    assert vote(group(texts), []) == [0, 0, 0, 1, 0]


def test_a_group_without_any_answer(group: MakeGroup) -> None:
    vote = MajorityVote()
    outcome = vote.vote(group(["let me see", "not sure yet"]))
    assert (outcome.label, outcome.agrees_N, outcome.share, outcome.tied) == (None, (False, False), 0.0, False)
    assert vote.counts == {"groups": 1, "no_answer": 1}


def test_only_the_first_votes_vote_and_all_are_rewarded(group: MakeGroup) -> None:
    texts = boxes("1", "2", "1", "2", "2", "2")
    assert MajorityVote(votes=3)(group(texts, "lab"), []) == [1, 0, 1, 0, 0, 0]
    assert MajorityVote(votes=6)(group(texts, "lab"), []) == [0, 1, 0, 1, 1, 1]
    assert MajorityVote(votes=16)(group(texts, "lab"), []) == [0, 1, 0, 1, 1, 1]
    assert MajorityVote(votes=3).vote(group(texts, "lab")).share == 2 / 3


def test_votes_beyond_the_update_decide_its_label(group: MakeGroup) -> None:
    """16 vote and the first 8 train: the label may be what none of the first 8 says."""
    texts = boxes(*["1"] * 5, *["2"] * 3, *["3"] * 8)
    assert MajorityVote(votes=16)(group(texts, "lab"), [])[:8] == [0.0] * 8
    assert MajorityVote(votes=8)(group(texts, "lab"), [])[:8] == [1.0] * 5 + [0.0] * 3


def test_the_vote_reads_answers_as_its_mode_says(group: MakeGroup) -> None:
    texts = ["The answer is 7.", "It is 7", r"\boxed{8}"]
    assert MajorityVote(extraction="boxed")(group(texts), []) == [0.0, 0.0, 1.0]
    assert MajorityVote(extraction="any")(group(texts), []) == [1.0, 1.0, 0.0]


def test_an_answer_that_hangs_the_comparison_stands_alone(group: MakeGroup) -> None:
    vote = MajorityVote(timeout_s=0.3)
    assert vote(group(boxes("9^{9^{9^9}}", "5", "5")), []) == [0.0, 1.0, 1.0]


def test_the_graph_answers_of_a_vote_are_compared_as_text(vote: MajorityVote, group: MakeGroup) -> None:
    texts = ["\\boxed{A → B}", r"\boxed{A \rightarrow B}", r"\boxed{C}"]
    assert vote(group(texts, "reasoning_gym"), []) == [1.0, 1.0, 0.0]


def test_it_is_picklable_before_and_after_its_first_vote(group: MakeGroup) -> None:
    vote = MajorityVote(votes=4, extraction="any", workers=2, timeout_s=3.0)
    for _ in range(2):
        copy: MajorityVote = pickle.loads(pickle.dumps(vote))
        assert (copy, copy.counts) == (vote, vote.counts)
        assert copy(group(boxes("1/2", "3", "0.5")), []) == [1.0, 0.0, 1.0]
        vote(group(boxes("1/2", "0.5")), [])


def test_the_soft_vote_pays_every_answer_its_share_of_the_votes(group: MakeGroup) -> None:
    texts = [*boxes("0.5", "3", "1/2"), "not sure yet", *boxes("3", r"\frac12", "9")]
    assert SoftMajorityVote()(group(texts), []) == [3 / 7, 2 / 7, 3 / 7, 0.0, 2 / 7, 3 / 7, 1 / 7]
    assert SoftMajorityVote(votes=4)(group(texts), []) == [2 / 4, 1 / 4, 2 / 4, 0.0, 1 / 4, 2 / 4, 0.0]
    assert SoftMajorityVote()(group(["let me see", "not sure yet"]), []) == [0.0, 0.0]
    assert pickle.loads(pickle.dumps(SoftMajorityVote(votes=3))) == SoftMajorityVote(votes=3) != MajorityVote(votes=3)


@pytest.mark.parametrize("votes", [0, -1])
def test_an_empty_vote_is_refused(votes: int) -> None:
    with pytest.raises(ConfigError, match="at least one vote"):
        MajorityVote(votes=votes)


answers_or_none = st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=20)


@given(answers=answers_or_none, votes=st.integers(1, 20))
def test_against_a_vote_by_hand(answers: list[int | None], votes: int) -> None:
    texts = ["not sure yet" if answer is None else f"\\boxed{{{answer}}}" for answer in answers]
    completions = tuple(Completion(text, (), None, finished=True) for text in texts)
    rewards = MajorityVote(votes)(RolloutGroup(Problem("p", (), None, "lab", "lab"), (), completions), [])
    voters = [answer for answer in answers[:votes] if answer is not None]
    if not voters:
        assert rewards == [0.0] * len(answers)
        return
    most = max(Counter(voters).values())
    label = next(answer for answer in voters if voters.count(answer) == most)
    assert rewards == [float(answer == label) for answer in answers]
