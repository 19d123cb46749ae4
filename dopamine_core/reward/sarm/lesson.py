"""Demonstrations come in; their stages, and the features of their frames in several copies, go out.

A copy shows the demonstration under other light, colours and camera poses, so that the network learns what changes in
the scene and not what changes in the light.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.reward.demonstration_progress import decoded, marks_to_arrival
from dopamine_core.reward.nano.one_demonstration import Jitter, jitter
from dopamine_core.reward.sarm.encoder import FrozenEncoder
from dopamine_core.reward.sarm.stages import (
    MATCH,
    StageLabels,
    StagePlan,
    label_stages,
    marks_like,
    plan_of,
    stage_marks,
)
from dopamine_core.types import CAMERAS

_LEAST_GAP = 3  # frames between the last keyframe and arrival
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Run:
    """One demonstration: every frame in several copies, and its truth."""

    features: NDArray[np.float32]  # (C, T, 2, F)
    present: NDArray[np.float32]  # (2,) alike for all frames
    labels: StageLabels

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.features.shape[1]


@dataclass(frozen=True)
class Lesson:
    """All that is learned from.

    :param period_s: between frames, the median over all demonstrations.
    """

    plan: StagePlan
    runs: tuple[Run, ...]
    period_s: float


def prepare(
    demonstrations: Sequence[Demonstration],
    encoder: FrozenEncoder,
    *,
    copies: int,
    how: Jitter,
    rng: np.random.Generator,
    watch: Callable[[float], None],
    stages: str = MATCH,
    done_share: float = 0.0,
    like: StagePlan | None = None,
) -> Lesson:
    """Label and encode demonstrations.

    :param copies: jittered copies beside the original, which is copy 0.
    :param stages: where stages come from; see ``STAGES``.
    :param watch: called with the share that is done; may raise to end it.
    :param like: stages that are there already; they are used instead.
    :raises DemonstrationError: when one is unusable or too short for the stages.
    """
    pixels = [decoded(demonstration, encoder.size) for demonstration in demonstrations]
    arrivals = [_arrival(one, seen) for one, seen in zip(demonstrations, pixels, strict=True)]
    if like is None:
        marks = stage_marks(demonstrations, arrivals, stages)
    else:
        marks = marks_like(demonstrations, arrivals, like)
    runs = []
    for k, (seen, of_one) in enumerate(zip(pixels, marks, strict=True)):
        features = []
        for copy in range(copies + 1):
            shown = seen if copy == 0 else jitter(seen, how, rng)
            features.append(np.stack([_two_views(encoder.features(frame)) for frame in shown]))
            watch((k + (copy + 1) / (copies + 1)) / len(pixels))
        present = np.array([1.0, float(seen.shape[1] == len(CAMERAS))], np.float32)
        runs.append(Run(np.stack(features), present, label_stages(of_one, len(seen))))
    return Lesson(like or plan_of(marks, done_share), tuple(runs), _period_s(demonstrations))


def _arrival(demonstration: Demonstration, pixels: NDArray[np.uint8]) -> int:
    """Frame that reaches the last picture; the last one where a keyframe is later than that."""
    arrived = marks_to_arrival(demonstration, pixels)[-1]
    latest = demonstration.keyframes[-2]
    return arrived if arrived >= latest + _LEAST_GAP else len(pixels) - 1


def _two_views(features: NDArray[np.float32]) -> NDArray[np.float32]:
    missing = len(CAMERAS) - len(features)
    return np.concatenate([features, np.zeros((missing, features.shape[1]), np.float32)])


def _period_s(demonstrations: Sequence[Demonstration]) -> float:
    steps = [np.diff([pair.stamp_ns for pair in one.pairs]) for one in demonstrations]
    return float(np.median(np.concatenate(steps))) / _SECOND_NS
