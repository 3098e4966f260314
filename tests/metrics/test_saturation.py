import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import default_tail, find_saturation, saturation_step, smooth

rewards = st.lists(st.one_of(st.just(math.nan), st.floats(-2, 2, allow_nan=False)), max_size=40)


def brute_force(curve, threshold, tail):
    """The definition of section 4.1, read off word by word."""
    known = [value for value in curve if value == value]
    if not known or max(known) <= 0:
        return None
    for t in range(1, len(curve) - tail + 1):
        if curve[t - 1] >= threshold * max(known):
            return t
    return None


@given(rewards, st.floats(0.01, 1.0), st.integers(0, 50))
def test_step_is_the_definition(curve, threshold, tail):
    assert saturation_step(curve, threshold, tail) == brute_force(curve, threshold, tail)


@given(rewards, st.floats(0.01, 1.0))
def test_the_reason_is_given_exactly_when_there_is_no_step(curve, threshold):
    found = find_saturation(curve, threshold, tail=None)
    assert bool(found.reason) == (found.step is None)
    assert found.tail == default_tail(len(curve))


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=40), st.floats(0.1, 10))
def test_step_does_not_depend_on_the_scale_of_the_reward(curve, scale):
    by_hand = [t for t, value in enumerate(curve, 1) if abs(value / max(curve) - 0.99) > 1e-9]
    if len(by_hand) == len(curve):  # away from the threshold, where rounding cannot decide
        assert saturation_step(curve, tail=0) == saturation_step(np.array(curve) * scale, tail=0)


def test_a_worked_example_with_the_papers_numbers():
    curve = np.concatenate([np.linspace(0.1, 0.8, 301), np.full(195, 0.805)])
    assert curve.size == 496
    # 0.99 * 0.805 = 0.79695; the ramp passes it at the index where 0.1 + i * 0.7 / 300 >= 0.79695, i = 299
    assert saturation_step(curve) == 300
    assert find_saturation(curve).rapid is False
    assert find_saturation(np.ones(496)).rapid is True


def test_the_maximum_is_taken_over_all_steps_and_the_search_stops_at_the_tail():
    curve = [0.5] * 60
    curve[-1] = 1.0
    found = find_saturation(curve, tail=10)
    assert found.step is None
    assert found.max_reward == 1.0
    assert "last 10 steps" in found.reason
    assert saturation_step(curve, tail=0) == 60


def test_a_missing_step_is_neither_the_maximum_nor_t_sat():
    assert saturation_step([math.nan, math.nan, 1.0, math.nan], tail=0) == 3
    assert find_saturation([math.nan] * 4).reason == "no step has a recorded reward"
    assert find_saturation([]).step is None


@pytest.mark.parametrize(("curve", "top"), [([0.0] * 20, "0"), ([-1.0, -0.5, -0.2] + [-0.2] * 20, "-0.2")])
def test_a_reward_that_is_never_positive_has_no_saturation(curve, top):
    found = find_saturation(curve, tail=0)
    assert (found.step, found.rapid) == (None, None)
    assert found.reason == f"the highest reward is {top}; a share of the highest means nothing unless it is positive"


def test_negative_steps_do_no_harm_under_a_positive_maximum():
    assert saturation_step([-1.0, -0.5, 0.5, 0.795, 0.8, 0.8], tail=0) == 4


def test_default_tail_is_the_papers_fifty_or_a_tenth():
    assert [default_tail(steps) for steps in (0, 5, 100, 491, 496, 2000)] == [0, 1, 10, 50, 50, 50]


@pytest.mark.parametrize(
    ("curve", "options", "word"),
    [
        ([[1.0]], {}, "shape"),
        ([math.inf, 1.0], {}, "step 1"),
        ([1.0], {"threshold": 0.0}, "threshold"),
        ([1.0], {"threshold": 1.5}, "threshold"),
        ([1.0], {"tail": -1}, "tail"),
    ],
)
def test_what_is_no_curve_is_refused(curve, options, word):
    with pytest.raises(DataError, match=word):
        saturation_step(curve, **options)


@given(rewards, st.integers(1, 7), st.sampled_from(["trailing", "centered"]))
def test_smoothing_is_the_mean_of_the_recorded_steps_in_the_window(curve, window, kind):
    if kind == "centered" and window % 2 == 0:
        with pytest.raises(DataError, match="odd"):
            smooth(curve, window, kind)
        return
    before, after = (window - 1, 0) if kind == "trailing" else (window // 2, window // 2)
    smoothed = smooth(curve, window, kind)
    assert len(smoothed) == len(curve)
    for t, value in enumerate(smoothed):
        seen = [curve[i] for i in range(t - before, t + after + 1) if 0 <= i < len(curve) and curve[i] == curve[i]]
        assert math.isnan(value) if not seen else value == pytest.approx(sum(seen) / len(seen))


def test_a_window_of_one_changes_nothing():
    assert smooth([0.1, 0.5, 0.2], 1).tolist() == [0.1, 0.5, 0.2]
    with pytest.raises(DataError, match="at least 1"):
        smooth([0.1], 0)
