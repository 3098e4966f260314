"""A share that fell since its first step is found, with the step; scatter is not taken for one."""

import numpy as np
import pytest

from presat.metrics import find_step_fall

STEPS = np.arange(1, 101)


def shares(rng, chances_T, problems):
    return rng.binomial(problems, chances_T) / problems


def test_a_fall_within_the_first_steps_is_found():
    values = np.array([0.47, 0.4, 0.1, *np.zeros(97)])
    found = find_step_fall(STEPS, values, 64)
    assert (found.before, found.after, found.first, found.step) == (0.47, 0.0, 1, 3)
    assert found.interval.low < -0.47 < found.interval.high < 0.0
    assert find_step_fall(STEPS, values).interval is None  # nothing is known of the problems, and .47 is enough
    assert find_step_fall(STEPS, values, 8) is not None


def test_a_late_fall_is_found_where_it_was():
    rng = np.random.default_rng(0)
    chances_T = np.where(STEPS < 61, 0.5, 0.1)
    assert abs(find_step_fall(STEPS, shares(rng, chances_T, 64), 64).step - 61) <= 1


def test_what_is_no_fall():
    assert find_step_fall(STEPS, np.linspace(0.2, 0.9, 100), 64) is None
    assert find_step_fall(STEPS, np.linspace(0.9, 0.72, 100)) is None  # under 0.2, and nothing is known of the problems
    assert find_step_fall(STEPS, np.linspace(19, 2, 100), 64) is None  # no share
    assert find_step_fall([1], [0.5], 64) is None
    assert find_step_fall([], [], 64) is None
    assert find_step_fall([1, 2, 3], [0.5, np.nan, np.nan], 64) is None


@pytest.mark.parametrize("problems", [8, 64])
def test_scatter_alone_is_seldom_called_a_fall(problems):
    rng = np.random.default_rng(1)
    found = [find_step_fall(STEPS, shares(rng, np.full(100, 0.5), problems), problems) for _ in range(1000)]
    assert np.mean([fall is not None for fall in found]) <= 0.035  # one side of a 95% interval
