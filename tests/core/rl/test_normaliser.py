"""The map from raw observations to what the networks see."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.errors import LearnerError
from dopamine_core.rl.normaliser import CLIP, fit_normaliser

RNG = np.random.default_rng(0)


def data(rows: int = 200) -> np.ndarray:
    latent = RNG.normal(size=(rows, 3))
    features = latent @ RNG.normal(size=(3, 8)) * 5.0 + 2.0
    rest = RNG.normal(size=(rows, 2)) * np.array([0.5, 1e-9]) + 0.3
    return np.concatenate([features, rest], axis=1).astype(np.float32)


@pytest.mark.parametrize(("components", "size"), [(0, 10), (3, 5), (100, 10)])
def test_output_is_centred_and_of_unit_scale(components: int, size: int) -> None:
    rows = data()
    z = fit_normaliser(rows, (8,), components=components, floor=np.array([0.1, 0.1]))(rows)
    assert z.shape == (200, size)
    assert np.abs(z.mean(axis=0)).max() < 1e-2
    assert z.std(axis=0).max() < 1.05


def test_three_components_hold_three_latent_directions() -> None:
    rows = data()
    z = fit_normaliser(rows, (8,), components=3)(rows)[:, :3]
    back, *_ = np.linalg.lstsq(z, rows[:, :8] - rows[:, :8].mean(axis=0), rcond=None)
    assert np.abs(z @ back - (rows[:, :8] - rows[:, :8].mean(axis=0))).max() < 1e-2


def test_a_column_that_hardly_moves_is_not_blown_up() -> None:
    z = fit_normaliser(data(), (8,), components=3, floor=np.array([0.1, 0.1]))
    moved = data()
    moved[:, -1] += 0.01
    assert np.abs(z(moved)[:, -1]).max() < 0.2


def test_far_values_are_clipped() -> None:
    assert np.abs(fit_normaliser(data(), (8,), components=0)(data() * 1e4)).max() == CLIP


def test_wrong_size_and_missing_data_are_named() -> None:
    normaliser = fit_normaliser(data(), (8,), components=2)
    with pytest.raises(LearnerError, match="observations of size 10"):
        normaliser(np.zeros((1, 9), np.float32))
    with pytest.raises(LearnerError, match="record a demonstration"):
        fit_normaliser(np.zeros((0, 10), np.float32), (8,), components=2)
