"""A demonstration's keyframes come in; states with progress, and which of them are held out, go out.

A state is a frame with a progress label. Eq. 1 (arXiv 2512.23703 v1) divides every keyframe segment evenly; where it
gives too few states, because the demonstration is short, each segment is divided further, and the states between are
interpolated ones. Divisions fall between frames: a state is the frame nearest to its division, labelled with that
frame's own progress, which is linear between keyframes and so a fraction of a state. Picture and label thus belong
together, and divisions that share a frame are one state. Frames after arrival are states of progress 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.demonstration_progress import (
    decoded,
    marks_to_arrival,
    progress_to_arrival,
)
from dopamine_core.reward.keyframe_states import CHUNK_FRAMES, state_frames

_LOOKED_AT = (128, 96)  # pixels in which arrival is looked for
_MARGIN = 1  # frames beside a held-out block that are neither learned from nor judged on
_LEAST = 4  # moments that can be balanced at all

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class StateConfig:
    """Which moments of a demonstration are asked about."""

    chunk_frames: int = setting(
        CHUNK_FRAMES, doc="C of Eq. 1: frames per state.", low=1, high=100_000
    )
    min_states: int = setting(
        40, doc="With fewer states by Eq. 1, segments are divided further.", low=2, high=100_000
    )
    held_out_share: float = setting(
        0.2, doc="Share of the frames that is kept for judging.", low=0.05, high=0.5
    )
    held_out_blocks: int = setting(
        2, doc="Stretches of time that the held-out frames come in.", low=1, high=20
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class States:
    """A demonstration's moments. Frame 0 is the start, frame ``len(phi) - 1`` the goal."""

    phi: NDArray[np.float64]  # (T,) progress of every frame, in [0, 1]
    learned: Indices  # (S,) frames that are learned from, rising
    judged: Indices  # (J,) frames that are judged on, rising


def states_of(
    demonstration: Demonstration, config: StateConfig, rng: np.random.Generator
) -> States:
    """Label a demonstration and divide its states.

    :param rng: chooses the held-out stretches.
    :raises DemonstrationError: when it is too short, its keyframes do not fit, its goal looks like its start, or
        only some of its pairs have a wrist view.
    :raises ImageError: when a frame cannot be decoded.
    """
    marks = marks_to_arrival(demonstration, decoded(demonstration, _LOOKED_AT))
    count = len(demonstration.pairs)
    frames = np.union1d(divisions(marks, config), np.arange(marks[-1], count))
    held, near = held_out_frames(marks[-1] + 1, config, rng)
    learned, judged = np.setdiff1d(frames, near), np.intersect1d(frames, held)
    if len(learned) < _LEAST or not len(judged):
        raise DemonstrationError(
            expected=f"at least {_LEAST} states to learn from and one to judge on",
            got=f"{len(learned)} and {len(judged)} in episode {demonstration.episode_id!r}",
            remedy="record a longer demonstration, or raise min_states",
        )
    return States(progress_to_arrival(marks, count), learned, judged)


def divisions(marks: list[int], config: StateConfig) -> Indices:
    """Frames of the states on the way (Eq. 1, interpolated where it gives too few), rising, without repetition.

    :param marks: keyframes, the first 0, the last the frame of arrival.
    """
    positions = state_frames(marks, marks[-1] + 1, config.chunk_frames)
    segments = len(marks) - 1
    if len(positions) < config.min_states:
        parts = -(-(config.min_states - 1) // segments)
        steps = np.arange(segments * parts + 1) / parts
        positions = np.interp(steps, np.arange(segments + 1), marks)
    return np.unique(np.rint(positions).astype(np.int64))


def held_out_frames(
    count: int, config: StateConfig, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw whole stretches of time: the frames that are held out, and those with their borders.

    Neighbouring frames look alike, so that a frame between two that were learned from would test memory. The first
    and the last stretch always stay: they hold start and goal, which every question shows.

    :param count: frames up to arrival.
    """
    stretches = np.array_split(
        np.arange(count), max(round(config.held_out_blocks / config.held_out_share), 3)
    )
    inner = len(stretches) - 2
    chosen = rng.choice(inner, min(config.held_out_blocks, inner), replace=False) + 1
    held = np.concatenate([stretches[k] for k in sorted(chosen)])
    borders = [held + offset for offset in range(-_MARGIN, _MARGIN + 1)]
    near = np.unique(np.concatenate(borders))
    return held, near[(near > 0) & (near < count - 1)]
