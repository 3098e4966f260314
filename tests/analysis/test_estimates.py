"""Intervals against textbook numbers and against simulation."""

import math

import numpy as np
import polars as pl
import pytest

from presat.analysis.estimates import Change, avg_of, by_problem, paired_change, pass_of, proportion_change
from presat.metrics import Interval


def test_a_share_gets_wilsons_interval_and_a_difference_agresti_and_caffos():
    change = proportion_change(0.5, 0.9, 10)
    # Wilson, n = 10, z = 1.96: (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    assert change.before_interval[1:] == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert change.after_interval[1:] == pytest.approx((0.5958, 0.9821), abs=1e-4)
    p, q = 6 / 12, 10 / 12
    spread = 1.959964 * math.sqrt((p * (1 - p) + q * (1 - q)) / 12)
    assert change.interval[1:] == pytest.approx((q - p - spread, q - p + spread))
    assert proportion_change(0.5, 0.9, 0).interval is None


def test_the_bootstrap_covers_the_true_change_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        chances = rng.uniform(0.1, 0.7, 40)
        before, after = (
            {str(p): list(rng.binomial(1, chance, 8).astype(float)) for p, chance in enumerate(chances + shift)}
            for shift in (0.0, 0.2)
        )
        found = paired_change(0.0, 0.2, before, after, avg_of)
        covered += found.interval.low <= 0.2 <= found.interval.high
    assert covered >= 50  # 95% of 60 is 57


def test_only_problems_that_both_evaluations_have_are_compared():
    before = {"a": [1.0, 0.0], "b": [0.0, 0.0], "gone": [1.0, 1.0]}
    after = {"a": [1.0, 1.0], "b": [0.0, 1.0], "new": [0.0, 0.0]}
    change = paired_change(0.5, 0.5, before, after, avg_of)
    assert change.problems == 2
    assert change.interval == Interval(0.5, 0.5, 0.5)
    assert paired_change(0.5, 0.5, {"a": [1.0]}, {"a": [0.0]}, avg_of).interval is None
    few = paired_change(0.5, 0.5, before, after, pass_of(4))  # no problem has four samples
    assert (few.interval, few.problems) == (None, None)


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
