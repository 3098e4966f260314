"""The fit is at the minimum to the last digits, however odd the features are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presat.errors import DataError
from presat.metrics import fit_logistic


def slope(found, x_nF, y_n, penalty):
    """Of the loss at the fit, by bias and weights."""
    p_n = found.probabilities(x_nF)
    return np.array([(p_n - y_n).sum(), *(x_nF.T @ (p_n - y_n) + penalty * found.weights)])


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 80), st.integers(1, 5), st.sampled_from([1e-3, 1.0, 30.0]))
def test_the_loss_is_level_at_the_fit(seed, n, features, penalty):
    rng = np.random.default_rng(seed)
    x_nF = rng.normal(size=(n, features)) * rng.choice([0.1, 1.0, 20.0], features)
    y_n = rng.random(n) < 0.4
    y_n[0], y_n[1] = True, False
    found = fit_logistic(x_nF, y_n, penalty)
    assert np.abs(slope(found, x_nF, y_n, penalty)).max() < 1e-6 * max(1.0, np.abs(x_nF).max() * n)
    assert found.probabilities(x_nF).mean() == pytest.approx(y_n.mean(), abs=1e-6)


def test_it_finds_the_weights_that_made_the_data():
    rng = np.random.default_rng(1)
    x_nF = rng.normal(size=(40_000, 2))
    y_n = rng.random(40_000) < 1 / (1 + np.exp(-(0.5 + 2.0 * x_nF[:, 0] - 1.0 * x_nF[:, 1])))
    found = fit_logistic(x_nF, y_n)
    assert found.bias == pytest.approx(0.5, abs=0.05)
    assert found.weights == pytest.approx([2.0, -1.0], abs=0.06)


def test_cases_that_a_feature_tells_apart_have_finite_weights():
    found = fit_logistic([[-1.0], [-1.0], [1.0], [1.0]], [False, False, True, True])
    assert 0.5 < found.weights[0] < 5
    assert fit_logistic([[0.0], [0.0], [0.0]], [True, False, True]).probabilities([[0.0]])[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("x", "y", "penalty"),
    [
        ([[1.0], [2.0]], [True, True], 1.0),
        ([[1.0], [2.0]], [False, False], 1.0),
        ([[1.0], [float("nan")]], [False, True], 1.0),
        ([[1.0], [2.0]], [False], 1.0),
        ([1.0, 2.0], [False, True], 1.0),
        ([[1.0], [2.0]], [False, True], 0.0),
        (np.zeros((0, 1)), [], 1.0),
    ],
)
def test_what_cannot_be_fitted_is_refused(x, y, penalty):
    with pytest.raises(DataError):
        fit_logistic(x, y, penalty)
