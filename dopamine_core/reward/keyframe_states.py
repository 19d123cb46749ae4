"""A demonstration's keyframes come in, progress of its frames goes out (arXiv 2512.23703 v1, Eq. 1).

Progress counts states, not time: every segment between keyframes holds the same number of states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import DemonstrationError

CHUNK_FRAMES = 20  # C of Eq. 1


def states_per_segment(frames: int, segments: int, chunk: int = CHUNK_FRAMES) -> int:
    """Intermediate states per keyframe segment (Eq. 1): m = floor(floor(L / C) / N).

    :param frames: length L of the demonstration.
    :param segments: number N of keyframe segments.
    :param chunk: frames C per state.
    """
    return (frames // chunk) // segments


def state_frames(
    keyframes: Sequence[int], frames: int, chunk: int = CHUNK_FRAMES
) -> NDArray[np.float64]:
    """Frame positions of the states s_0 ... s_M; Phi(s_i) = i / M.

    :param keyframes: frame indices, strictly rising, first 0 and last ``frames - 1``.
    :param frames: length L of the demonstration.
    :returns: (M + 1,), fractional where a segment does not divide evenly.
    :raises DemonstrationError: when the keyframes do not fit the demonstration.
    """
    marks = checked_keyframes(keyframes, frames)
    parts = states_per_segment(frames, len(marks) - 1, chunk) + 1
    inner = [np.linspace(a, b, parts + 1)[:-1] for a, b in zip(marks[:-1], marks[1:], strict=True)]
    return np.concatenate([*inner, [float(marks[-1])]])


def frame_progress(keyframes: Sequence[int], frames: int) -> NDArray[np.float64]:
    """Progress of every frame: Phi(s_i) = i / M at the states, linear in between.

    With equally many states per segment the number of states cancels out, so that short demonstrations, which have
    no intermediate states at all, get the same curve.

    :param keyframes: frame indices, strictly rising, first 0 and last ``frames - 1``.
    :param frames: length L of the demonstration.
    :returns: (L,) from 0 to 1.
    :raises DemonstrationError: when the keyframes do not fit the demonstration.
    """
    marks = checked_keyframes(keyframes, frames)
    return np.interp(np.arange(frames), marks, np.linspace(0.0, 1.0, len(marks)))


def checked_keyframes(keyframes: Sequence[int], frames: int) -> list[int]:
    """Return the keyframes as a list.

    :raises DemonstrationError: when there are fewer than two, they do not rise, or they do not span all frames.
    """
    marks = [int(mark) for mark in keyframes]
    rising = all(a < b for a, b in zip(marks[:-1], marks[1:], strict=True))
    if len(marks) < 2 or not rising or marks[0] != 0 or marks[-1] != frames - 1:
        raise DemonstrationError(
            expected=f"at least two rising keyframes from 0 to {frames - 1}",
            got=str(marks),
            remedy="mark the keyframes again or record another demonstration",
        )
    return marks
