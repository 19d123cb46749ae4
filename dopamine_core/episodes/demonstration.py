"""A kept demonstration as adaptation and relabelling see it: images in order, keyframes,
gripper.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import DemonstrationError
from dopamine_core.types import EpisodeKind, FramePair, Outcome

MIN_PAIRS = 5
MAX_LOST_SHARE = 0.1


@dataclass(frozen=True)
class Demonstration:
    """One successful demonstration at decision rate.

    :param task: one sentence.
    :param pairs: frames of each decision, in order of time; the last shows the goal.
    :param keyframes: increasing indices into ``pairs``, the first 0 and the last ``len(pairs) -
        1``.
    :param gripper: (N,) commanded level, 0 open ... 1 closed; NaN where it is unknown.
    :param episode_id: where it comes from.
    :raises DemonstrationError: when it cannot teach: too short, or keyframes out of order.
    """

    task: str
    pairs: tuple[FramePair, ...]
    keyframes: tuple[int, ...]
    gripper: NDArray[np.float64]  # (N,)
    episode_id: str

    def __post_init__(self) -> None:
        count = len(self.pairs)
        if count < MIN_PAIRS or len(self.gripper) != count:
            raise DemonstrationError(
                expected=f"at least {MIN_PAIRS} frame pairs and one gripper level for each",
                got=f"{count} pairs, {len(self.gripper)} levels in episode {self.episode_id!r}",
                remedy="record it again",
            )
        marks = self.keyframes
        ordered = all(a < b for a, b in itertools.pairwise(marks))
        if len(marks) < 2 or not ordered or marks[0] != 0 or marks[-1] != count - 1:
            raise DemonstrationError(
                expected=f"increasing keyframes from 0 to {count - 1}",
                got=str(marks),
                remedy="correct the keyframes of the recording",
            )


def demonstration_of(episode: EpisodeData) -> Demonstration:
    """Take the demonstration out of a recorded episode.

    Decisions without frames are left out and keyframes move to the next one that has them.

    :raises DemonstrationError: when the operator did not keep it, no keyframe is marked, or frames
        are lost.
    """
    info = episode.info
    if (
        info.kind is not EpisodeKind.DEMONSTRATION
        or not info.kept
        or info.outcome is not Outcome.SUCCESS
    ):
        raise DemonstrationError(
            expected="a demonstration that the operator kept",
            got=f"{info.episode_id!r}: {info.kind.name}, {info.outcome.name}, kept {info.kept}",
            remedy="record one and keep it",
        )
    present = [k for k, pair in enumerate(episode.pairs) if pair is not None]
    lost = len(episode) - len(present)
    if lost > MAX_LOST_SHARE * len(episode):
        raise DemonstrationError(
            expected=f"at most {MAX_LOST_SHARE:.0%} of the frames lost",
            got=f"{lost} of {len(episode)} in episode {info.episode_id!r}",
            remedy="check the cameras and record it again",
        )
    gripper = _filled_forward(episode.actions[:, 6])
    return Demonstration(
        task=info.task,
        pairs=tuple(pair for pair in episode.pairs if pair is not None),
        keyframes=_moved(episode.keyframes, present),
        gripper=gripper[present],
        episode_id=info.episode_id,
    )


def _moved(keyframes: tuple[int, ...], present: list[int]) -> tuple[int, ...]:
    """Indices of the keyframes among the decisions that have frames; first and last always
    belong.
    """
    if not present:
        return ()
    inner = {min(int(np.searchsorted(present, mark)), len(present) - 1) for mark in keyframes}
    return tuple(sorted(inner | {0, len(present) - 1}))


def _filled_forward(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hold the last known level: the gripper keeps what it was told, also at the last decision."""
    known = np.where(np.isfinite(levels), np.arange(len(levels)), -1)
    last = np.maximum.accumulate(known)
    return np.where(last >= 0, levels[np.maximum(last, 0)], np.nan)
