"""Keyframes of demonstrations come in, the stage of each frame and how stages add up to progress go out.

After SARM (arXiv 2509.25358): a stage k takes a share of a demonstration's time, its mean over the demonstrations is
``share[k]``, and progress is what the stages before it took plus ``share[k] * tau``, with tau in [0, 1] within the
stage. One more class stands for "done", so that arrived differs from nearly there; the last ``done_share`` of
progress is its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import DemonstrationError


@dataclass(frozen=True)
class StagePlan:
    """How classes add up to progress; the last class is "done".

    :param base: (K + 1,) progress at which a class begins; 1 for "done".
    :param share: (K + 1,) progress that a class takes; 0 for "done".
    """

    base: NDArray[np.float64]
    share: NDArray[np.float64]

    @property
    def stages(self) -> int:
        """Number of stages, "done" not counted."""
        return len(self.base) - 1

    def progress(
        self, probability: NDArray[np.float64], tau: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected progress and its standard deviation over the classes: (...,) each.

        :param probability: (..., K + 1) of the classes.
        :param tau: (..., K + 1) progress within each, in [0, 1].
        """
        value = self.base + self.share * tau
        mean = (probability * value).sum(-1)
        variance = (probability * (value - mean[..., None]) ** 2).sum(-1)
        return np.clip(mean, 0.0, 1.0), np.sqrt(variance)  # clipped: float rounding


@dataclass(frozen=True)
class StageLabels:
    """Truth of one demonstration's frames."""

    stage: NDArray[np.int64]  # (T,) class; K from arrival on
    tau: NDArray[np.float32]  # (T,) within the stage
    arrived: int  # first frame that is done


def label_stages(marks: Sequence[int], frames: int) -> StageLabels:
    """Label frames by marks.

    :param marks: rising frame indices, first 0, the last one is arrival.
    :param frames: length of the demonstration.
    """
    at = np.arange(frames)
    bounds = np.asarray(marks, np.int64)
    stage = np.searchsorted(bounds, at, side="right") - 1
    inner = np.minimum(stage, len(bounds) - 2)
    tau = (at - bounds[inner]) / (bounds[inner + 1] - bounds[inner])
    return StageLabels(stage, np.clip(tau, 0.0, 1.0).astype(np.float32), int(bounds[-1]))


def plan_of(marks: Sequence[Sequence[int]], done_share: float) -> StagePlan:
    """Average the shares of the stages over demonstrations.

    :param marks: of each demonstration, equally many.
    :param done_share: progress between the end of the last stage and "done", in [0, 1).
    """
    shares = np.mean([np.diff(one) / one[-1] for one in marks], axis=0) * (1.0 - done_share)
    base = np.concatenate([[0.0], np.cumsum(shares)[:-1], [1.0]])
    return StagePlan(base, np.append(shares, 0.0))


def stage_marks(demonstration: Demonstration, arrived: int, *, single: bool) -> list[int]:
    """Marks of a demonstration: its keyframes, the last one replaced by arrival.

    :param arrived: frame from which the last picture is reached.
    :param single: one stage, whatever the keyframes say.
    """
    inner = [] if single else [mark for mark in demonstration.keyframes[1:-1] if mark < arrived]
    return [0, *inner, arrived]


def check_alike(demonstrations: Sequence[Demonstration], marks: Sequence[Sequence[int]]) -> None:
    """Check that all demonstrations have the same stages.

    :raises DemonstrationError: when their numbers differ, or there are none.
    """
    if not marks:
        raise DemonstrationError(
            expected="at least one demonstration", got="none", remedy="record one and keep it"
        )
    pairs = list(zip(demonstrations, marks, strict=True))
    for (one, of_one), (other, of_other) in itertools.pairwise(pairs):
        if len(of_one) != len(of_other):
            raise DemonstrationError(
                expected="the same number of keyframes in every demonstration of a task",
                got=f"{len(of_one)} in episode {one.episode_id!r}, {len(of_other)} in {other.episode_id!r}",
                remedy="mark the same moments in each, or train with one stage (single_stage)",
            )
        if one.task != other.task:
            raise DemonstrationError(
                expected="demonstrations of one task",
                got=f"{one.task!r} and {other.task!r}",
                remedy="train one model for each task",
            )
