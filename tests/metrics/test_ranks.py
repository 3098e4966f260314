"""Rank correlations, against counting and against what must hold of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics.ranks import partial_spearman, spearman

NUMBERS = st.lists(st.integers(-20, 20), min_size=4, max_size=12)


def test_known_values() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207826816681233)  # of a published example
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([1, 2], [1, 2]) is None


@given(NUMBERS, st.randoms(use_true_random=False))
def test_only_the_order_counts(values, rng) -> None:
    other = [rng.randint(0, 9) for _ in values]
    plain, bent = spearman(values, other), spearman([value**3 for value in values], other)
    assert plain == bent or plain == pytest.approx(bent)
    mirrored = spearman([-value for value in values], other)
    assert (plain is None) == (mirrored is None)
    assert plain is None or mirrored == pytest.approx(-plain)


def test_what_is_held_fixed_explains_itself() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=200)
    first, second = cause + 0.1 * rng.normal(size=200), cause + 0.1 * rng.normal(size=200)
    assert (spearman(first, second) or 0.0) > 0.95
    assert abs(partial_spearman(first, second, [cause]) or 0.0) < 0.2
    assert partial_spearman(first, first, [first]) is None


def test_missing_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        spearman([1.0, float("nan"), 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="unit by unit"):
        spearman([1.0, 2.0, 3.0], [1.0, 2.0])
