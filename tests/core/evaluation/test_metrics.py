"""Figures of merit: as tables on hand-made curves."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.evaluation import metrics

RISE = np.linspace(0.0, 1.0, 31)


def test_voc_of_a_clock_is_one_and_of_its_mirror_minus_one() -> None:
    assert metrics.voc(RISE**3) == pytest.approx(1.0)
    assert metrics.voc(1.0 - RISE) == pytest.approx(-1.0)
    assert np.isnan(metrics.voc(np.full(31, 0.4)))


@pytest.mark.parametrize(
    ("density", "expected"),
    [("sparse", [0, 8, 10]), ("medium", [0, 2, 4, 6, 8, 9, 10]), ("dense", list(range(11)))],
)
def test_density_samples(density: str, expected: list[int]) -> None:
    assert metrics.density_samples([0, 8, 10], 11, density).tolist() == expected


def test_rmse_is_the_offset() -> None:
    assert metrics.rmse(RISE + 0.1, RISE) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.0, 0.5, 1.0], []),
        ([0.0, 0.5, 0.45, 1.0], []),
        ([0.0, 0.5, 0.3, 1.0], [(1, 2)]),
        ([0.0, 0.5, 0.46, 0.42, 0.38], [(1, 4)]),
        ([0.6, 0.2, 0.7, 0.65, 0.1], [(0, 1), (2, 4)]),
        ([0.6, 0.2, 0.25, 0.1, 0.9], [(0, 3)]),
        ([], []),
    ],
)
def test_true_regressions(curve: list[float], expected: list[tuple[int, int]]) -> None:
    assert metrics.true_regressions(curve) == expected


@pytest.mark.parametrize(("fall", "seen"), [(0.4, 1), (0.2, 1), (0.19, 0), (0.0, 0), (-0.3, 0)])
def test_a_regression_is_seen_from_half_its_size(fall: float, seen: int) -> None:
    count = metrics.regressions_seen([0.0, 0.6, 0.6 - fall], [0.0, 0.6, 0.2])
    assert (count.total, count.seen) == (1, seen)


def test_sign_agreement_ignores_what_stands_still() -> None:
    true = np.array([0.0, 0.1, 0.2, 0.2, 0.2, 0.1])
    assert metrics.sign_agreement(true, true, 1) == 1.0
    assert metrics.sign_agreement(1.0 - true, true, 1) == 0.0
    assert np.isnan(metrics.sign_agreement(true, np.zeros(6), 1))


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (RISE, "success"),
        (np.concatenate([RISE[:20], np.full(11, 0.6)]), "partial"),
        (RISE * 0.3, "failure"),
        (np.concatenate([np.zeros(30), [0.9]]), "failure"),
    ],
)
def test_completion_rule(curve: np.ndarray, expected: str) -> None:
    assert metrics.completion(curve) == expected


def test_completion_accuracy_counts_agreement() -> None:
    assert metrics.completion_accuracy([RISE, RISE], [RISE, RISE * 0.3]) == 0.5


def test_pixel_progress_runs_from_zero_to_one() -> None:
    start, goal = np.zeros((4, 4, 3)), np.full((4, 4, 3), 200.0)
    frames = np.stack([start + (goal - start) * share for share in (0.0, 0.5, 1.0)]).astype(
        np.uint8
    )
    assert metrics.pixel_progress(frames, goal.astype(np.uint8)) == pytest.approx([0.0, 0.5, 1.0])


def test_nan_mean_leaves_out_what_does_not_exist() -> None:
    assert metrics.nan_mean([1.0, float("nan"), 3.0]) == 2.0
    assert np.isnan(metrics.nan_mean([]))
