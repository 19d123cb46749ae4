"""What travels between a reward client and a server: samples one way, answers the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]  # (T, H, W, 3) uint8, RGB order


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Frames of one camera in order of time, and the task they are judged by.

    Everything after ``last_only`` is this suite's extension of the format; other servers ignore it.

    :param frames: (T, H, W, 3), T >= 1.
    :param task: one sentence.
    :param last_only: ask for the last frame's answer alone.
    :param wrist_frames: (T, h, w, 3), the wrist camera at the same moments.
    :param goal_frames: (G, H, W, 3), front views of the goal, one per demonstration.
    :param goal_wrist_frames: (G, h, w, 3), the wrist views of the same.
    :param start_frames: (1, H, W, 3), front view of a demonstration's start.
    :param start_wrist_frames: (1, h, w, 3), its wrist view.
    """

    frames: Frames
    task: str
    id: str = ""
    last_only: bool = False
    wrist_frames: Frames | None = None
    goal_frames: Frames | None = None
    goal_wrist_frames: Frames | None = None
    start_frames: Frames | None = None
    start_wrist_frames: Frames | None = None


#: Arrays of a trajectory that are this suite's extension, each sent as a part of its own.
EXTENSIONS = (
    "wrist_frames",
    "goal_frames",
    "goal_wrist_frames",
    "start_frames",
    "start_wrist_frames",
)
ARRAYS = ("frames", *EXTENSIONS)


@dataclass(frozen=True)
class ProgressSample:
    """Asks for progress, and success where the model knows it, at each frame."""

    trajectory: Trajectory

    @property
    def trajectories(self) -> dict[str, Trajectory]:
        """Its one trajectory, under the format's name."""
        return {"trajectory": self.trajectory}


@dataclass(frozen=True)
class PreferenceSample:
    """Asks which of two trajectories does the task better."""

    chosen: Trajectory
    rejected: Trajectory

    @property
    def trajectories(self) -> dict[str, Trajectory]:
        """Both trajectories, under the format's names."""
        return {"chosen_trajectory": self.chosen, "rejected_trajectory": self.rejected}


Sample = ProgressSample | PreferenceSample


@dataclass(frozen=True)
class Batch:
    """One request.

    :param use_frame_steps: Robometer's flag: expand each trajectory into growing prefixes.
    """

    samples: tuple[Sample, ...]
    use_frame_steps: bool = False

    @property
    def frames(self) -> int:
        """Front frames of all trajectories."""
        return sum(len(t.frames) for sample in self.samples for t in sample.trajectories.values())


@dataclass(frozen=True)
class FrameAnswer:
    """What a server says of one frame; ``text`` says why progress is NaN."""

    progress: float = math.nan  # in [0, 1]
    success: float = math.nan  # in [0, 1]; NaN when the model gives none
    text: str = ""
    uncertainty: float = math.nan  # standard deviation of progress; NaN when the model gives none


@dataclass(frozen=True)
class PreferenceAnswer:
    """Probability in [0, 1] that the first trajectory is the better one; ``text`` says why it is NaN."""

    probability: float = math.nan
    text: str = ""


@dataclass(frozen=True)
class Reply:
    """Answers to the progress samples and to the preference samples of a batch, each in order."""

    progress: tuple[tuple[FrameAnswer, ...], ...] = ()
    preferences: tuple[PreferenceAnswer, ...] = ()
