from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat import load_problems
from presat.config.schema import SubsetConfig
from presat.errors import ConfigError, DataError
from presat.tasks import save_problems
from presat.tasks.rows import extra_info
from presat.tasks.subsets import choose_subset, near_mean, solve_counts_of, stratified_round_robin, usable
from presat.types import Problem

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


def problems_with(counts, **more):
    return [
        Problem(f"p{i}", ({"role": "user", "content": f"{i}?"},), "5", "math", "math",
                {"solve": {"right": count, "samples": 16, "model": "m"}, **more})
        for i, count in enumerate(counts)
    ]  # fmt: skip


def test_eight_are_the_first_of_sixty_four_and_fill_a_batch():
    rng = random.Random(0)
    problems = problems_with([rng.randrange(17) for _ in range(300)])
    eight, more = (choose_subset(problems, SubsetConfig(n=n, seed=4)) for n in (8, 64))
    assert [p.id for p in eight] == [p.id for p in more][:8]
    assert [p.metadata["repeats"] for p in (*eight, *more)] == [8] * 8 + [1] * 64
    assert [p.metadata["solve"]["right"] for p in eight] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [p.id for p in choose_subset(problems, SubsetConfig(n=8, seed=5))] != [p.id for p in eight]


def test_a_subset_is_written_as_often_as_it_fills_the_batch_and_read_back_once(tmp_path):
    chosen = choose_subset(problems_with(range(1, 16)), SubsetConfig(n=8, batch=64))
    path = save_problems(chosen, tmp_path / "subset.parquet")
    assert pq.read_metadata(path).num_rows == 64
    assert [p.id for p in load_problems(path)] == [p.id for p in chosen]
    assert [p.metadata for p in load_problems(path)] == [p.metadata for p in chosen]


def test_counts_are_read_where_the_published_files_have_them():
    problems = problems_with([0] * 3, difficulty={"Qwen2.5-3B": 4, "Llama-3.2-3B": 2.0})
    assert solve_counts_of(problems, "difficulty.Qwen2.5-3B", 16) == ([4, 4, 4], 16)
    assert solve_counts_of(problems, "difficulty.Llama-3.2-3B", 8) == ([2, 2, 2], 8)
    assert solve_counts_of(problems, "solve", 4) == ([0, 0, 0], 16)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("difficulty.Qwen2.5-4B", "has no 'Qwen2.5-4B'. Did you mean 'Qwen2.5-3B'"),
        ("dificulty.Qwen2.5-3B", "has no field 'dificulty'.*Did you mean 'difficulty'"),
        ("difficulty.none", "should hold a solve count; it is None"),
        ("difficulty.many", "says 99 right of 16"),
        ("difficulty.gap", "should hold a solve count; it is nan"),
        ("difficulty.infinite", "should hold a solve count; it is inf"),
        ("difficulty.half", "should hold a solve count; it is 0.5"),
    ],
)
def test_what_is_no_count_is_named(column, message):
    problems = problems_with([1], difficulty={
        "Qwen2.5-3B": 4, "none": None, "many": 99, "gap": float("nan"), "infinite": float("inf"), "half": 0.5,
    })  # fmt: skip
    with pytest.raises(DataError, match=message):
        solve_counts_of(problems, column, 16)


def test_a_solve_column_of_another_make_is_named():
    (bare,) = problems_with([1])
    for found, message in (({"right": 3}, "of how many `samples`; it says None"), ({"samples": 16}, "has no 'right'")):
        with pytest.raises(DataError, match=message):
            solve_counts_of([replace(bare, metadata={"solve": found})], "solve", 16)


def test_a_batch_that_cannot_be_filled_uniformly_is_refused():
    problems = problems_with(range(1, 16))
    with pytest.raises(ConfigError, match="7 problems do not fill a batch of 64 uniformly; `--batch 0` repeats none"):
        choose_subset(problems, SubsetConfig(n=7))
    assert len(choose_subset(problems, SubsetConfig(n=7, batch=0))) == 7
    with pytest.raises(DataError, match="run `presat data filter` first"):
        choose_subset([replace(problems[0], metadata={})], SubsetConfig(n=1))


def published(folder, name, model):
    problems = load_problems(folder / name)
    return problems, Counter(int(problem.metadata["difficulty"][model]) for problem in problems)


def test_subsets_of_the_published_problems_have_the_published_subsets_difficulties(sample_data):
    llama, qwen = "Llama-3.2-3B-Instruct", "Qwen2.5-Math-1.5B"
    pool, _ = published(sample_data, "math/llama-3b_512.parquet", llama)
    for name, model in (("math/llama-3b_8.parquet", llama), ("science/qwen-math-1.5b_64.parquet", qwen)):
        theirs, bins = published(sample_data, name, model)
        ours = choose_subset(pool, SubsetConfig(n=len(theirs), counts=f"difficulty.{llama}", seed=2))
        assert Counter(int(problem.metadata["difficulty"][llama]) for problem in ours) == bins


def test_a_balanced_subset_shares_tasks_and_difficulties_as_the_published_one_does(sample_data):
    model = "Qwen2.5-Math-7B"
    pool, _ = published(sample_data, "graph/qwen-math-7b_128.parquet", model)
    theirs, _ = published(sample_data, "graph/qwen-math-7b_8.parquet", model)
    settings = SubsetConfig(n=8, counts=f"difficulty.{model}", balance="source_dataset")
    kinds = lambda problems: sorted(  # noqa: E731
        (extra_info(problem.metadata)["source_dataset"], problem.metadata["difficulty"][model]) for problem in problems
    )
    ours = choose_subset(pool, settings)
    assert kinds(ours) == kinds(theirs)
    more = choose_subset(pool, settings.model_copy(update={"n": 64}))
    assert [problem.id for problem in more][:8] == [problem.id for problem in ours]
    with pytest.raises(ConfigError, match="7 problems cannot be shared by 2 values of `source_dataset`"):
        choose_subset(pool, settings.model_copy(update={"n": 7, "batch": 0}))
    with pytest.raises(DataError, match=r"has no field 'source_datset' .*Did you mean 'source_dataset'"):
        choose_subset(pool, settings.model_copy(update={"balance": "source_datset"}))


def graph(islands, locks):
    kinds = ["largest_island"] * len(islands) + ["quantum_lock"] * len(locks)
    return [
        replace(problem, metadata={**problem.metadata, "source_dataset": kind})
        for problem, kind in zip(problems_with([*islands, *locks]), kinds, strict=True)
    ]


def test_the_other_values_fill_in_where_one_runs_out(caplog):
    problems = graph([3, 0, 16, 16], range(1, 16))  # one island can be used
    settings = SubsetConfig(n=8, balance="source_dataset")
    chosen = choose_subset(problems, settings)
    assert Counter(p.metadata["source_dataset"] for p in chosen) == {"largest_island": 1, "quantum_lock": 7}
    assert [p.metadata["source_dataset"] for p in chosen][:2] == ["largest_island", "quantum_lock"]
    assert "largest_island 1, quantum_lock 7" in caplog.text
    assert chosen == choose_subset(problems, settings)
    more = choose_subset(problems, settings.model_copy(update={"n": 16, "batch": 0}))
    assert [p.id for p in more][:8] == [p.id for p in chosen]
    with pytest.raises(DataError, match="Only 16 of 19 problems are solved sometimes"):
        choose_subset(problems, settings.model_copy(update={"n": 18, "batch": 0}))


def test_equal_shares_are_not_warned_of(caplog):
    chosen = choose_subset(graph(range(1, 5), range(1, 16)), SubsetConfig(n=8, balance="source_dataset"))
    assert Counter(p.metadata["source_dataset"] for p in chosen) == {"largest_island": 4, "quantum_lock": 4}
    assert not caplog.messages
