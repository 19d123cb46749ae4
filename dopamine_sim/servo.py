"""Device commands in, short joint trajectories out: end-effector motion of the embedded cell without the command path.

Only the reward model's training data and the cell's own tests use it; everything that practises goes through
``dopamine_core.control``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dopamine_core.control.kinematics import ARM_JOINTS, TOOL_DOWN, Pose
from dopamine_sim.cell import Cell
from dopamine_sim.joint_trajectory_controller import Point

_TICK_NS = 20_000_000


class Servo:
    """Moves a cell's arm by displacements of its tcp, tool down."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._low = np.array(cell.task.info.workspace_low)
        self._high = np.array(cell.task.info.workspace_high)
        self.hold()

    def hold(self) -> None:
        """Start again from the measured joints."""
        self._q = self._cell.joint_state().position[:6].copy()
        self._wanted = self._cell.kinematics.forward(self._q).position

    def execute(self, displacement_m: NDArray[np.float64], gripper: float, duration_ns: int) -> None:
        """Move by ``(3,)`` metres in base_link during ``duration_ns`` and advance the cell.

        The wanted position stays inside the task's workspace and within 15 mm of the measured one, so that pressing
        against something does not wind up.
        """
        self._cell.command_gripper(gripper)
        ticks = max(duration_ns // _TICK_NS, 1)
        measured = self._cell.kinematics.forward(self._cell.joint_state().position[:6]).position
        self._wanted = measured + np.clip(self._wanted - measured, -0.015, 0.015)
        for _ in range(ticks):
            self._wanted = np.clip(self._wanted + displacement_m / ticks, self._low, self._high)
            here = self._q
            self._q = self._cell.kinematics.step_towards(here, Pose(self._wanted, TOOL_DOWN)).q
            points = (Point(_TICK_NS, self._q), Point(2 * _TICK_NS, self._q))
            self._cell.submit_trajectory(ARM_JOINTS, points)
            self._cell.advance(_TICK_NS)
