"""Intervals against textbook numbers and against simulation."""

import numpy as np
import polars as pl
import pytest

from presat.analysis.estimates import Change, avg_of, by_problem, paired_change, pass_of, proportion_change
from presat.metrics import (
    Interval,
    change_interval,
    mean_interval,
    proportion_change_interval,
    proportion_interval,
    share_interval,
)


def test_one_answer_a_problem_is_taken_as_independent_samples():
    change = proportion_change(0.5, 0.9, 10)
    assert change.interval == proportion_change_interval(0.5, 0.9, 10)
    assert (change.before_interval, change.after_interval) == (
        proportion_interval(0.5, 10),
        proportion_interval(0.9, 10),
    )
    assert proportion_change(0.5, 0.9, 0).interval is None
    assert proportion_change(0.5, 0.9, 2).interval is None


def test_the_interval_covers_the_true_change_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        chances = rng.uniform(0.1, 0.7, 12)
        before, after = (
            {str(p): list(rng.binomial(1, chance, 8).astype(float)) for p, chance in enumerate(chances + shift)}
            for shift in (0.0, 0.2)
        )
        found = paired_change(0.0, 0.2, before, after, avg_of)
        covered += found.interval.low <= 0.2 <= found.interval.high
    assert covered >= 186


def test_a_change_is_paired_over_the_problems_that_both_evaluations_have():
    before = {"a": [1.0, 0.0], "b": [0.0, 0.0], "c": [0.0, 1.0]}
    after = {"a": [1.0, 1.0], "b": [0.0, 1.0], "c": [1.0, 0.0]}
    change = paired_change(1 / 3, 2 / 3, before, after, avg_of)
    assert change.problems == 3
    assert change.interval == change_interval([0.5, 0.5, 0.0])
    assert change.before_interval == share_interval([0.5, 0.0, 0.5])
    assert paired_change(0.5, 0.5, {"a": [1.0]}, {"a": [0.0]}, avg_of).interval is None
    few = paired_change(0.5, 0.5, before, after, pass_of(4))  # no problem has four samples
    assert (few.interval, few.problems) == (None, None)
    rewards = paired_change(5.0, 6.0, {p: [5.0 + i] for i, p in enumerate("abcd")}, {p: [7.0] for p in "abcd"}, avg_of)
    assert rewards.interval == mean_interval([2.0, 1.0, 0.0, -1.0])  # no shares: nothing bounds them


def test_intervals_are_of_the_problems_that_the_numbers_are_of():
    """What one evaluation left out does not move the other's number, nor the estimate that the interval is around."""
    rng = np.random.default_rng(0)
    before, after = ({str(p): list(rng.binomial(1, chance, 4) * 1.0) for p in range(40)} for chance in (0.3, 0.6))
    logged = [np.mean(list(map(avg_of, rows.values()))) for rows in (before, after)]
    whole = paired_change(*logged, before, after, avg_of)
    assert whole.interval.estimate == pytest.approx(whole.difference)
    unjudged = [str(p) for p in range(5)]
    some = {problem: scores for problem, scores in after.items() if problem not in unjudged}
    logged[1] = np.mean(list(map(avg_of, some.values())))
    change = paired_change(*logged, before, some, avg_of)
    assert change.problems == 35
    assert change.before_interval == whole.before_interval
    assert change.interval.estimate == pytest.approx(change.difference)
    assert change.interval.high - change.interval.low > whole.interval.high - whole.interval.low


def test_unscored_responses_are_left_out():
    frame = pl.DataFrame({"problem_id": ["a", "b", "a", "c"], "score": [1.0, 0.0, None, None]})
    assert by_problem(frame) == {"a": [1.0], "b": [0.0]}


@pytest.mark.parametrize(
    ("change", "direction"),
    [
        (Change(0.2, 0.3), 1),
        (Change(0.3, 0.2), -1),
        (Change(0.2, 0.21), 0),
        (Change(0.2, 0.3, Interval(0.1, -0.01, 0.2)), 0),
        (Change(0.2, 0.3, Interval(0.1, 0.01, 0.2)), 1),
        (Change(0.3, 0.2, Interval(-0.1, -0.2, -0.01)), -1),
    ],
)
def test_direction(change, direction):
    assert change.direction(0.05) == direction
