"""Frame pairs of whole episodes and a reward model come in; progress curves and their figures go out.

Everything passes through the reward model's seam, so that any back end is judged by the same code, frame by frame as in
the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dopamine_core.errors import ModelError
from dopamine_core.evaluation import metrics
from dopamine_core.reward.fusion import Chain, FusionConfig
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import CONSECUTIVE
from dopamine_core.types import FramePair, Reading

READINGS = ("incremental", "forward", "backward", "fused")


@dataclass(frozen=True)
class ScoredPairs:
    """One episode's readings; a sample without a valid reading is NaN."""

    hops: NDArray[np.float64]  # (T, 3) incremental, forward, backward
    progress: NDArray[np.float64]  # (T,) fused as the model's session fuses
    inference_ns: NDArray[np.int64]  # (T,)

    @property
    def invalid(self) -> int:
        """Number of samples without a valid reading."""
        return int(np.isnan(self.progress).sum())


def score_pairs(
    model: RewardModel, references: References, pairs: Sequence[FramePair]
) -> ScoredPairs:
    """Show an episode to a fresh session, in order of time.

    :raises ModelError: when there is nothing to score, or the references cannot be used.
    :raises ImageError: when a frame cannot be decoded.
    """
    if not pairs:
        raise ModelError(
            expected="at least one frame pair", got="none", remedy="score an episode with frames"
        )
    session = model.open(references)
    readings = [session.observe(pair) for pair in pairs]
    return ScoredPairs(
        hops=np.array([reading.hop for reading in readings], np.float64),
        progress=np.array([_progress(reading) for reading in readings]),
        inference_ns=np.array([reading.inference_ns for reading in readings], np.int64),
    )


def _progress(reading: Reading) -> float:
    return reading.progress if reading.ok else float("nan")


def curves(hops: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Progress (T,) by each reading alone and by their mean (Eq. 5-8).

    The incremental one chains from its own last value here, so that it shows what it is worth alone.

    :param hops: (T, 3) incremental, forward, backward; a row with a NaN (other than the first
        incremental one, which does not exist) gives NaN and holds the chains.
    """
    fused, alone = Chain(FusionConfig()), Chain(FusionConfig(chain="own"))
    rows = np.full((len(hops), len(READINGS)), np.nan)
    for number, row in enumerate(hops):
        if np.isnan(row[0 if number else 1 :]).any():
            continue
        triple = (float(row[0]), float(row[1]), float(row[2]))
        both, own = fused.fuse(triple), alone.fuse(triple)
        fused.advance(both)
        alone.advance(own)
        rows[number] = own.readings[0], both.readings[1], both.readings[2], both.progress
    return dict(zip(READINGS, rows.T, strict=True))


def success_index(
    progress: ArrayLike, threshold: float, consecutive: int = CONSECUTIVE
) -> int | None:
    """Decision at which the success rule fires; None when it never does.

    :param progress: (T,); NaN breaks the row.
    """
    row = 0
    for index, value in enumerate(np.asarray(progress, np.float64)):
        row = row + 1 if value >= threshold else 0
        if row >= consecutive:
            return index
    return None


@dataclass(frozen=True)
class JudgedEpisode:
    """One episode's curve beside the truth."""

    progress: NDArray[np.float64]  # (T,)
    truth: NDArray[np.float64]  # (T,)
    done: NDArray[np.bool_]  # (T,) success by the truth
    expert: bool


def figures(episodes: Sequence[JudgedEpisode]) -> dict[str, float]:
    """Judge curves: VOC on experts, rank correlation on the others, error and regressions on all.

    A figure that no episode supports is NaN.
    """
    experts = [e for e in episodes if e.expert]
    others = [e for e in episodes if not e.expert]
    counts = [metrics.regressions_seen(e.progress, e.truth) for e in episodes]
    total = sum(count.total for count in counts)
    return {
        "voc": metrics.nan_mean([metrics.voc(e.progress) for e in experts]),
        "rmse": metrics.nan_mean([metrics.rmse(e.progress, e.truth) for e in episodes]),
        "rank_imperfect": metrics.nan_mean([metrics.spearman(e.progress, e.truth) for e in others]),
        "regressions_seen": sum(c.seen for c in counts) / total if total else float("nan"),
        "regressions": float(total),
        "episodes": float(len(episodes)),
    }


def success_figures(
    episodes: Sequence[JudgedEpisode], threshold: float, consecutive: int = CONSECUTIVE
) -> dict[str, float]:
    """Judge the success rule against the truth.

    An episode's success is false when the rule fires before the truth does (or the truth never does), missed when the
    truth does and the rule never fires from there on. Counts, and the median delay in decisions of the right ones.
    """
    false = missed = right = succeeded = 0
    delays: list[float] = []
    for episode in episodes:
        fired = success_index(episode.progress, threshold, consecutive)
        first = int(np.argmax(episode.done)) if episode.done.any() else None
        succeeded += first is not None
        early = fired is not None and (first is None or fired < first)
        false += early
        missed += first is not None and fired is None
        if fired is not None and not early and first is not None:
            right += 1
            delays.append(float(fired - first))
    return {
        "episodes": float(len(episodes)),
        "true_successes": float(succeeded),
        "right": float(right),
        "false": float(false),
        "missed": float(missed),
        "delay_decisions": float(np.median(delays)) if delays else float("nan"),
    }
