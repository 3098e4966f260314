import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import RunCurves, large_small_gap, read_score, saturation_gains

# Saturates at step 55 of 100: the shape of the paper's Llama run (table 1), evaluated every 25 steps.
REWARDS = np.concatenate([np.linspace(0.2, 0.9, 54, endpoint=False), np.full(46, 0.9)])
STEPS = [0, 25, 50, 75, 100]
SCORES = [0.30, 0.38, 0.42, 0.39, 0.40]


def gains(**options):
    return saturation_gains(REWARDS, STEPS, SCORES, tail=10, **options)


def test_interpolated_gains_by_hand():
    found = gains()
    t_sat = found.t_sat
    assert t_sat == 55 - 1 + int(REWARDS[53] < 0.99 * 0.9)
    at = 0.42 + (t_sat - 50) / 25 * (0.39 - 0.42)
    assert found.start_score == 0.30
    assert found.pre_saturation_gain == pytest.approx(at - 0.30)
    assert found.saturation_score == pytest.approx(at)
    assert found.post_saturation_residual == pytest.approx(0.0)  # nothing after t_sat beats the score there
    assert found.reason == ""


@pytest.mark.parametrize(
    ("reading", "grid", "at", "residual"),
    [
        ("previous", "curve", 0.42, 0.0),
        ("previous", "evaluations", 0.42, 0.40 - 0.42),
        ("nearest", "evaluations", 0.42, 0.40 - 0.42),
        ("interpolate", "evaluations", 0.42 - 0.03 * 5 / 25, 0.40 - (0.42 - 0.03 * 5 / 25)),
    ],
)
def test_named_readings_and_grids(reading, grid, at, residual):
    """A grid of evaluations alone gives the sign of the paper's D_post = -1.9; the default cannot."""
    found = gains(reading=reading, grid=grid)
    assert found.saturation_score == pytest.approx(at)
    assert found.post_saturation_residual == pytest.approx(residual)
    assert (found.reading, found.grid) == (reading, grid)


evaluations = st.integers(1, 8).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 60), min_size=n, max_size=n, unique=True).map(sorted),
        st.lists(st.one_of(st.just(math.nan), st.floats(0, 1)), min_size=n, max_size=n),
    )
)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=50),
    evaluations,
    st.sampled_from(["interpolate", "previous", "nearest"]),
)
def test_the_residual_on_the_curve_is_never_negative(curve, evaluated, reading):
    found = saturation_gains(curve, *evaluated, tail=None, reading=reading)
    assert found.post_saturation_residual is None or found.post_saturation_residual >= 0
    missing = None in (found.t_sat, found.pre_saturation_gain, found.post_saturation_residual)
    assert missing == bool(found.reason)


@given(evaluations, st.integers(0, 70))
def test_reading_between_evaluations_is_independent_of_how_it_is_computed(evaluated, step):
    known = [(s, v) for s, v in zip(*evaluated, strict=True) if v == v]
    before = [(s, v) for s, v in known if s <= step]
    after = [(s, v) for s, v in known if s >= step]
    expected = {"previous": before[-1][1] if before else None, "nearest": None, "interpolate": None}
    if before:
        expected["nearest"] = min(known, key=lambda point: (abs(point[0] - step), point[0]))[1]
    if before and after:
        (s0, v0), (s1, v1) = before[-1], after[0]
        expected["interpolate"] = v0 if s0 == s1 else v0 + (v1 - v0) * (step - s0) / (s1 - s0)
    for reading, value in expected.items():
        found = read_score(*evaluated, step, reading)
        assert found == (None if value is None else pytest.approx(value))


def test_what_cannot_be_known_is_missing_with_a_reason():
    late = saturation_gains(REWARDS, STEPS[1:], SCORES[1:], tail=10)
    assert late.pre_saturation_gain is None
    assert late.post_saturation_residual is not None
    assert "step 0" in late.reason
    short = saturation_gains(REWARDS, STEPS[:2], SCORES[:2], tail=10)
    assert short.saturation_score is None
    assert "interpolate" in short.reason
    held = saturation_gains(REWARDS, STEPS[:2], SCORES[:2], tail=10, reading="previous", grid="evaluations")
    assert held.pre_saturation_gain == pytest.approx(0.08)
    assert held.post_saturation_residual is None
    never = saturation_gains([0.0] * 60, STEPS, SCORES)
    assert never.t_sat is None
    assert "positive" in never.reason


@pytest.mark.parametrize(
    ("steps", "scores", "options", "word"),
    [
        ([0, 5], [0.1], {}, "2 evaluation steps"),
        ([5, 0], [0.1, 0.2], {}, "increasing"),
        ([0, 0], [0.1, 0.2], {}, "increasing"),
        ([0.5], [0.1], {}, "whole"),
        ([0], [0.1], {"reading": "nearst"}, "nearest"),
        ([0], [0.1], {"grid": "all"}, "Unknown grid"),
    ],
)
def test_malformed_evaluations_are_refused(steps, scores, options, word):
    with pytest.raises(DataError, match=word):
        saturation_gains([0.1, 0.2], steps, scores, **options)


def curves(offset):
    scores = {"a/avg@16": np.array(SCORES) + offset, "b/avg@16": np.array(SCORES) + 2 * offset}
    return RunCurves(REWARDS, np.array(STEPS), scores)


def test_the_gap_is_the_mean_difference_at_the_small_runs_saturation():
    large = RunCurves(np.full(100, 0.1), *(lambda c: (c.eval_steps, c.eval_scores))(curves(0.1)))
    assert large_small_gap(large, curves(0.0)) == pytest.approx(0.15)
    assert large_small_gap(large, curves(0.0), ["a/avg@16"]) == pytest.approx(0.1)


def test_the_gap_takes_opened_runs_and_averages_scores_not_lengths():
    @dataclass
    class Opened:
        found: RunCurves

        def curves(self):
            return self.found

    def opened(offset, length):
        run = curves(offset)
        lengths = {"a/length": np.full(len(STEPS), length), "a/pass@16": np.full(len(STEPS), length)}
        return Opened(RunCurves(run.rewards_T, run.eval_steps, {**run.eval_scores, **lengths}))

    assert large_small_gap(opened(0.1, 90.0), opened(0.0, 20.0)) == pytest.approx(0.15)


def test_gains_unpack_into_their_two_numbers():
    found = saturation_gains(REWARDS, STEPS, SCORES, tail=10)
    d_sat, d_post = found
    assert (d_sat, d_post) == (found.pre_saturation_gain, found.post_saturation_residual)
    assert d_sat is not None


def test_a_gap_that_is_not_defined_is_refused():
    flat = RunCurves(np.zeros(100), np.array(STEPS), {"a/avg@16": np.array(SCORES)})
    with pytest.raises(DataError, match="no saturation step"):
        large_small_gap(curves(0.1), flat)
    with pytest.raises(DataError, match="Did you mean 'a/avg@16'"):
        large_small_gap(curves(0.1), curves(0.0), ["a/avg@61"])
    with pytest.raises(DataError, match="share no held-out"):
        large_small_gap(RunCurves(REWARDS), curves(0.0))
    early = RunCurves(REWARDS, np.array([0, 25]), {"a/avg@16": np.array([0.1, 0.2])})
    with pytest.raises(DataError, match="larger run has no evaluation"):
        large_small_gap(early, curves(0.0), ["a/avg@16"])


def test_curves_leave_out_what_was_not_measured():
    run = RunCurves(REWARDS, np.array([0, 25, 50]), {"a/greedy": np.array([0.1, np.nan, 0.3])})
    steps, scores = run.score("a/greedy")
    assert steps.tolist() == [0, 50]
    assert scores.tolist() == [0.1, 0.3]
    assert run.gains("a/greedy", reading="previous").saturation_score == 0.3
