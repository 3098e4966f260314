import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import auroc, cohen_kappa, diversity_index


@given(st.lists(st.integers(1, 50), min_size=1, max_size=16))
def test_diversity_is_between_none_and_full(sizes):
    value = diversity_index(sizes)
    assert -1e-9 <= value <= 1 + 1e-9
    assert value == pytest.approx(diversity_index(sorted(sizes)))
    if len(sizes) > 1:  # the paper's formula, term by term
        total = sum(sizes)
        entropy = -sum(size / total * math.log(size / total) for size in sizes)
        assert value == pytest.approx((math.exp(entropy) - 1) / (len(sizes) - 1))


def test_diversity_by_hand():
    assert diversity_index([16]) == 0.0
    assert diversity_index([4, 4, 4, 4]) == pytest.approx(1.0)
    assert diversity_index([15, 1]) == pytest.approx(
        math.exp(-(15 / 16 * math.log(15 / 16) + math.log(1 / 16) / 16)) - 1
    )
    for sizes in ([], [3, 0]):
        with pytest.raises(DataError, match="clusters"):
            diversity_index(sizes)


def test_kappa_on_a_worked_table():
    # 20 both yes, 15 both no, 5 yes/no, 10 no/yes: observed 0.7, chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5, kappa 0.4
    a = ["yes"] * 20 + ["no"] * 15 + ["yes"] * 5 + ["no"] * 10
    b = ["yes"] * 20 + ["no"] * 15 + ["no"] * 5 + ["yes"] * 10
    assert cohen_kappa(a, b) == pytest.approx(0.4)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_kappa_from_the_confusion_matrix(pairs):
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    table = np.zeros((4, 4))
    for x, y in pairs:
        table[x, y] += 1 / len(pairs)
    chance = float(table.sum(1) @ table.sum(0))
    if len(set(a)) == 1 and set(a) == set(b):
        with pytest.raises(DataError, match="not defined"):
            cohen_kappa(a, b)
    else:
        assert cohen_kappa(a, b) == pytest.approx((np.trace(table) - chance) / (1 - chance))
        assert cohen_kappa(a, b) == pytest.approx(cohen_kappa(b, a))


def test_kappa_needs_paired_labels():
    with pytest.raises(DataError, match="same responses"):
        cohen_kappa([1], [1, 2])
    with pytest.raises(DataError, match="at least one"):
        cohen_kappa([], [])


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
def test_auroc_counts_pairs_in_order(rows):
    above = [score for score, positive in rows if positive]
    below = [score for score, positive in rows if not positive]
    found = auroc([score for score, _ in rows], [positive for _, positive in rows])
    if not above or not below:
        assert found is None
        return
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in above for b in below]
    assert found == pytest.approx(sum(pairs) / len(pairs))


def test_auroc_needs_a_label_and_a_number_for_each():
    with pytest.raises(DataError, match="label"):
        auroc([1.0], [True, False])
    with pytest.raises(DataError, match="numbers"):
        auroc([1.0, math.nan], [True, False])


def test_equal_clusters_are_as_diverse_as_can_be_to_the_last_bit():
    for clusters in range(2, 65):
        assert 1.0 - 1e-12 < diversity_index([3] * clusters) <= 1.0
