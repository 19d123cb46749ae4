"""A model that scores clips becomes a reward model: frames are collected, a window of them is scored per sample.

Clip models see one camera and, but for the text, no goal: each sample is answered by the last value of a clip that
ends with it. What the window holds is a parameter; the published default is eight frames spread over everything seen
so far, first and newest included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dopamine_core.config import check, setting
from dopamine_core.errors import ModelError
from dopamine_core.reward.session import References
from dopamine_core.types import FramePair, ModelId, Reading, Status

Frame = Any  # what a clip model makes of one pair; opaque to everyone else
WHOLE, TRAILING = "whole", "trailing"


@dataclass(frozen=True)
class WindowConfig:
    """Which frames of an episode make the clip of a sample."""

    policy: str = setting(
        WHOLE,
        doc="whole: spread over everything seen so far; trailing: the newest ones.",
        choices=(WHOLE, TRAILING),
    )
    frames: int = setting(8, doc="Frames of a clip.", low=1, high=10**6)
    stored: int = setting(
        4096, doc="Frames kept of an episode; beyond, every other one is forgotten.", low=16, high=10**6
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ClipQuery:
    """One question: how far is the task at the last of these frames?"""

    task: str
    frames: tuple[Frame, ...]  # in order of time, at least one
    references: References


@dataclass(frozen=True)
class ClipAnswer:
    """Progress in [0, 1] of a clip's last frame, or the status that says why there is none."""

    status: Status
    progress: float = math.nan
    success_probability: float = math.nan  # in [0, 1]; NaN when the model gives none
    uncertainty: float = math.nan  # standard deviation of progress
    text: str = ""


@runtime_checkable
class ClipScorer(Protocol):
    """A clip back end. ``fast``, ``success_threshold`` and ``success_signal`` as in ``RewardModel``."""

    model_id: ModelId
    fast: bool
    success_threshold: float
    success_signal: str

    def encode(self, pair: FramePair) -> Frame:
        """Make of a pair what ``score`` needs; once per pair.

        :raises ImageError: when the bytes cannot be decoded.
        """

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Answer a batch of clips, one answer each, in order."""


class ClipRewardModel:
    """A RewardModel on top of a clip back end.

    :param scorer: back end that scores clips.
    :param window: which frames make a clip.
    """

    def __init__(self, scorer: ClipScorer, window: WindowConfig | None = None) -> None:
        self.scorer = scorer
        self._window = window or WindowConfig()

    @property
    def window(self) -> WindowConfig:
        """Which frames make a clip."""
        return self._window

    @property
    def model_id(self) -> ModelId:
        """Which model answers."""
        return self.scorer.model_id

    @property
    def fast(self) -> bool:
        """Whether the back end answers within one decision period."""
        return self.scorer.fast

    @property
    def success_threshold(self) -> float:
        """Threshold of this model."""
        return self.scorer.success_threshold

    @property
    def success_signal(self) -> str:
        """What the threshold is compared with."""
        return self.scorer.success_signal

    def open(self, references: References) -> ClipSession:
        """Open a session for one episode.

        :raises ModelError: when the task is missing.
        """
        if not references.task.strip() or not references.goals:
            raise ModelError(
                expected="a task sentence and at least one goal pair",
                got=f"task {references.task!r} and {len(references.goals)} goals",
                remedy="set them with the reward/set_task service",
            )
        return ClipSession(self.scorer, self._window, references)


class ClipSession:
    """One episode's frames and the readings of its growing clip."""

    def __init__(self, scorer: ClipScorer, window: WindowConfig, references: References) -> None:
        self._scorer = scorer
        self._window = window
        self._references = references
        self._frames: list[Frame] = []
        self._held = math.nan
        self.last: Reading | None = None

    def observe(self, pair: FramePair) -> Reading:
        """Answer the next sample and keep its frame.

        :raises ImageError: when the bytes cannot be decoded; nothing is kept then.
        """
        return self.observe_all([pair])[0]

    def observe_all(self, pairs: Sequence[FramePair]) -> list[Reading]:
        """Answer several samples in one batch; equal to ``observe`` one by one.

        :raises ImageError: when bytes cannot be decoded; nothing is kept then.
        """
        frames = [self._scorer.encode(pair) for pair in pairs]
        clips = []
        for frame in frames:
            self._frames = _thinned([*self._frames, frame], self._window.stored)
            clips.append(self._frames)
        readings = self._read(clips)
        self.last = readings[-1] if readings else self.last
        return readings

    def peek(self, pair: FramePair) -> Reading:
        """Answer as ``observe`` would, but keep nothing."""
        held = self._held
        reading = self._read([[*self._frames, self._scorer.encode(pair)]])[0]
        self._held = held
        return reading

    def _read(self, clips: Sequence[Sequence[Frame]]) -> list[Reading]:
        began_ns = time.perf_counter_ns()
        queries = [
            ClipQuery(self._references.task, window_of(clip, self._window), self._references)
            for clip in clips
        ]
        answers = self._scorer.score(queries)
        if len(answers) != len(queries):
            raise ModelError(
                expected=f"{len(queries)} answers",
                got=f"{len(answers)}",
                remedy=f"repair the back end {self._scorer.model_id.name!r}",
            )
        spent_ns = (time.perf_counter_ns() - began_ns) // max(1, len(queries))
        return [self._reading(answer, spent_ns) for answer in answers]

    def _reading(self, answer: ClipAnswer, inference_ns: int) -> Reading:
        fault = fault_of(answer)
        if fault:
            # A model that failed says so; a value that cannot be used is no reading.
            status = Status.INVALID_HOP if answer.status is Status.OK else answer.status
            return Reading(status, fault, progress=self._held, inference_ns=inference_ns)
        self._held = answer.progress
        return Reading(
            Status.OK,
            progress=answer.progress,
            uncertainty=answer.uncertainty,
            success_probability=answer.success_probability,
            inference_ns=inference_ns,
        )


def window_of(frames: Sequence[Frame], config: WindowConfig) -> tuple[Frame, ...]:
    """Choose the frames of a clip, in order of time, the newest last.

    :param frames: everything kept so far, at least one.
    :returns: at most ``config.frames``; fewer while there are fewer.
    """
    count = min(config.frames, len(frames))
    if config.policy == TRAILING:
        return tuple(frames[len(frames) - count :])
    return tuple(frames[k] for k in spread(len(frames), config.frames))


def spread(length: int, count: int) -> list[int]:
    """Spread indices evenly over a sequence, both ends included, halves rounded to even.

    :param length: of the sequence, at least 1.
    :param count: indices wanted, at least 1; a single one is the last.
    :returns: all indices when there are no more than wanted.
    """
    if length <= count:
        return list(range(length))
    if count == 1:
        return [length - 1]
    return [int(k) for k in np.rint(np.linspace(0, length - 1, count))]


def _thinned(frames: list[Frame], limit: int) -> list[Frame]:
    """Forget every other frame between the first and the newest once there are too many."""
    return frames if len(frames) <= limit else [*frames[:-1:2], frames[-1]]


def fault_of(answer: ClipAnswer) -> str:
    """Say why an answer carries no progress; empty when it does."""
    if answer.status is not Status.OK:
        return answer.text or f"the model answered {answer.status.name}"
    if not 0.0 <= answer.progress <= 1.0:
        return f"expected progress in [0, 1], got {answer.progress}; the sample is not used"
    return ""
