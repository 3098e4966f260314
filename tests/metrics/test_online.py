import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import OnlineSaturation, online, saturation_step, smooth

rewards = st.lists(st.one_of(st.just(math.nan), st.floats(0, 1)), min_size=1, max_size=40)


@given(rewards, st.integers(1, 5), st.integers(1, 20))
def test_at_every_step_it_is_the_definition_on_the_run_so_far(curve, window, patience):
    state = OnlineSaturation(window=window, patience=patience)
    for step, reward in enumerate(curve, 1):
        state.observe(step, reward)
        assert state.t_sat == saturation_step(smooth(curve[:step], window), tail=patience)
        assert state.candidate == saturation_step(smooth(curve[:step], window), tail=0)


@given(rewards, st.integers(1, 5), st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), max_size=5))
def test_a_reward_noted_later_or_anew_counts_as_if_it_had_come_in_its_turn(curve, window, more):
    state = OnlineSaturation.replay(curve, window=window, patience=1)
    for step, reward in more:
        state.observe(step, reward)
        curve = [*curve, *[math.nan] * (step - len(curve))]
        curve[step - 1] = reward
        assert state.candidate == saturation_step(smooth(curve, window), tail=0)
        newest = smooth(curve, window)[-1]
        assert state.smoothed_reward == (None if math.isnan(newest) else newest)


def test_a_step_costs_no_more_late_in_a_run(monkeypatch):
    made = []
    monkeypatch.setattr(online, "window_mean", lambda rewards_W: made.append(len(rewards_W)) or 0.5)
    state = OnlineSaturation(window=5, patience=10)
    for step in range(1, 501):
        state.observe(step, 0.5)
        assert state.stop_reason() is not None or step <= 10
        assert state.saturated == (step > 10)
    assert (len(made), max(made)) == (500, 5)


@given(rewards, st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), max_size=5))
def test_a_replayed_run_decides_as_the_unbroken_one(curve, scores):
    unbroken = OnlineSaturation(window=3, patience=5)
    for step, score in scores:
        unbroken.observe_score(step, score)
    for step, reward in enumerate(curve, 1):
        unbroken.observe(step, reward)
    replayed = OnlineSaturation.replay(curve, scores, window=3, patience=5)
    assert (replayed.t_sat, replayed.stop_reason(), replayed.steps) == (
        unbroken.t_sat,
        unbroken.stop_reason(),
        unbroken.steps,
    )
    assert replayed.smoothed_reward == unbroken.smoothed_reward


def test_a_flat_reward_stops_after_patience_and_a_new_best_postpones_it():
    state = OnlineSaturation.replay([0.2, 0.5] + [0.8] * 10, patience=10)
    assert state.t_sat is None
    state.observe(13, 0.8)
    assert state.t_sat == 3
    assert "step 3" in state.stop_reason()
    state.observe(14, 0.9)
    assert state.t_sat is None
    assert state.candidate == 14


def test_patience_is_counted_from_the_last_score_that_does_not_compare():
    state = OnlineSaturation.replay([0.8] * 30, [(0, 0.1)], patience=10)
    assert state.stop_reason() is not None
    state.note_otherwise(25)
    assert state.stop_reason() is None
    state.note_otherwise(20)
    assert state.stop_reason().endswith(
        "the held-out score was measured once, at step 0, those up to step 20 that were measured with other settings "
        "left out."
    )
    unscored = OnlineSaturation.replay([0.8] * 30, patience=10)
    unscored.note_otherwise(21)
    assert unscored.stop_reason() is None


def test_a_held_out_score_that_still_rises_postpones_the_stop():
    state = OnlineSaturation.replay([0.8] * 30, [(0, 0.1), (10, 0.2), (25, 0.3)], patience=10)
    assert state.saturated
    assert state.best_score_step == 25
    assert state.stop_reason() is None
    state.observe(35, 0.8)
    assert "best at step 25" in state.stop_reason()


def test_a_reward_below_the_floor_never_saturates():
    assert OnlineSaturation.replay([0.1] * 30, patience=5, min_reward=0.3).t_sat is None
    assert OnlineSaturation.replay([0.4] * 30, patience=5, min_reward=0.3).t_sat == 1


def test_a_reward_that_is_never_positive_neither_saturates_nor_stops():
    state = OnlineSaturation.replay([-2.0, -1.0] + [-0.5] * 30, patience=5)  # negative entropy, for instance
    assert (state.candidate, state.t_sat, state.stop_reason()) == (None, None, None)
    assert state.smoothed_reward == -0.5


def test_steps_left_out_are_missing_and_the_last_word_wins():
    state = OnlineSaturation(patience=2)
    state.observe(3, 0.5)
    assert state.steps == 3
    assert state.candidate == 3
    state.observe(3, 0.0)
    assert state.candidate is None
    state.observe_score(3, None)
    assert state.best_score_step is None


def test_bad_settings_are_refused_at_once():
    for options in ({"patience": 0}, {"window": 0}, {"threshold": 2.0}):
        with pytest.raises(DataError):
            OnlineSaturation(**options)
    with pytest.raises(DataError, match="count from 1"):
        OnlineSaturation().observe(0, 1.0)
