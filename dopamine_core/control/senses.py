"""Joint states and image stamps in; whether they are fresh enough to move on, and what is wrong with them, out."""

from __future__ import annotations

import math

from dopamine_core.control.command_types import NS, CommandConfig, Vector
from dopamine_core.control.inputs import (
    gripper_fraction,
    joint_problem,
    positions_of,
    stamp_problem,
)
from dopamine_core.types import JointSample


class Senses:
    """The measured arm and the age of what is seen.

    :param config: timeouts, and the joint that measures the gripper.
    :param joint_names: of the arm, in the kinematics' order.
    """

    def __init__(self, config: CommandConfig, joint_names: tuple[str, ...]) -> None:
        self._config = config
        self._joint_names = joint_names
        self._joint_stamp_ns = self._image_stamp_ns = 0
        self.q: Vector | None = None  # (J,) rad, newest good sample
        self.gripper = math.nan  # measured fraction, 0 open ... 1 closed
        self.joint_text = "no joint states yet"

    def on_joint_state(self, sample: JointSample) -> str:
        """Take joint states; broken ones are not used and age into silence.

        :return: what is wrong with them; empty when they are good.
        """
        config = self._config
        if config.gripper_joint:
            level = gripper_fraction(
                sample, config.gripper_joint, config.gripper_open, config.gripper_closed
            )
            self.gripper = self.gripper if level is None else level
        self.joint_text = joint_problem(sample, self._joint_names)
        if not self.joint_text and sample.stamp_ns <= 0:
            self.joint_text = "expected a stamp, got zero; fill header.stamp from the node clock"
        if not self.joint_text:
            self.q = positions_of(sample, self._joint_names)
            self._joint_stamp_ns = sample.stamp_ns
        return self.joint_text

    def on_images(self, stamp_ns: int) -> None:
        """Take the stamp of the newest camera pair."""
        self._image_stamp_ns = stamp_ns

    def joints_fresh(self, now_ns: int) -> bool:
        """Whether there is a measured pose."""
        return self.q is not None and self._fresh(
            self._joint_stamp_ns, now_ns, self._config.joint_timeout_s
        )

    def joint_problem(self, now_ns: int) -> str:
        """Why there is no measured pose: what is wrong with the newest sample, or with its stamp."""
        if self.joint_text or self.joints_fresh(now_ns):
            return self.joint_text
        timeout_s = self._config.joint_timeout_s
        return f"joint states: {self._stamp_problem(self._joint_stamp_ns, now_ns, timeout_s)}"

    def images_fresh(self, now_ns: int) -> bool:
        """Whether the policy can see."""
        return self._fresh(self._image_stamp_ns, now_ns, self._config.image_timeout_s)

    def _fresh(self, stamp_ns: int, now_ns: int, timeout_s: float) -> bool:
        return not self._stamp_problem(stamp_ns, now_ns, timeout_s)

    def _stamp_problem(self, stamp_ns: int, now_ns: int, timeout_s: float) -> str:
        future_ns = round(self._config.future_s * NS)
        return stamp_problem(
            stamp_ns, now_ns, max_age_ns=round(timeout_s * NS), future_ns=future_ns
        )
