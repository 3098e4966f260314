"""Problems gained and lost, and a band that holds the whole curve of pass@k."""

from __future__ import annotations

import numpy as np
import pytest

from presat.errors import DataError
from presat.metrics.support import pass_curve, support_change

KS = (1, 2, 4, 8, 16)


def test_problems_are_kept_found_lost_or_never_solved() -> None:
    before = {"a": [1, 0], "b": [0, 0], "c": [0, 1], "d": [0, 0], "only before": [1, 1]}
    after = {"a": [0, 1], "b": [1, 0], "c": [0, 0], "d": [0, 0], "only after": [1, 1]}
    assert support_change(before, after) == (1, 1, 1, 1)


def test_more_samples_are_no_gain() -> None:
    assert support_change({"a": [0, 0]}, {"a": [0, 0, 1, 1]}) == (0, 0, 0, 1)


@pytest.mark.parametrize("problems", [10, 30, 100])
def test_the_band_holds_the_whole_curve_as_often_as_it_says(problems: int) -> None:
    rng = np.random.default_rng(problems)
    for a, b in ((0.3, 0.6), (2.0, 2.0), (0.1, 1.0)):
        chances = rng.beta(a, b, 200_000)
        truth = {k: float((1 - (1 - chances) ** k).mean()) for k in KS}
        held = 0
        for _ in range(150):
            drawn = rng.beta(a, b, problems)
            scores_PG = (rng.random((problems, 16)) < drawn[:, None]).astype(float).tolist()
            band = pass_curve(scores_PG, KS)
            held += all(band[k].low <= truth[k] <= band[k].high for k in KS)
        assert held >= 150 * 0.9  # .95, less what 150 samples scatter


def test_what_is_not_defined_is_left_out() -> None:
    scores_PG = [[1.0, 0.0], [0.0, 0.0], [None, 1.0]]
    assert list(pass_curve(scores_PG, (1, 2, 4))) == [1]  # two problems have two samples, none four
    assert pass_curve(scores_PG, (1,))[1].estimate == pytest.approx(0.5)
    with pytest.raises(DataError, match="one k or more"):
        pass_curve(scores_PG, ())
