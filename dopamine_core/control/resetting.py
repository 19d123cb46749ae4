"""Reset requests in; the present reset motion and how the last one stands out."""

from __future__ import annotations

from dopamine_core.control.command_types import Note, Vector
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.limits import Limits
from dopamine_core.control.reference import Moved, Reference
from dopamine_core.control.reset_motion import ResetConfig, ResetMotion, ResetTarget
from dopamine_core.errors import LimitsError
from dopamine_core.types import LimitReason, ResetState


class Resetting:
    """At most one reset at a time; a newer request replaces the present one.

    :param kinematics: of the arm.
    :param limits: which target and way must keep.
    :param config: speeds and tolerances.
    """

    def __init__(self, kinematics: Kinematics, limits: Limits, config: ResetConfig) -> None:
        self._kinematics, self._limits, self._config = kinematics, limits, config
        self._motion: ResetMotion | None = None
        self.state = ResetState.NONE
        self.stamp_ns = 0

    @property
    def active(self) -> bool:
        """Whether the arm is on its way home."""
        return self._motion is not None

    def begin(self, target: ResetTarget, obstacle: str) -> str:
        """Begin a motion.

        :param obstacle: why it must not begin now; empty when it may.
        :return: why it was refused; empty when it begins.
        """
        self._motion = None
        self.state, self.stamp_ns = ResetState.FAILED, target.stamp_ns
        if obstacle:
            return obstacle
        try:
            self._motion = ResetMotion(target, self._kinematics, self._limits, self._config)
        except LimitsError as error:
            return str(error)
        self.state = ResetState.ACTIVE
        return ""

    def refuse(self, stamp_ns: int, text: str) -> Note:
        """Report a request as failed."""
        self._motion = None
        self.state, self.stamp_ns = ResetState.FAILED, stamp_ns
        return LimitReason.NONE, f"reset failed: {text}"

    def end(self, why: str) -> Note | None:
        """End a motion that is under way as failed."""
        return self.refuse(self.stamp_ns, why) if self._motion else None

    def step(
        self, reference: Reference, q: Vector, elapsed_s: float, period_s: float
    ) -> tuple[Moved, float, Note | None]:
        """Move the reference by one tick.

        :return: what was done, the gripper level asked for, and how the motion ended if it did.
        """
        motion = self._motion
        assert motion is not None
        moved = motion.tick(reference, q, elapsed_s, period_s)
        if motion.state is ResetState.ACTIVE:
            return moved, motion.target.gripper, None
        self._motion, self.state = None, motion.state
        done = motion.state is ResetState.DONE
        text = "reset done" if done else f"reset failed: {motion.text}"
        return moved, motion.target.gripper, (LimitReason.NONE, text)
