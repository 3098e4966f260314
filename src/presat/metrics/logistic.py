"""Logistic regression by Newton's method, to the last digits: for the few numbers a handful of judges give.

The penalty is on the weights alone, so that what is said on average stays what happened on average. It has to be above
0: where a judge tells all cases apart, weights would grow without end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presat.errors import DataError

Array = npt.NDArray[np.float64]
_STEPS = 100
_STILL = 1e-10


class Logistic(NamedTuple):
    """A fitted model: p = 1 / (1 + exp(-(bias + features @ weights))).

    Attributes:
        bias: of a case whose features are all 0.
        weights: one a feature. Shape (F,).
    """

    bias: float
    weights: Array

    def probabilities(self, features_nF: npt.ArrayLike) -> Array:
        """The probability of each case. Shape (n,)."""
        return _share(self.bias + np.asarray(features_nF, dtype=np.float64) @ self.weights)


def fit_logistic(features_nF: npt.ArrayLike, happened: npt.ArrayLike, penalty: float = 1.0) -> Logistic:
    """Fit the probability that something happens.

    Minimises -sum log p + penalty / 2 * sum of the squared weights.

    Args:
        features_nF: numbers, none missing. Shape (n, F).
        happened: whether it happened. Shape (n,).
        penalty: above 0; it weighs as much as so many cases, where features have a spread of about 1.

    Raises:
        DataError: other shapes, a number that is none, no penalty, or it happened always or never.
    """
    x_nF = np.asarray(features_nF, dtype=np.float64)
    y_n = np.asarray(happened, dtype=bool).astype(np.float64)
    if x_nF.ndim != 2 or y_n.shape != x_nF.shape[:1]:
        raise DataError(f"A fit needs one row of features a case; got {x_nF.shape} and {y_n.shape}.")
    if not np.isfinite(x_nF).all() or not penalty > 0.0:
        raise DataError("A fit needs features that are finite numbers, and a penalty above 0.")
    if not 0.0 < y_n.sum() < y_n.size:
        raise DataError("A fit needs cases in which it happened and cases in which it did not.")
    x_nE = np.column_stack([np.ones(len(x_nF)), x_nF])
    penalty_E = np.array([0.0, *[penalty] * x_nF.shape[1]])
    mean = y_n.mean()
    weights_E: Array = np.array([np.log(mean / (1.0 - mean)), *[0.0] * x_nF.shape[1]])
    for _ in range(_STEPS):
        p_n = _share(x_nE @ weights_E)
        gradient_E = x_nE.T @ (p_n - y_n) + penalty_E * weights_E
        curvature_EE = (x_nE * (p_n * (1.0 - p_n))[:, None]).T @ x_nE + np.diag(penalty_E)
        step_E: Array = np.linalg.solve(curvature_EE, gradient_E).astype(np.float64)
        weights_E = _shorter(x_nE, y_n, penalty_E, weights_E, step_E)
        if np.abs(step_E).max() < _STILL:
            break
    return Logistic(float(weights_E[0]), weights_E[1:])


def _shorter(x_nE: Array, y_n: Array, penalty_E: Array, weights_E: Array, step_E: Array) -> Array:
    """Go a step, halved until it leads down: far from the end Newton's own may overshoot."""
    before = _loss(x_nE, y_n, penalty_E, weights_E)
    for _ in range(60):
        if _loss(x_nE, y_n, penalty_E, weights_E - step_E) <= before:
            return weights_E - step_E
        step_E = step_E / 2.0
    return weights_E


def _loss(x_nE: Array, y_n: Array, penalty_E: Array, weights_E: Array) -> float:
    z_n = x_nE @ weights_E
    return float(np.logaddexp(0.0, z_n).sum() - y_n @ z_n + (penalty_E * weights_E**2).sum() / 2.0)


def _share(z_n: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -z_n))
