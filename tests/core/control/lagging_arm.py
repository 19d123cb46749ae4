"""A hand-made clock and an arm that follows its commands with a lag, around one command core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dopamine_core.control.command_core import CommandConfig, CommandCore, CommandTick
from dopamine_core.control.kinematics import TOOL_DOWN, Kinematics, Pose
from dopamine_core.control.limits import Limits
from dopamine_core.control.reset_motion import ResetTarget
from dopamine_core.control.teleop import HumanCommand
from dopamine_core.types import CommandSource, JointSample, PolicyAction

TICK_NS = 20_000_000
Vector = NDArray[np.float64]


def make_limits(kinematics: Kinematics, **changes: object) -> Limits:
    """Limits of the tests' arm."""
    values: dict[str, object] = {
        "joint_names": kinematics.joint_names,
        "joint_lower_rad": kinematics.lower_rad,
        "joint_upper_rad": kinematics.upper_rad,
        "max_joint_velocity_rad_s": np.minimum(kinematics.max_velocity_rad_s, 1.5),
        "workspace_low_m": np.array([0.3, -0.2, 0.05]),
        "workspace_high_m": np.array([0.6, 0.2, 0.4]),
        "max_step_m": 0.02,
        "max_step_rad": 0.15,
        "max_lead_m": 0.015,
        "max_lead_rad": 0.2,
    }
    return Limits(**{**values, **changes})  # type: ignore[arg-type]


class Arm:
    """Clock, lagging arm and command core."""

    def __init__(
        self, kinematics: Kinematics | None = None, follow: float = 0.5, **changes: object
    ) -> None:
        self.kinematics = kinematics = kinematics or Kinematics()
        self.limits = make_limits(kinematics, **changes)
        self.core = CommandCore(kinematics=kinematics, limits=self.limits, config=CommandConfig())
        self.home = home_of(kinematics)
        self.q = self.home.copy()  # measured
        self.follow = follow
        self.sees = True
        self.now_ns = 1_000_000_000

    def sense(self) -> None:
        """Fresh joint states and images."""
        self.core.on_joint_state(
            JointSample(self.now_ns, self.kinematics.joint_names, self.q.copy())
        )
        if self.sees:
            self.core.on_images(self.now_ns)

    def act(
        self,
        displacement: object,
        gripper: float = 1.0,
        period_ns: int = 100_000_000,
        age_ns: int = 0,
    ) -> str:
        """A policy action decided ``age_ns`` ago."""
        stamp = self.now_ns - age_ns
        array = np.asarray(displacement, dtype=np.float64)
        return self.core.on_policy(
            PolicyAction(stamp, "e", 0, array, gripper, period_ns), self.now_ns
        )

    def drive(self, twist: object, dead_man: bool = True, gripper: float = float("nan")) -> None:
        """What a person asks for now."""
        command = HumanCommand(self.now_ns, np.asarray(twist, dtype=np.float64), gripper, dead_man)
        self.core.on_human(command, self.now_ns)

    def go_home(self, **changes: object) -> str:
        """Ask for the way home."""
        values: dict[str, object] = {
            "stamp_ns": self.now_ns,
            "positions": self.home,
            "retract_m": 0.03,
        }
        return self.core.on_reset(ResetTarget(**{**values, **changes}), self.now_ns)  # type: ignore[arg-type]

    def tick(self, sense: bool = True) -> CommandTick:
        """Advance by one tick; the arm goes part of the way to its command."""
        self.now_ns += TICK_NS
        if sense:
            self.sense()
        tick = self.core.tick(self.now_ns)
        if tick.points:
            self.q = self.q + self.follow * (tick.points[0].positions - self.q)
        return tick

    def ticks(self, count: int, sense: bool = True) -> list[CommandTick]:
        """Advance by several ticks."""
        return [self.tick(sense) for _ in range(count)]

    def position(self) -> Vector:
        """Measured position (3,) of the end effector."""
        return self.kinematics.forward(self.q).position


def home_of(kinematics: Kinematics) -> Vector:
    """Joint positions (J,) with the tool down over the middle of the table."""
    pose = Pose(np.array([0.45, 0.0, 0.2]), TOOL_DOWN)
    return kinematics.solve(pose, np.array([0.0, 0.4, 1.7, 0.0, 1.0, 0.0]))


def sources(ticks: list[CommandTick]) -> list[CommandSource]:
    """Who moved the arm, tick by tick."""
    return [tick.record.source for tick in ticks]


def total(ticks: list[CommandTick]) -> Vector:
    """Displacement (6,) executed in all."""
    return np.sum([tick.record.executed for tick in ticks], axis=0)
