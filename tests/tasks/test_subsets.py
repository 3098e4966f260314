from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.tasks.subsets import near_mean, stratified_round_robin, usable

counts = st.lists(st.integers(0, 16), min_size=1, max_size=80)


def test_usable_leaves_out_never_and_always() -> None:
    assert usable([0, 1, 15, 16, 8]) == [1, 2, 4]
    assert usable([0, 1, 3, 4], samples=4) == [1, 2]


def test_round_robin_takes_one_of_each_bin_before_a_second() -> None:
    solve = [1] * 10 + [5] * 10 + [15] * 1 + [0] * 5 + [16] * 5
    chosen = stratified_round_robin(solve, 6, seed=0)
    assert [solve[index] for index in chosen] == [1, 5, 15, 1, 5, 1]
    assert len(set(chosen)) == 6


@given(counts, st.integers(1, 20), st.integers(0, 5))
def test_round_robin_is_balanced_and_usable(solve: list[int], n: int, seed: int) -> None:
    ready = usable(solve)
    if len(ready) < n:
        with pytest.raises(DataError, match="solved sometimes"):
            stratified_round_robin(solve, n, seed)
        return
    chosen = stratified_round_robin(solve, n, seed)
    assert len(set(chosen)) == n
    assert set(chosen) <= set(ready)
    taken = {count: sum(solve[i] == count for i in chosen) for count in range(1, 16)}
    left = {count: solve.count(count) - taken[count] for count in taken}
    most = max(taken.values())
    assert all(taken[count] >= most - 1 for count in taken if left[count] > 0)
    assert chosen == stratified_round_robin(solve, n, seed)


@given(st.lists(st.integers(1, 15), min_size=40, max_size=80), st.integers(0, 3))
def test_near_mean_comes_at_least_as_near_as_the_paper_choice(solve: list[int], seed: int) -> None:
    target = sum(solve) / len(solve) / 16

    def miss(chosen: list[int]) -> float:
        return abs(sum(solve[index] for index in chosen) / 8 / 16 - target)

    chosen = near_mean(solve, 8, target, seed)
    assert len(set(chosen)) == 8
    assert miss(chosen) <= max(0.02, miss(stratified_round_robin(solve, 8, seed)))


def test_too_few_usable_problems_says_what_to_do() -> None:
    with pytest.raises(DataError, match="Only 1 of 3 problems"):
        near_mean([0, 16, 3], 2, 0.3, seed=0)
