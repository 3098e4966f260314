"""Scales, ticks and labels of the drawings."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.report.svg import Drawing, Scale, apart, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (0, 1, 4, [0, 0.25, 0.5, 0.75, 1]),
        (0, 496, 5, [0, 100, 200, 300, 400]),
        (-0.3, 0.4, 4, [-0.2, 0, 0.2, 0.4]),
        (3, 3, 4, [3]),
    ],
)
def test_ticks_are_round(low, high, most, ticks):
    assert nice_ticks(low, high, most) == pytest.approx(ticks)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6).map(sorted))
def test_labels_are_pushed_apart_and_stay_within(positions):
    moved = apart(positions, 10, 0, 100)
    assert all(b - a >= 10 - 1e-9 for a, b in itertools.pairwise(moved))
    assert moved[0] >= -1e-9
    assert moved[-1] <= 100 + 1e-9
    if all(b - a >= 10 for a, b in itertools.pairwise(positions)):
        assert moved == pytest.approx(positions)


def test_a_scale_of_one_value_draws_it_in_the_middle():
    assert Scale(5, 5, 0, 100)(5) == 50
    assert Scale(0, 2, 100, 0)(0.5) == 75


def test_texts_and_attributes_are_escaped():
    drawing = Drawing(10, '"<&>')
    drawing.text(1.0, 2.5, "<script>", "a_b")
    drawing.path([], "nothing")
    assert drawing.markup() == (
        '<svg viewBox="0 0 460 10" role="img" aria-label="&quot;&lt;&amp;&gt;" class="plot"><text class="a_b" x="1" '
        'y="2.5" text-anchor="start" dy="0.35em">&lt;script&gt;</text></svg>'
    )
