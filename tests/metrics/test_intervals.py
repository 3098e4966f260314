"""Intervals by hand and from tables; how often they cover is in `test_coverage.py`."""

import math

import numpy as np
import pytest

from presat.errors import DataError
from presat.metrics import (
    change_interval,
    mean_interval,
    proportion_change_interval,
    proportion_interval,
    share_interval,
    two_sample_interval,
)
from presat.metrics.intervals import student_quantile


@pytest.mark.parametrize(
    ("level", "freedom", "quantile"),
    [(0.95, 1, 12.7062), (0.95, 2, 4.30265), (0.95, 3, 3.18245), (0.95, 7, 2.36462), (0.95, 30, 2.04227),
     (0.99, 4, 4.60409), (0.999, 9, 4.78091), (0.95, 400, 1.96591), (0.95, 100_000, 1.95999)],
)  # fmt: skip
def test_quantiles_are_those_of_students_tables(level, freedom, quantile):
    assert student_quantile(level, freedom) == pytest.approx(quantile, rel=1e-5)


def test_a_mean_by_hand():
    found = mean_interval([1.0, 2.0, 6.0])
    margin = 4.302653 * math.sqrt(7.0 / 3)
    assert found == pytest.approx((3.0, 3.0 - margin, 3.0 + margin))
    assert mean_interval([1.0, 2.0, 6.0], within=(0.0, 5.0)) == pytest.approx((3.0, 0.0, 5.0))


def test_fewer_than_three_units_or_equal_numbers_have_no_interval():
    for interval in (mean_interval, share_interval, change_interval):
        assert interval([]) is interval([0.5]) is interval([0.2, 0.9]) is None
    assert mean_interval([0.1 + 0.2, 0.3, 0.3]) is None  # but for rounding they are one number
    assert proportion_interval(0.5, 2) is proportion_change_interval(0.5, 0.5, 2) is None
    assert two_sample_interval([1.0], [2.0, 3.0]) is two_sample_interval([1.0, 1.0], [2.0, 2.0]) is None


def test_equal_scores_are_no_certainty():
    for n, missed in ((3, 0.5), (10, 0.2), (60, 0.04)):  # a share of the problems that such a sample may well not hold
        assert share_interval([1.0] * n).low < 1.0 - missed
        assert share_interval([0.0] * n).high > missed
        low, high = change_interval([0.0] * n)[1:]
        assert low < -missed < missed < high
    assert share_interval([1.0] * 5)[::2] == (1.0, 1.0)  # never beyond what is possible
    assert change_interval([1.0, 1.0, -1.0])[1:] == (-1.0, 1.0)


def test_made_up_units_come_in_only_where_changes_are_mostly_one():
    values = np.random.default_rng(0).normal(0.1, 0.1, 12)
    assert change_interval(values) == mean_interval(values)
    assert (
        change_interval([0.0] * 7 + [0.2, 0.1, 0.3, 0.1, 0.4]).high
        > mean_interval([0.0] * 7 + [0.2, 0.1, 0.3, 0.1, 0.4]).high
    )
    many = [0.0] * 60 + list(values)
    assert change_interval(many) == mean_interval(many)


def test_shares_of_zeros_and_ones_need_only_their_count():
    assert proportion_interval(0.7, 10) == pytest.approx(share_interval([1.0] * 7 + [0.0] * 3))
    # Agresti and Caffo with t of 22 degrees: 5 and 9 of 10 become 6 and 10 of 12
    margin = 2.073873 * math.sqrt((0.25 + 10 / 12 * 2 / 12) / 11)
    found = proportion_change_interval(0.5, 0.9, 10)
    assert found == pytest.approx((0.4, 4 / 12 - margin, 4 / 12 + margin))


def test_two_samples_by_welch():
    found = two_sample_interval([1.0, 2.0, 3.0, 4.0], [10.0, 10.0, 16.0, 16.0])
    errors = (5 / 3 / 4, 12.0 / 4)
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 3 + errors[1] ** 2 / 3)
    assert math.floor(freedom) == 3
    margin = 3.182446 * math.sqrt(sum(errors))
    assert found == pytest.approx((10.5, 10.5 - margin, 10.5 + margin))


def test_what_has_no_interval_is_refused():
    with pytest.raises(DataError, match="finite"):
        mean_interval([1.0, math.nan, 2.0])
    with pytest.raises(DataError, match="within 0 and 1"):
        share_interval([0.0, 0.5, 1.5])
    with pytest.raises(DataError, match="level"):
        mean_interval([1.0, 2.0, 3.0], level=1.0)
