import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import avg_at_k, greedy, maj_at_k, mean_pass_at_k, pass_at_k, too_few_judged


@given(st.integers(0, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.integers(1, 9))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(counts, k):
    samples, correct = counts
    subsets = list(itertools.combinations([True] * correct + [False] * (samples - correct), k))
    if not subsets:
        assert pass_at_k(samples, correct, k) is None
    else:
        assert pass_at_k(samples, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(st.integers(1, 3000), st.data())
def test_pass_at_k_agrees_with_exact_binomials_where_floats_would_overflow(samples, data):
    correct = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    exact = 1 - Fraction(math.comb(samples - correct, k), math.comb(samples, k))
    assert pass_at_k(samples, correct, k) == pytest.approx(float(exact), abs=1e-9)


def test_pass_at_k_is_never_made_up():
    assert pass_at_k(8, 8, 16) is None
    assert pass_at_k(16, 16, 16) == 1.0
    assert pass_at_k(16, 0, 16) == 0.0
    with pytest.raises(DataError, match="not possible"):
        pass_at_k(4, 5, 1)
    with pytest.raises(DataError, match="at least 1"):
        pass_at_k(4, 2, 0)


def test_a_problem_with_too_few_judged_samples_is_left_out_of_pass_at_k_and_counted():
    assert mean_pass_at_k([[1, 0, 0, 0], [0, 0, 0, 0]], 2) == pytest.approx(0.25)
    rows = [[1, 0, 0, 0], [0, 0, 0, None], [0, None, math.nan, 1]]
    assert mean_pass_at_k(rows, 4) == 1.0
    assert mean_pass_at_k(rows, 2) == pytest.approx((0.5 + 0.0 + 1.0) / 3)  # of 4, of 3 and of 2 judged samples
    assert [too_few_judged(rows, k) for k in (1, 2, 3, 4)] == [0, 0, 1, 2]
    assert mean_pass_at_k(rows, 5) is None  # no problem is left
    assert mean_pass_at_k([[1, 0], [0, None]], 1) == pytest.approx(0.25)
    assert mean_pass_at_k([], 1) is None
    with pytest.raises(DataError, match="0 and 1"):
        mean_pass_at_k([[0.5]], 1)


scores = st.lists(st.lists(st.sampled_from([0.0, 1.0, None, math.nan]), max_size=6), max_size=6)


@given(scores)
def test_avg_at_k_leaves_missing_samples_out(rows):
    means = []
    for row in rows:
        judged = [value for value in row if value is not None and not math.isnan(value)]
        if judged:
            means.append(sum(judged) / len(judged))
    assert avg_at_k(rows) == (pytest.approx(sum(means) / len(means)) if means else None)


def test_avg_at_k_takes_the_first_k():
    assert avg_at_k([[1, 1, 0, 0]], 2) == 1.0
    with pytest.raises(DataError, match="first 5"):
        avg_at_k([[1, 1, 0, 0]], 5)


def test_greedy_is_accuracy_over_judged_problems():
    assert greedy([1, 0, None, 1]) == pytest.approx(2 / 3)
    assert greedy([None]) is None


def brute_force_majority(answers, right):
    """Expected score when ties are broken by a fair draw."""
    votes = {a: answers.count(a) for a in answers if a is not None}
    if not votes:
        return 0.0
    winners = [a for a, count in votes.items() if count == max(votes.values())]
    return sum(float(a == right) for a in winners) / len(winners)


answers = st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=7)


@given(st.lists(answers, min_size=1, max_size=5))
def test_majority_vote_by_brute_force(rows):
    judged = [[float(answer == "1") for answer in row] for row in rows]
    expected = sum(brute_force_majority(row, "1") for row in rows) / len(rows)
    assert maj_at_k(rows, judged) == pytest.approx(expected)


def test_majority_ties_missing_votes_and_missing_verdicts():
    assert maj_at_k([["2", "1"]], [[0, 1]]) == 0.5
    assert maj_at_k([["2", "1"]], [[0, 1]], ties="first") == 0.0
    assert maj_at_k([["1", "2", "2"]], [[1, 0, 0]], k=1) == 1.0
    assert maj_at_k([[None, None]], [[0, 0]]) == 0.0
    assert maj_at_k([["1/3", "0.5", "1/3", "1/2", "2/4"]], [[0, 1, 0, 1, 1]]) == 0.0  # by text
    assert maj_at_k([[0, 1, 0, 1, 1]], [[0, 1, 0, 1, 1]]) == 1.0  # by class of equivalent answers
    assert maj_at_k([["1", "1"]], [[None, None]]) is None
    assert maj_at_k([["1", "1"], ["2"]], [[None, None], [0]]) == 0.0  # the problem without a verdict is left out
    with pytest.raises(DataError, match="tie rule"):
        maj_at_k([["1"]], [[1]], ties="last")
    with pytest.raises(DataError, match="2 answers but 1"):
        maj_at_k([["1", "2"]], [[1]])
    with pytest.raises(DataError, match="1 problems"):
        maj_at_k([["1"]], [])
