"""Reliability, calibration error and Brier score: by hand, and on probabilities that are right by construction."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import brier_score, expected_calibration_error, log_loss, reliability_bins

CASES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_by_hand():
    said, happened = [0.1, 0.1, 0.95, 1.0], [False, True, True, True]
    assert brier_score(said, happened) == pytest.approx((0.01 + 0.81 + 0.0025 + 0.0) / 4)
    first, last = reliability_bins(said, happened)
    assert (first.low, first.high, first.cases, first.said, first.share) == (0.1, 0.2, 2, 0.1, 0.5)
    assert (last.low, last.high, last.cases, last.share) == (0.9, 1.0, 2, 1.0)
    assert first.happened is None  # of two cases nothing is known
    assert expected_calibration_error(said, happened) == pytest.approx((2 * 0.4 + 2 * 0.025) / 4)
    assert log_loss([0.5, 0.25], [True, False]) == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert log_loss([0.0], [True]) == math.inf
    assert log_loss([0.0, 1.0], [False, True]) == 0.0


def test_probabilities_that_are_right_are_calibrated_and_others_are_not():
    rng = np.random.default_rng(0)
    said = rng.random(20_000)
    happened = rng.random(20_000) < said
    assert expected_calibration_error(said, happened) < 0.02
    assert brier_score(said, happened) == pytest.approx(1 / 6, abs=0.01)
    inside = [one.happened.low <= one.said <= one.happened.high for one in reliability_bins(said, happened)]
    assert sum(inside) >= 9
    assert expected_calibration_error(said**3, happened) > 0.15


@given(CASES, st.integers(1, 20))
def test_bins_hold_every_case_once_and_errors_are_shares(cases, bins):
    said, happened = zip(*cases, strict=True)
    found = reliability_bins(said, happened, bins)
    assert sum(one.cases for one in found) == len(cases)
    assert all(one.low - 1e-12 <= one.said <= one.high + 1e-12 for one in found)
    assert sum(one.cases * one.share for one in found) == pytest.approx(sum(happened))
    assert 0.0 <= expected_calibration_error(said, happened, bins) <= 1.0
    assert 0.0 <= brier_score(said, happened) <= 1.0


@pytest.mark.parametrize(
    ("said", "happened"), [([], []), ([0.5], []), ([1.1], [True]), ([-0.1], [True]), ([math.nan], [True])]
)
def test_what_is_no_probability_is_refused(said, happened):
    for measure in (brier_score, log_loss, reliability_bins, expected_calibration_error):
        with pytest.raises(DataError):
            measure(said, happened)
    with pytest.raises(DataError, match="one bin"):
        reliability_bins([0.5], [True], 0)
