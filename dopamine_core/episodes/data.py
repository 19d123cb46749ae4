"""One whole episode as values: what the assembler makes, and what learner, relabelling, report and
adaptation read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import EpisodeError
from dopamine_core.reward.session import References
from dopamine_core.types import (
    ACTION_AXES,
    Decision,
    EpisodeInfo,
    FramePair,
    JointSample,
    Potential,
)


@dataclass(frozen=True)
class EpisodeData:
    """N decisions in order of time, and what belongs to each; row k of every field speaks of
    decision k.

    With N decisions there are N - 1 transitions: the last decision is only an observation. What was
    lost is None (or a NaN row), never a stand-in.

    :param info: the episode as its authority closed it.
    :param pairs: frames that the decision names, None if lost.
    :param joints: joint sample that the decision names, None if lost.
    :param actions: (N, 7) x, y, z [m], rx, ry, rz [rad] executed from this decision to the next,
        and the gripper level in it, 0 open ... 1 closed; NaN where it is unknown, and always in the
        last row.
    :param potentials: the label lane's answer, None if there is none.
    :param commanded: (J,) newest commanded joint positions [rad] not after the decision, None if
        there is none.
    :param references: task, start and goal images that the potentials were made with, None if not
        known.
    :param keyframes: decision indices of the keyframes; empty when not marked.
    :raises EpisodeError: when the fields differ in length.
    """

    info: EpisodeInfo
    decisions: tuple[Decision, ...]
    pairs: tuple[FramePair | None, ...]
    joints: tuple[JointSample | None, ...]
    actions: NDArray[np.float64]  # (N, 7)
    potentials: tuple[Potential | None, ...]
    commanded: tuple[NDArray[np.float64] | None, ...]  # N of (J,)
    references: References | None = None
    keyframes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        fields = ("decisions", "pairs", "joints", "actions", "potentials", "commanded")
        lengths = {name: len(getattr(self, name)) for name in fields}
        if len(set(lengths.values())) > 1 or self.actions.shape[1:] != (len(ACTION_AXES),):
            raise EpisodeError(
                expected=f"one row per decision in every field and actions (N, {len(ACTION_AXES)})",
                got=f"{lengths}, actions {self.actions.shape}",
                remedy="make episodes with EpisodeAssembler",
            )

    def __len__(self) -> int:
        """Return the number of decisions N."""
        return len(self.decisions)
