"""Dead groups, Cover@tau, CoT-pass@k and the noise an update survives: against counting by hand."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import cot_pass_at_k, cover_at_tau, dead_group, mean_pass_at_k, noise_limit

SCORES = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=8)


@given(SCORES, st.integers(1, 8))
def test_a_dead_group_is_counted_over_all_groups(scores, group_size) -> None:
    found = dead_group(len(scores), int(sum(scores)), group_size)
    if group_size > len(scores):
        assert found is None
        return
    groups = list(itertools.combinations(scores, group_size))
    assert found is not None
    assert found.all_right == pytest.approx(sum(all(group) for group in groups) / len(groups))
    assert found.all_wrong == pytest.approx(sum(not any(group) for group in groups) / len(groups))
    assert found.either <= 1.0 + 1e-12


def test_impossible_groups_are_refused() -> None:
    for samples, right, size in ((4, 5, 2), (4, -1, 2), (4, 2, 0)):
        with pytest.raises(DataError, match="not possible"):
            dead_group(samples, right, size)


def test_cover_counts_problems_solved_often_enough() -> None:
    scores_PG = [[1.0, 1.0, 0.0, None], [0.0, 0.0], [1.0], [None]]
    assert cover_at_tau(scores_PG, 2 / 3) == pytest.approx(2 / 3)  # the missing one of the first is left out
    assert cover_at_tau(scores_PG, 1.0) == pytest.approx(1 / 3)
    assert cover_at_tau([[None]], 0.5) is None
    with pytest.raises(DataError, match="tau"):
        cover_at_tau(scores_PG, 0.0)


def test_a_right_answer_without_sound_reasoning_is_no_right_one() -> None:
    scores_PG = [[1.0, 1.0, 0.0, 1.0]]
    assert cot_pass_at_k(scores_PG, [[True, False, True, None]], 1) == pytest.approx(1 / 3)  # nobody judged the last
    assert cot_pass_at_k(scores_PG, [[True] * 4], 2) == mean_pass_at_k(scores_PG, 2)
    assert cot_pass_at_k(scores_PG, [[None] * 4], 2) is None
    with pytest.raises(DataError, match="judgements"):
        cot_pass_at_k(scores_PG, [[True]], 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_the_noise_limit_is_where_both_pushes_are_equal(right, wrong) -> None:
    limit = noise_limit(right, wrong)
    pushes = [sum(math.sqrt(p * (1 - p)) for p in shares) for shares in (right, wrong)]
    if limit is None:
        assert sum(pushes) == 0.0
    else:
        assert (1 - limit) * pushes[0] == pytest.approx(limit * pushes[1], abs=1e-9)


def test_noise_that_cannot_be_learnt_is_survived_to_the_end() -> None:
    assert noise_limit([0.5], [0.0]) == 1.0  # no wrong answer could be a label
    assert noise_limit([1.0], [0.5]) == 0.0  # solved always: only the noise pushes
