"""Encoder features and privileged geometry come in; how well a linear readout finds places goes out.

It answers whether a small policy on the frozen features can know where things are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeResult:
    """Linear readout of some places, measured on scenes it was not fitted on."""

    r2: Array  # (D,)
    error_mm: Array  # (D,) median absolute error
    error_p90_mm: Array  # (D,)


def fit_ridge(features: Array, targets: Array, strength: float = 1e-3) -> Array:
    """Ridge regression weights (F + 1, D), the last row the offset.

    :param features: (N, F).
    :param targets: (N, D), m.
    """
    x = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    gram = x.T @ x + strength * len(x) * np.eye(x.shape[1])
    gram[-1, -1] -= strength * len(x)
    return np.linalg.solve(gram, x.T @ targets)


def read(features: Array, weights: Array) -> Array:
    """Apply a readout: (N, D)."""
    return features @ weights[:-1] + weights[-1]


def probe(
    train: tuple[Array, Array], test: tuple[Array, Array], strength: float = 1e-6
) -> ProbeResult:
    """Fit on one set of (features, targets in m), measure on another."""
    guess = read(test[0], fit_ridge(*train, strength=strength))
    error = guess - test[1]
    spread = ((test[1] - test[1].mean(axis=0)) ** 2).mean(axis=0)
    size = np.abs(error) * 1e3
    r2 = 1.0 - (error**2).mean(axis=0) / np.maximum(spread, 1e-12)
    return ProbeResult(r2, np.median(size, axis=0), np.quantile(size, 0.9, axis=0))
