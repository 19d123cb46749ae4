"""Predicted and true progress come in; the figures that a reward model is judged by go out.

Every function takes one episode at decision rate: ``predicted`` and ``true`` are (T,) in [0, 1]. A figure that does
not exist for an episode (a constant curve has no rank, an episode may have no regression) is NaN or an empty count,
never 0; ``nan_mean`` leaves it out.

VOC protocol: value-order correlation is the rank correlation (Spearman) of predicted progress with time on *expert*
episodes. ``sparse`` looks at the keyframes only, ``medium`` at four samples per keyframe segment, ``dense`` at every
decision. The goal shown to the model is the last frame pair of a sibling demonstration of another scene, never the
episode's own last frame, which flatters. VOC alone misleads (a monotone clock scores 1.0): read it beside the error,
the rank correlation on imperfect episodes and the share of regressions seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

SUCCESS, PARTIAL, FAILURE = "success", "partial", "failure"


@dataclass(frozen=True)
class RegressionCount:
    """True regressions of an episode, and how many of them the prediction shows."""

    total: int
    seen: int


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Rank correlation; NaN when either side is constant or shorter than two."""
    return _correlation(stats.spearmanr, a, b)


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Linear correlation; NaN when either side is constant or shorter than two."""
    return _correlation(stats.pearsonr, a, b)


def _correlation(measure: object, a: ArrayLike, b: ArrayLike) -> float:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.size < 2 or np.ptp(x) < 1e-12 or np.ptp(y) < 1e-12:
        return float("nan")
    return float(measure(x, y).statistic)  # type: ignore[operator]


def density_samples(keyframes: Sequence[int], frames: int, density: str) -> NDArray[np.int64]:
    """Frames that VOC looks at.

    :param density: ``sparse`` (keyframes), ``medium`` (four samples per segment) or ``dense`` (all).
    """
    if density == "dense":
        return np.arange(frames)
    if density == "sparse":
        return np.asarray(keyframes, np.int64)
    if density != "medium":
        raise ValueError(f"expected sparse, medium or dense, got {density!r}")
    steps = np.arange(0, 4 * (len(keyframes) - 1) + 1) / 4.0
    marks = np.interp(steps, np.arange(len(keyframes)), keyframes)
    return np.unique(np.round(marks).astype(np.int64))


def voc(predicted: ArrayLike, samples: NDArray[np.int64] | None = None) -> float:
    """Value-order correlation: Spearman of predicted progress with time (see the protocol above).

    :param samples: frames to look at; all when left out.
    """
    values = np.asarray(predicted, np.float64)
    chosen = np.arange(values.size) if samples is None else samples
    return spearman(values[chosen], chosen)


def rmse(predicted: ArrayLike, true: ArrayLike) -> float:
    """Root mean squared error of progress."""
    gap = np.asarray(predicted, np.float64) - np.asarray(true, np.float64)
    return float(np.sqrt(np.mean(gap**2)))


def true_regressions(true: ArrayLike, min_drop: float = 0.1) -> list[tuple[int, int]]:
    """Find the regressions of true progress: (peak, trough) frames of every fall by at least ``min_drop``.

    A fall ends when progress has risen again by ``min_drop`` from its lowest point, or with the episode.
    """
    values = np.asarray(true, np.float64)
    falls: list[tuple[int, int]] = []
    peak = trough = 0
    for index, value in enumerate(values):
        if value < values[trough]:
            trough = index
        risen = value - values[trough] >= min_drop
        fallen = values[peak] - values[trough] >= min_drop
        if fallen and risen:
            falls.append((peak, trough))
            peak = trough = index
        elif not fallen and value >= values[peak]:
            peak = trough = index
    if values.size and values[peak] - values[trough] >= min_drop:
        falls.append((peak, trough))
    return falls


def regressions_seen(
    predicted: ArrayLike, true: ArrayLike, min_drop: float = 0.1
) -> RegressionCount:
    """Count true regressions and those that the prediction shows.

    A regression (see :func:`true_regressions`) is seen when, between the same peak and trough frames, predicted
    progress falls by at least half as much as true progress does.
    """
    values, truth = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    falls = true_regressions(truth, min_drop)
    seen = sum(values[a] - values[b] >= 0.5 * (truth[a] - truth[b]) for a, b in falls)
    return RegressionCount(len(falls), int(seen))


def sign_agreement(
    predicted: ArrayLike, true: ArrayLike, steps: int, min_change: float = 0.05
) -> float:
    """Share of moving windows whose direction is predicted.

    A window of ``steps`` decisions moves when true progress changes by at least ``min_change`` in it.

    :returns: share in [0, 1]; NaN when no window moves.
    """
    change = np.asarray(true, np.float64)[steps:] - np.asarray(true, np.float64)[:-steps]
    guess = np.asarray(predicted, np.float64)[steps:] - np.asarray(predicted, np.float64)[:-steps]
    moving = np.abs(change) >= min_change
    if not moving.any():
        return float("nan")
    return float(np.mean(np.sign(guess[moving]) == np.sign(change[moving])))


def completion(progress: ArrayLike) -> str:
    """Judge a whole episode by its progress (Eq. 58): success, partial or failure."""
    values = np.asarray(progress, np.float64)
    last_third = values[-max(1, values.size // 3) :]
    if values[-1] > 0.8 and last_third.mean() > 0.6:
        return SUCCESS
    return PARTIAL if values.mean() >= 0.4 else FAILURE


def completion_accuracy(predicted: Sequence[ArrayLike], true: Sequence[ArrayLike]) -> float:
    """Share of episodes judged alike by predicted and by true progress (Eq. 58)."""
    alike = [completion(a) == completion(b) for a, b in zip(predicted, true, strict=True)]
    return float(np.mean(alike)) if alike else float("nan")


def pixel_progress(frames: NDArray[np.uint8], goal: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pixel-L2 baseline: 1 - |x_t - goal| / |x_0 - goal|, clamped to [0, 1].

    :param frames: (T, ..., 3) uint8, all cameras of each moment.
    :param goal: (..., 3) uint8, the same cameras at the goal.
    :returns: (T,) in [0, 1].
    """
    gaps = frames.reshape(len(frames), -1).astype(np.float32) - goal.reshape(-1).astype(np.float32)
    distance = np.sqrt((gaps.astype(np.float64) ** 2).mean(axis=1))
    return np.clip(1.0 - distance / max(distance[0], 1e-9), 0.0, 1.0)


def nan_mean(values: Sequence[float]) -> float:
    """Mean over the figures that exist; NaN when none does."""
    kept = [value for value in values if np.isfinite(value)]
    return float(np.mean(kept)) if kept else float("nan")
