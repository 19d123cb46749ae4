"""Teleoperation: joystick axes and buttons, or a twist, in; ``HumanCommand`` for the command core out."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting


class Button(enum.Enum):
    """What a button means; ``JoyMap`` says which index it has."""

    DEAD_MAN = "dead_man"
    GRIPPER = "gripper"
    RECORD = "record"
    KEEP = "keep"
    DISCARD = "discard"
    KEYFRAME = "keyframe"
    STOP = "stop"


@dataclass(frozen=True)
class JoyMap:
    """Which axis and button of ``sensor_msgs/Joy`` does what (defaults: ``game_controller_node``).

    Axes are in [-1, 1], left and up positive, so that x is forward and y is left (REP-103). An axis or a button index
    of -1 is not used.
    """

    axis_x: int = setting(1, doc="Axis that moves along x.", low=-1)
    axis_y: int = setting(0, doc="Axis that moves along y.", low=-1)
    axis_z: int = setting(4, doc="Axis that moves along z.", low=-1)
    axis_yaw: int = setting(3, doc="Axis that turns about z.", low=-1)
    dead_man: int = setting(5, doc="Button held while a person drives.", low=-1)
    gripper: int = setting(0, doc="Button that toggles the gripper on press.", low=-1)
    record: int = setting(7, doc="Button that starts a recording.", low=-1)
    keep: int = setting(1, doc="Button that keeps the demonstration.", low=-1)
    discard: int = setting(2, doc="Button that discards the demonstration.", low=-1)
    keyframe: int = setting(3, doc="Button that marks a keyframe.", low=-1)
    stop: int = setting(6, doc="Button that latches the stop.", low=-1)
    max_linear_m_s: float = setting(
        0.08,
        doc="Speed at full deflection, and the bound of twists. A decision period and one more tick at this speed must "
        "stay within the policy's action.max_step_m, else a demonstration shows what the policy cannot do.",
        unit="m/s",
        low=0.0,
        high=1.0,
    )
    max_angular_rad_s: float = setting(
        0.8,
        doc="The same for turning, with action.max_step_rad.",
        unit="rad/s",
        low=0.0,
        high=3.0,
    )
    dead_band: float = setting(
        0.05, doc="Deflection below which an axis reads zero.", low=0.0, high=0.5
    )

    def __post_init__(self) -> None:
        check(self)

    def twist(self, axes: Sequence[float]) -> NDArray[np.float64]:
        """Twist that the axes ask for, in base_link.

        :param axes: as in ``sensor_msgs/Joy``; values outside [-1, 1] are clipped, an axis the message does not have
            reads zero, a non-finite value passes (the command core refuses it and says so).
        :return: (6,) m/s and rad/s.
        """
        linear = [self._axis(axes, index) for index in (self.axis_x, self.axis_y, self.axis_z)]
        turn = self._axis(axes, self.axis_yaw)
        return np.array(
            [
                *(self.max_linear_m_s * value for value in linear),
                0.0,
                0.0,
                self.max_angular_rad_s * turn,
            ]
        )  # (6,)

    def bounded(self, twist: Sequence[float]) -> NDArray[np.float64]:
        """Shorten a twist of another device to the speeds of full deflection; directions stay.

        :param twist: (6,) m/s and rad/s; one that is not finite passes (the command core refuses it and says so).
        :return: (6,).
        """
        values = np.array(twist, dtype=np.float64)  # (6,)
        for part, most in (
            (slice(0, 3), self.max_linear_m_s),
            (slice(3, 6), self.max_angular_rad_s),
        ):
            largest = float(np.max(np.abs(values[part])))
            if math.isfinite(largest) and largest > most:
                values[part] *= most / largest
        return values

    def axes_of(self, twist: Sequence[float]) -> list[float]:
        """Axes that ask for a twist: the inverse of :meth:`twist`, for a scripted operator.

        :param twist: (6,) m/s and rad/s; components beyond full deflection are clipped.
        """
        wanted = {self.axis_x: twist[0], self.axis_y: twist[1], self.axis_z: twist[2]}
        axes = [0.0] * (max(self.axis_x, self.axis_y, self.axis_z, self.axis_yaw) + 1)
        for index, value in wanted.items():
            if index >= 0:
                axes[index] = float(np.clip(value / self.max_linear_m_s, -1.0, 1.0))
        if self.axis_yaw >= 0:
            axes[self.axis_yaw] = float(np.clip(twist[5] / self.max_angular_rad_s, -1.0, 1.0))
        return axes

    def index(self, button: Button) -> int:
        """Index of a button in ``sensor_msgs/Joy.buttons``; -1 when not used."""
        return int(getattr(self, button.value))

    def buttons_of(self, held: Iterable[Button]) -> list[int]:
        """Button list in which exactly these are held, for a scripted operator."""
        indices = {self.index(button) for button in held}
        size = max(self.index(button) for button in Button) + 1
        return [int(index in indices) for index in range(size)]

    def held(self, buttons: Sequence[int]) -> frozenset[Button]:
        """Buttons that are held in a message; one the message does not have is not held."""
        return frozenset(
            button
            for button in Button
            if 0 <= self.index(button) < len(buttons) and buttons[self.index(button)]
        )

    def _axis(self, axes: Sequence[float], index: int) -> float:
        if not 0 <= index < len(axes):
            return 0.0
        value = float(axes[index])
        if abs(value) < self.dead_band:
            return 0.0
        return value if math.isnan(value) else max(-1.0, min(1.0, value))


class ButtonEdges:
    """Presses (rising edges) from held buttons; a button held in the very first message is not a press."""

    def __init__(self) -> None:
        self._before: frozenset[Button] | None = None

    def pressed(self, held: frozenset[Button]) -> frozenset[Button]:
        """Buttons that went down since the message before."""
        before = held if self._before is None else self._before
        self._before = held
        return held - before


@dataclass(frozen=True)
class HumanCommand:
    """What a person asks for at one moment."""

    stamp_ns: int
    twist: NDArray[np.float64]  # (6,) m/s and rad/s in base_link
    gripper: float = math.nan  # 0 open ... 1 closed; NaN leaves it as it is
    dead_man: bool = False
    device: str = "joy"  # each device has its own dead-man


class JoyTeleop:
    """Joystick messages to commands; keeps the button state between messages."""

    def __init__(self, joy_map: JoyMap) -> None:
        self._map = joy_map
        self._edges = ButtonEdges()

    def command(
        self, stamp_ns: int, axes: Sequence[float], buttons: Sequence[int], gripper_now: float
    ) -> tuple[HumanCommand, bool]:
        """One message.

        :param gripper_now: last commanded gripper level, which a press toggles; NaN counts as open.
        :return: the command and whether the stop button was pressed (it needs no dead-man).
        """
        held = self._map.held(buttons)
        pressed = self._edges.pressed(held)
        dead_man = Button.DEAD_MAN in held
        toggled = dead_man and Button.GRIPPER in pressed
        level = (0.0 if gripper_now > 0.5 else 1.0) if toggled else math.nan
        command = HumanCommand(
            stamp_ns=stamp_ns, twist=self._map.twist(axes), gripper=level, dead_man=dead_man
        )
        return command, Button.STOP in pressed


def command_of_twist(
    stamp_ns: int, twist: Sequence[float], joy_map: JoyMap | None = None
) -> HumanCommand:
    """Command of a device that sends twists and has no dead-man button (SpaceMouse, keyboard).

    A motion is its own dead-man: a zero twist counts as released.

    :param twist: (6,) m/s and rad/s in base_link.
    :param joy_map: whose speeds bound it, so that no device shows the policy what it cannot do.
    """
    values = (joy_map or JoyMap()).bounded(twist)  # (6,)
    return HumanCommand(
        stamp_ns=stamp_ns, twist=values, dead_man=bool(np.any(values != 0.0)), device="twist"
    )
