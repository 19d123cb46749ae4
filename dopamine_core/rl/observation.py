"""Frame pair, joints, command and Phi go in, one flat observation comes out.

Agent, learner and lock-step build it here, so they see the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.control.kinematics import FINGER_JOINT, TOOL_DOWN, Kinematics, Pose
from dopamine_core.errors import ConfigError, FrameError
from dopamine_core.types import FramePair, JointSample

# name: (size, smallest standard deviation that the normaliser divides by, in the column's unit)
PROPRIOCEPTION = {
    "position": (3, 0.01),  # tcp in base_link, m
    "height": (1, 0.005),  # its z alone, m
    "orientation": (3, 0.05),  # rotation vector from the tool pointing down, rad
    "gripper": (1, 0.1),  # 0 open ... 1 closed
    "contact": (3, 0.001),  # commanded minus measured tcp, m: grows when something is in the way
}
PHI_FLOOR = 0.1


class Encoder(Protocol):
    """What the builder asks of an image encoder."""

    name: str
    sha256: str
    sizes: tuple[int, int]  # features of front and wrist

    def features(self, pair: FramePair) -> NDArray[np.float32]:
        """Return (sum(sizes),) frozen features, front first."""


@dataclass(frozen=True)
class ObservationConfig:
    """What stands in the observation beside the image features and Phi."""

    proprioception: tuple[str, ...] = setting(
        ("position", "gripper", "contact"),
        doc=f"Measured quantities in the observation, of {', '.join(PROPRIOCEPTION)}.",
    )
    gripper_joint: str = setting(FINGER_JOINT, doc="Joint that tells the gripper's opening.")
    gripper_open: float = setting(
        0.04,
        doc="Its position when the gripper is open; 0 is closed.",
        unit="m or rad",
        low=1e-4,
        high=10.0,
    )

    def __post_init__(self) -> None:
        check(self)
        unknown = [name for name in self.proprioception if name not in PROPRIOCEPTION]
        if unknown or len(set(self.proprioception)) != len(self.proprioception):
            raise ConfigError(
                expected=f"distinct names of {', '.join(PROPRIOCEPTION)}",
                got=repr(self.proprioception),
                remedy="correct 'proprioception'",
            )


@dataclass(frozen=True)
class Sensed:
    """Everything the policy knows at one decision."""

    pair: FramePair
    joints: JointSample
    commanded: (
        NDArray[np.float64] | None
    )  # (J,) newest commanded joint positions not after the decision
    phi: float  # the label lane's potential, in [0, 1]


class ObservationBuilder:
    """Build raw observations: [front features, wrist features, proprioception, Phi].

    :param encoder: frozen image encoder.
    :param kinematics: forward kinematics of the arm.
    :param config: what stands in the observation.
    """

    def __init__(self, encoder: Encoder, kinematics: Kinematics, config: ObservationConfig) -> None:
        self.encoder = encoder
        self.config = config
        self._kinematics = kinematics

    @property
    def blocks(self) -> tuple[int, int]:
        """Sizes of the leading feature blocks, for the normaliser."""
        return self.encoder.sizes

    @property
    def size(self) -> int:
        """Size O of an observation."""
        return sum(self.encoder.sizes) + len(self.floor)

    @property
    def floor(self) -> NDArray[np.float32]:
        """Smallest standard deviations of the columns after the features, for the normaliser."""
        columns = [PROPRIOCEPTION[name] for name in self.config.proprioception] + [(1, PHI_FLOOR)]
        return np.concatenate([np.full(size, floor, np.float32) for size, floor in columns])

    @property
    def layout(self) -> str:
        """The columns in words; equal layouts and equal encoders mean equal observations."""
        front, wrist = self.encoder.sizes
        names = [f"{name}:{PROPRIOCEPTION[name][0]}" for name in self.config.proprioception]
        return " ".join([f"front:{front}", f"wrist:{wrist}", *names, "phi:1"])

    def build(self, sensed: Sensed) -> NDArray[np.float32]:
        """Build one observation, (O,).

        :raises FrameError: when a reading that the observation needs is missing.
        :raises ImageError: when a frame cannot be decoded.
        :raises KinematicsError: when a joint is missing or not finite.
        """
        if not np.isfinite(sensed.phi):
            raise FrameError(
                expected="a potential for this decision",
                got="none",
                remedy="wait for the label lane",
            )
        parts = [self.encoder.features(sensed.pair), self.proprioception(sensed), [sensed.phi]]
        return np.concatenate(parts).astype(np.float32)

    def proprioception(self, sensed: Sensed) -> NDArray[np.float64]:
        """The measured columns alone, in the order of the settings."""
        pose = self._kinematics.forward(self._kinematics.arm_positions(sensed.joints))
        values = {
            "position": lambda: pose.position,
            "height": lambda: pose.position[2:],
            "orientation": lambda: _tilt(pose.rotation),
            "gripper": lambda: np.array([self._closed(sensed.joints)]),
            "contact": lambda: self._commanded_position(sensed) - pose.position,
        }
        parts = [values[name]() for name in self.config.proprioception]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _commanded_position(self, sensed: Sensed) -> NDArray[np.float64]:
        if sensed.commanded is None or not np.isfinite(sensed.commanded).all():
            raise FrameError(
                expected="commanded joint positions at or before the decision",
                got="none",
                remedy="check the command topic, or leave 'contact' out of the observation",
            )
        return self._kinematics.forward(sensed.commanded).position

    def _closed(self, joints: JointSample) -> float:
        if self.config.gripper_joint not in joints.names:
            raise FrameError(
                expected=f"joint '{self.config.gripper_joint}' in the joint states",
                got=", ".join(joints.names),
                remedy="correct 'gripper_joint', or leave 'gripper' out of the observation",
            )
        opening = joints.position[joints.names.index(self.config.gripper_joint)]
        return float(1.0 - opening / self.config.gripper_open)


def _tilt(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation vector (3,) from the tool pointing straight down, in base_link."""
    origin = np.zeros(3)
    return Pose(origin, TOOL_DOWN).error_to(Pose(origin, rotation))[3:]
