"""The commanded pose: displacements or joint targets in; joint positions inside every limit out.

The reference is integrated from itself, not from the measurement: a loaded arm sags a little below what is commanded,
and integrating the measurement would let it creep down. It is tied to the measurement by ``max_lead_m`` and
``max_lead_rad``, so that in contact the commanded pose cannot run away and pushing stays as soft as the servo times
that lead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.control.kinematics import Kinematics, Pose
from dopamine_core.control.limits import (
    Limits,
    limit_displacement,
    limit_joint_position,
    limit_joint_velocity,
)
from dopamine_core.types import LimitReason

Vector = NDArray[np.float64]
_IK_STEPS = 3
_POSE_TOLERANCE_M = 3e-4  # a step whose pose is missed by more is refused
_POSE_TOLERANCE_RAD = 3e-3
_BOX_SLACK_M = 5e-4  # inverse kinematics may miss the box's border by this
_ARRIVED_RAD = 1e-9
_NEAR = 1.0 + 1e-6  # a lead that was cut to its bound is not beyond it


@dataclass(frozen=True)
class Moved:
    """What one tick did to the reference."""

    executed: Vector  # (6,) m and rad
    reasons: LimitReason


class Reference:
    """The commanded joint positions and their pose.

    :param q: (J,) rad, where the arm is measured to be: the first command is where the arm already stands.
    """

    def __init__(self, kinematics: Kinematics, limits: Limits, q: Vector) -> None:
        self._kinematics = kinematics
        self._limits = limits
        self.q = np.array(q, dtype=np.float64)  # (J,)
        self.pose = kinematics.forward(self.q)
        self._before = self.q

    def move(
        self, displacement: Vector, share: float, q_measured: Vector, period_s: float
    ) -> Moved:
        """Displace the commanded pose.

        :param displacement: (6,) m and rad along base_link.
        :param share: of a decision period that this tick is; the step limits hold for a whole period.
        :param q_measured: (J,) rad.
        :param period_s: over which the joints will make this step.
        """
        measured = self._kinematics.forward(q_measured)
        limited, reasons = limit_displacement(
            self.pose, measured, displacement, self._limits, share
        )
        if not np.any(limited):
            return self._stay(reasons)
        target = self.pose.moved(limited)
        solved, missed = self._solve(target)
        inside, outside = limit_joint_position(self.q, solved, self._limits)
        if outside or missed or not self._in_box(inside):
            return self._stay(
                reasons | outside | (LimitReason.NONE if outside else LimitReason.UNREACHABLE)
            )
        return self._step_to(inside, target, reasons, period_s)

    def approach(self, q_target: Vector, period_s: float) -> Moved:
        """Go towards joint positions (J,) in a straight joint-space line, no faster than the joints may.

        Being slower than asked is what this is for, so it is not reported as a limit.
        """
        inside, reasons = limit_joint_position(self.q, q_target, self._limits)
        if np.max(np.abs(inside - self.q)) <= _ARRIVED_RAD:
            return self._stay(reasons)
        moved = self._step_to(inside, None, reasons, period_s)
        return Moved(executed=moved.executed, reasons=moved.reasons & ~LimitReason.JOINT_VELOCITY)

    def lead(self, q_measured: Vector) -> tuple[float, float]:
        """How far (m, rad) the commanded pose is ahead of the measured one."""
        error = self._kinematics.forward(q_measured).error_to(self.pose)  # (6,)
        return float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:]))

    def hold_target(self, q_measured: Vector) -> Vector:
        """Joint positions (J,) to keep when a hold begins.

        They are the commanded ones: a loaded arm sags below them and would creep down with each latch of the
        measurement. If the arm was pushed further away than the lead allows, they are the measured ones.
        """
        lead_m, lead_rad = self.lead(q_measured)
        limits = self._limits
        near = lead_m <= limits.max_lead_m * _NEAR and lead_rad <= limits.max_lead_rad * _NEAR
        return self.q if near else q_measured

    def ahead(self, going_on: bool) -> Vector:
        """Joint positions (J,) one tick further on the same line, or here when the motion ends or a limit is near."""
        further = 2.0 * self.q - self._before
        inside, outside = limit_joint_position(self.q, further, self._limits)
        if not going_on or outside or not self._in_box(inside, 0.0):
            return self.q
        return inside

    def _solve(self, target: Pose) -> tuple[Vector, bool]:
        q = self.q
        for _ in range(_IK_STEPS):
            step = self._kinematics.step_towards(q, target)
            q = step.q
        missed = (
            np.linalg.norm(step.remaining[:3]) > _POSE_TOLERANCE_M
            or np.linalg.norm(step.remaining[3:]) > _POSE_TOLERANCE_RAD
        )
        return q, bool(missed)

    def _step_to(
        self, q_next: Vector, target: Pose | None, reasons: LimitReason, period_s: float
    ) -> Moved:
        reached, fast = limit_joint_velocity(self.q, q_next, self._limits, period_s)
        pose_before = self._kinematics.forward(self.q)
        pose_after = self._kinematics.forward(reached)
        self._before, self.q = self.q, reached
        self.pose = pose_after if fast or target is None else target
        return Moved(executed=pose_before.error_to(pose_after), reasons=reasons | fast)

    def _stay(self, reasons: LimitReason) -> Moved:
        self._before = self.q
        return Moved(executed=np.zeros(6), reasons=reasons)

    def _in_box(self, q: Vector, slack_m: float = _BOX_SLACK_M) -> bool:
        low = np.minimum(self._limits.workspace_low_m, self.pose.position) - slack_m
        high = np.maximum(self._limits.workspace_high_m, self.pose.position) + slack_m
        position = self._kinematics.forward(q).position
        return bool(np.all(position >= low) and np.all(position <= high))
