"""Which prompts a step trains on: repeated uniformly, prefix-stable, and cut so that no group is split."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.config.batches import Batches, plan_batches
from presat.config.schema import TrainConfig
from presat.errors import ConfigError
from presat.training.grpo.schedule import make_schedule


def test_eight_problems_fill_a_batch_of_64_eight_times():
    for row in make_schedule(8, 3, 64, seed=0):
        assert Counter(row) == dict.fromkeys(range(8), 8)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 40), st.integers(0, 5))
def test_a_schedule_is_even_whole_and_a_prefix_of_a_longer_one(problems, steps, places, seed):
    schedule = make_schedule(problems, steps, places, seed)
    assert [len(row) for row in schedule] == [places] * steps
    assert make_schedule(problems, steps + 3, places, seed)[:steps] == schedule
    if problems <= places:
        counts = [Counter(row) for row in schedule]
        assert all(max(c.values()) - min(c[p] for p in range(problems)) <= 1 for c in counts)
    else:
        flat = [index for row in schedule for index in row]
        for start in range(0, len(flat) - problems + 1, problems):
            assert sorted(flat[start : start + problems]) == list(range(problems))


def test_what_does_not_divide_goes_to_other_problems_each_step():
    extra = [tuple(p for p, n in Counter(row).items() if n == 2) for row in make_schedule(5, 20, 7, seed=1)]
    assert all(len(pair) == 2 for pair in extra)
    assert len(set(extra)) > 3


def test_seeds_differ():
    assert make_schedule(50, 2, 10, 0) != make_schedule(50, 2, 10, 1)


def test_batches_are_planned_per_process():
    config = TrainConfig(prompts_per_step=64, group_size=8, micro_batch=8)
    assert plan_batches(config, 1) == Batches(64, 8, 64)
    assert plan_batches(config, 4) == Batches(16, 8, 16)
    with pytest.raises(ConfigError, match="does not divide over 3 processes"):
        plan_batches(config, 3)
    with pytest.raises(ConfigError, match=r"does not divide the 256 responses.*nearest that does is 8"):
        plan_batches(TrainConfig(prompts_per_step=64, group_size=8, micro_batch=12), 2)
