"""Frames of a run come in, the few that the network looks at go out; and made-up runs, for training.

A window holds the run's first frame and the newest ones at equal gaps; before its beginning the first frame stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SECOND_NS = 1_000_000_000


def window_at(stamps_ns: Sequence[int], frames: int, gap_s: float) -> NDArray[np.int64]:
    """Choose the frames nearest to the wanted times.

    :param stamps_ns: of all frames so far, at least one; a clock that was set back counts as standing still.
    :param frames: of the window, the run's first one included.
    :returns: (frames,) indices, the first 0, the last that of the newest frame.
    """
    times_s = np.maximum.accumulate(np.asarray(stamps_ns, np.int64) - stamps_ns[0]) / _SECOND_NS
    wanted_s = times_s[-1] - gap_s * np.arange(frames - 2, 0, -1)
    nearest = np.abs(times_s[None] - wanted_s[:, None]).argmin(axis=1)
    return np.concatenate([[0], nearest, [len(stamps_ns) - 1]])


@dataclass(frozen=True)
class Paths:
    """Made-up runs through a demonstration: forwards to a frame at some pace, then perhaps back again.

    :param end: (B,) frame reached; beyond the last one: the last one, held.
    :param back: (B,) frames gone back from there.
    :param pace: (B,) frames per decision on the way.
    """

    end: NDArray[np.int64]
    back: NDArray[np.int64]
    pace: NDArray[np.int64]

    def window(self, frames: int, gap: int, length: NDArray[np.int64]) -> NDArray[np.int64]:
        """Frames of the demonstration in the windows that end the runs: (B, frames).

        :param gap: decisions between the frames of a window.
        :param length: (B,) of the demonstrations.
        """
        steps = gap * np.arange(frames - 2, -1, -1)[None]  # decisions before the end
        back, end = self.back[:, None], self.end[:, None]
        backwards = end - back + steps
        forwards = end - (steps - back) * self.pace[:, None]
        shown = np.where(steps <= back, backwards, forwards)
        first = np.zeros((len(shown), 1), np.int64)
        return np.clip(np.concatenate([first, shown], axis=1), 0, length[:, None] - 1)


def draw_paths(
    length: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    rewind: float,
    hold: int,
    paces: int,
) -> Paths:
    """Draw runs.

    :param length: (B,) of the demonstrations.
    :param rewind: share of runs that go back.
    :param hold: how long the last frame may be held, in frames.
    :param paces: highest pace.
    """
    end = rng.integers(0, length + hold)
    furthest = np.minimum(end, length - 1)
    goes_back = rng.random(len(length)) < rewind
    back = np.where(goes_back, rng.integers(0, furthest + 1), 0)
    end = np.where(goes_back, furthest, end)
    return Paths(end, back, rng.integers(1, paces + 1, len(length)))
