"""Settings of the command path, and what one of its ticks sends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import LimitsError
from dopamine_core.types import CommandRecord, LimitReason

NS = 1_000_000_000
Vector = NDArray[np.float64]
Note = tuple[LimitReason, str]  # a reason, and words that the record repeats


@dataclass(frozen=True)
class CommandConfig:
    """Timing of the command path."""

    tick_s: float = setting(0.02, doc="Period of the ticks.", unit="s", low=0.002, high=0.1)
    decision_s: float = setting(
        0.1, doc="Decision period, to which the step limits refer.", unit="s", low=0.01
    )
    joint_timeout_s: float = setting(
        0.2, doc="Older joint states count as none: nothing is sent.", unit="s", low=0.01, high=2.0
    )
    image_timeout_s: float = setting(
        0.5, doc="With older images the policy does not move.", unit="s", low=0.05, high=5.0
    )
    policy_timeout_s: float = setting(
        0.3, doc="An action whose decision is older is dropped.", unit="s", low=0.02, high=2.0
    )
    human_timeout_s: float = setting(
        0.3,
        doc="A gap in the teleoperation stream releases the dead-man.",
        unit="s",
        low=0.05,
        high=1.0,
    )
    future_s: float = setting(
        0.05, doc="How far a stamp may lie ahead of the clock.", unit="s", low=0.0, high=1.0
    )
    dead_man_engage_s: float = setting(
        0.04, doc="Hold the dead-man this long to take over.", unit="s", low=0.0, high=1.0
    )
    dead_man_release_s: float = setting(
        0.4,
        doc="After letting go the arm rests this long before others may move it.",
        unit="s",
        low=0.0,
        high=5.0,
    )
    gripper_joint: str = setting(
        "", doc="Joint that tells how far the gripper is closed; empty: not measured."
    )
    gripper_open: float = setting(0.0, doc="Its position when open.", unit="rad or m")
    gripper_closed: float = setting(1.0, doc="Its position when closed.", unit="rad or m")

    def __post_init__(self) -> None:
        check(self)
        if self.gripper_open == self.gripper_closed:
            raise LimitsError(
                expected="gripper_open and gripper_closed to differ",
                got=repr(self.gripper_open),
                remedy="give the gripper joint's positions when open and when closed",
            )


@dataclass(frozen=True)
class TrajectoryPoint:
    """One point of the trajectory to send."""

    time_from_start_ns: int
    positions: Vector  # (J,) rad


@dataclass(frozen=True)
class CommandTick:
    """What one tick sends; ``points`` is empty and ``gripper`` None where nothing is to be sent."""

    record: CommandRecord
    points: tuple[TrajectoryPoint, ...]
    gripper: float | None  # 0 open ... 1 closed
