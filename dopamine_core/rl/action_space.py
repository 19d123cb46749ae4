"""Executed displacements go in, learner actions in [-1, 1] come out, and back: the one place where units are scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError, LearnerError
from dopamine_core.types import ACTION_AXES

GRIPPER = ACTION_AXES.index("gripper")
# A displacement summed from 50 Hz ticks may miss the bound by rounding; more than this is reported.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class ActionSpaceConfig:
    """Which axes the policy moves, and how far in one decision period."""

    axes: tuple[str, ...] = setting(
        ("x", "y", "z"),
        doc="Axes that the policy moves, in this order; the others stay.",
        choices=(),
    )
    max_step_m: float = setting(
        0.01, doc="Displacement that action 1 stands for on x, y, z.", unit="m", low=1e-5, high=0.2
    )
    max_step_rad: float = setting(
        0.1, doc="Rotation that action 1 stands for on rx, ry, rz.", unit="rad", low=1e-4, high=1.0
    )

    def __post_init__(self) -> None:
        check(self)
        unknown = [axis for axis in self.axes if axis not in ACTION_AXES]
        if unknown or not self.axes or len(set(self.axes)) != len(self.axes):
            raise ConfigError(
                expected=f"distinct axes out of {', '.join(ACTION_AXES)}",
                got=repr(self.axes),
                remedy="correct 'axes'",
            )


class ActionSpace:
    """Scale between executed actions (metres, radians, gripper fraction) and the learner's [-1, 1].

    :param config: axes and scales; the size A of an action is the number of axes.
    """

    def __init__(self, config: ActionSpaceConfig) -> None:
        self.config = config
        self._columns = np.array([ACTION_AXES.index(axis) for axis in config.axes])  # (A,)
        steps = [config.max_step_m] * 3 + [config.max_step_rad] * 3 + [0.5]
        self._scale = np.array(steps)[self._columns]  # (A,) m, rad or gripper fraction per unit
        # (A,) moves the gripper's 0 ... 1 to -1 ... 1
        self._offset = np.where(self._columns == GRIPPER, 0.5, 0.0)

    @property
    def size(self) -> int:
        """Number of axes A."""
        return len(self._columns)

    def to_unit(self, executed: NDArray[np.float64]) -> NDArray[np.float32]:
        """Scale executed actions to the learner's units, unclipped; NaN stays NaN.

        :param executed: (N, 7) x y z [m] rx ry rz [rad] over one decision interval, gripper 0 ... 1.
        :returns: (N, A).
        """
        if executed.ndim != 2 or executed.shape[1] != len(ACTION_AXES):
            raise LearnerError(
                expected=f"executed actions of shape (N, {len(ACTION_AXES)})",
                got=str(executed.shape),
                remedy="take them from EpisodeData.actions",
            )
        return ((executed[:, self._columns] - self._offset) / self._scale).astype(np.float32)

    def out_of_range(self, unit: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which rows of (N, A) lie outside [-1, 1] by more than rounding; NaN rows count as outside."""
        return ~np.all(np.abs(unit) <= 1.0 + TOLERANCE, axis=1)

    def to_action(
        self, unit: NDArray[np.float32], gripper: float
    ) -> tuple[NDArray[np.float64], float]:
        """Turn one action of the policy into a displacement and a gripper target.

        :param unit: (A,) in [-1, 1]; values outside are clipped.
        :param gripper: present gripper fraction, kept when the gripper is not among the axes.
        :returns: (6,) displacement in metres and radians, gripper 0 open ... 1 closed.
        """
        values = np.clip(unit, -1.0, 1.0).astype(np.float64) * self._scale + self._offset  # (A,)
        full = np.zeros(len(ACTION_AXES))
        full[GRIPPER] = gripper
        full[self._columns] = values
        return full[:6], float(full[GRIPPER])
