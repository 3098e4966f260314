"""What is counted beside the reward, against counts by hand, and that counts of processes add up."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from presat.rewards import Outcome, Vote
from presat.rewards.labels import count_labels, label_metrics
from presat.tasks.noise import corrupted, keep_original
from presat.types import Problem, RolloutGroup, Score

PROBLEM = Problem("p", (), "1", "math", "math")
RIGHT, WRONG, MISSING = Score(1.0, "1"), Score(0.0, "2"), Score(None, "3", "timeout")
NONE = Score(0.0, None, "no boxed answer")


def vote(*agrees: bool, share: float = 0.5, tied: bool = False, label: str | None = "x") -> Vote:
    return Vote(label, agrees, share, tied, (share,) * len(agrees))


def metrics(
    rows: list[list[Score]], outcomes: list[Outcome], group_size: int, problems: list[Problem] | None = None
) -> dict[str, float]:
    groups = [RolloutGroup(problem, (), ()) for problem in problems or [PROBLEM] * len(rows)]
    whole = count_labels(groups, rows, outcomes, group_size)
    parts = [count_labels([g], [r], [o], group_size) for g, r, o in zip(groups, rows, outcomes, strict=True)]
    added: Counter[str] = Counter()
    for part in parts:
        added.update(part)  # type: ignore[arg-type]
    assert {name: added[name] for name in whole} == pytest.approx(dict(whole))
    return label_metrics(whole)


def test_kinds_of_groups_and_gold_accuracy() -> None:
    rows = [[RIGHT, RIGHT, WRONG], [WRONG, NONE, RIGHT], [RIGHT, WRONG, RIGHT], [RIGHT, MISSING, WRONG], [MISSING] * 3]
    found = metrics(rows, [Outcome([0.0] * 3)] * 5, group_size=2)
    assert found == {
        "labels/gold_accuracy": 4 / 7,
        "labels/missing": 3 / 10,
        "labels/all_right": 2 / 4,  # a missing response does not count, nor a group of them
        "labels/all_wrong": 1 / 4,
        "labels/mixed": 1 / 4,
        "labels/majority_share": (1 + 1 / 2 + 1 / 2 + 1 / 2 + 1) / 5,
    }


def test_votes_see_all_responses_and_know_their_label() -> None:
    rows = [[WRONG, WRONG, RIGHT], [RIGHT, WRONG, WRONG], [MISSING, WRONG, WRONG], [NONE, NONE, NONE]]
    votes = [
        vote(False, False, True, share=0.25),  # the label is right, though no response that trains says so
        vote(False, True, True, share=0.75, tied=True),
        vote(True, False, False, share=0.5),  # whether it is right is not known
        vote(False, False, False, share=0.0, label=None),
    ]
    found = metrics(rows, [Outcome([0.0] * 3, vote=held) for held in votes], group_size=2)
    assert found["labels/label_accuracy"] == 1 / 2
    assert found["labels/majority_share"] == 1.5 / 4
    assert found["labels/ties"] == 1 / 4
    assert found["labels/no_answer"] == 1 / 4


def test_labels_that_came_with_the_problems_are_compared_with_the_true_answers_beside_them() -> None:
    labels = [corrupted(PROBLEM, "7"), keep_original(PROBLEM), keep_original(PROBLEM), PROBLEM]
    found = metrics([[RIGHT, WRONG]] * 4, [Outcome([0.0] * 2)] * 4, group_size=2, problems=labels)
    assert found["labels/label_accuracy"] == 2 / 3
    assert "labels/ties" not in found


def test_parts_are_averaged_over_the_responses_that_train() -> None:
    outcomes = [
        Outcome([0.0] * 3, {"a": [1.0, None, 9.0], "b/c": [None, None, 1.0]}),
        Outcome([0.0] * 3, {"a": [0.0, 0.5, 9.0], "b/c": [None] * 3}),
    ]
    found = metrics([[RIGHT] * 3] * 2, outcomes, group_size=2)
    assert found["rewards/a/mean"] == 0.5
    assert math.isnan(found["rewards/b/c/mean"])


def test_right_answers_agree_however_they_are_written() -> None:
    rows = [[Score(1.0, "1/2"), Score(1.0, "0.5"), Score(0.0, "1"), Score(0.0, "2")]]
    assert metrics(rows, [Outcome([0.0] * 4)], group_size=4)["labels/majority_share"] == 2 / 4


def test_answers_written_alike_agree() -> None:
    rows = [[Score(0.0, " 07 "), Score(0.0, "7"), Score(0.0, "$7$"), Score(0.0, "8")]]
    assert metrics(rows, [Outcome([0.0] * 4)], group_size=4)["labels/majority_share"] == 3 / 4
