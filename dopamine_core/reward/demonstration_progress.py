"""A demonstration and its pictures come in; where it arrives and the progress of its frames go out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import DemonstrationError
from dopamine_core.frames.codec import decode
from dopamine_core.reward.keyframe_states import checked_keyframes, frame_progress

MIN_FRAMES = 10  # one second at decision rate
_SAME_LEVELS = 1.5  # RMS grey levels by which a still picture may differ from itself
_STILL_SHARE = 0.35  # of a usual step: closer to the last picture counts as arrived
_LEAST_GAP = 3  # frames between the last keyframe and arrival


def decoded(demonstration: Demonstration, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a demonstration: (T, V, h, w, 3) uint8; V is 1 when no wrist view is there.

    :param size: (width, height) in pixels.
    :raises DemonstrationError: when only some pairs have a wrist view.
    :raises ImageError: when a frame cannot be decoded.
    """
    seen = {bool(pair.wrist.data) for pair in demonstration.pairs}
    if len(seen) > 1:
        raise DemonstrationError(
            expected="wrist images in all frame pairs or in none",
            got=f"both in episode {demonstration.episode_id!r}",
            remedy="check the wrist camera and record it again",
        )
    views = 2 if seen == {True} else 1
    rows = [
        [decode(image, size) for image in (pair.front, pair.wrist)[:views]]
        for pair in demonstration.pairs
    ]
    return np.array(rows, np.uint8)


def marks_to_arrival(demonstration: Demonstration, pixels: NDArray[np.uint8]) -> list[int]:
    """Keyframes up to the frame from which the last picture is reached; that frame is the last of them.

    A person needs a moment to say that it is done: the still frames at the end are the goal, not the way to it.

    :param pixels: (T, V, h, w, 3).
    :raises DemonstrationError: when it is too short, its keyframes do not fit or its goal looks like its start.
    """
    count = len(demonstration.pairs)
    if count < MIN_FRAMES:
        raise _unusable(demonstration, f"at least {MIN_FRAMES} frames", f"{count}")
    marks = checked_keyframes(demonstration.keyframes, count)
    distance = _distance(pixels, pixels[-1:])
    usual = float(np.median(_distance(pixels[1:], pixels[:-1])))
    near = distance < max(_SAME_LEVELS, _STILL_SHARE * usual)
    if near[0]:
        got = f"goal and start alike to {distance[0]:.1f} grey levels"
        raise _unusable(demonstration, "a goal that looks different from the start", got)
    away = np.flatnonzero(~near)
    arrived = int(away[-1]) + 1 if len(away) else 0
    return [0, *(mark for mark in marks[1:] if mark <= arrived - _LEAST_GAP), arrived]


def progress_of(demonstration: Demonstration, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Progress (T,) of a demonstration's frames (Eq. 1); 1 from where its last picture is reached.

    :raises DemonstrationError: as ``marks_to_arrival``.
    """
    marks = marks_to_arrival(demonstration, pixels)
    return progress_to_arrival(marks, len(demonstration.pairs))


def progress_to_arrival(marks: list[int], frames: int) -> NDArray[np.float64]:
    """Progress (T,) by the keyframes up to arrival, 1 from there on."""
    arrived = marks[-1]
    return np.concatenate([frame_progress(marks, arrived + 1), np.ones(frames - arrived - 1)])


def _distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """RMS difference in grey levels, of the view that differs most: (T,)."""
    gap = a.astype(np.float32) - b.astype(np.float32)
    return np.sqrt((gap.astype(np.float64) ** 2).mean(axis=(2, 3, 4))).max(axis=1)


def _unusable(demonstration: Demonstration, expected: str, got: str) -> DemonstrationError:
    return DemonstrationError(
        expected=f"a demonstration with {expected}",
        got=f"{got} in episode {demonstration.episode_id!r}",
        remedy="record another demonstration",
    )
