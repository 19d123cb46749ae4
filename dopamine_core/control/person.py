"""Teleoperation commands of all devices in; the one that may move the arm right now out."""

from __future__ import annotations

import math

from dopamine_core.control.arbiter import DeadMan
from dopamine_core.control.command_types import NS, CommandConfig, Note
from dopamine_core.control.inputs import stamp_problem
from dopamine_core.control.teleop import HumanCommand
from dopamine_core.types import LimitReason


class Person:
    """Devices, dead-man and gripper wish of whoever drives.

    :param config: timeouts and hysteresis.
    """

    def __init__(self, config: CommandConfig) -> None:
        self._timeout_ns = round(config.human_timeout_s * NS)
        self._future_ns = round(config.future_s * NS)
        self._dead_man = DeadMan(
            engage_ns=round(config.dead_man_engage_s * NS),
            release_ns=round(config.dead_man_release_s * NS),
        )
        self._commands: dict[str, HumanCommand] = {}
        self._gripper = math.nan

    @property
    def engaged(self) -> bool:
        """Whether the person has the authority, moving or at rest."""
        return self._dead_man.engaged

    def require_release(self) -> None:
        """Take the authority away until every dead-man was let go once."""
        self._dead_man.require_release()

    def on_command(self, command: HumanCommand, now_ns: int) -> Note | None:
        """Take the newest command of a device; return what is wrong with it."""
        self._commands[command.device] = command
        problem = self._stamp_problem(command, now_ns)
        if problem and command.dead_man:
            return LimitReason.NONE, f"teleoperation ({command.device}): {problem}"
        if math.isinf(command.gripper):
            return LimitReason.NON_FINITE, f"expected a gripper level, got {command.gripper}"
        if not math.isnan(command.gripper) and command.dead_man:
            self._gripper = command.gripper
        return None

    def driving(self, now_ns: int) -> HumanCommand | None:
        """Return the command that may move the arm at this tick; None at rest or without authority."""
        held = [c for c in self._commands.values() if c.dead_man and self._fresh(c, now_ns)]
        may_move = self._dead_man.update(bool(held), now_ns)
        return max(held, key=lambda command: command.stamp_ns) if may_move else None

    def take_gripper(self) -> float:
        """Take the gripper level asked for since the last tick; NaN when there is none."""
        level, self._gripper = self._gripper, math.nan
        return level

    def _fresh(self, command: HumanCommand, now_ns: int) -> bool:
        return not self._stamp_problem(command, now_ns)

    def _stamp_problem(self, command: HumanCommand, now_ns: int) -> str:
        return stamp_problem(
            command.stamp_ns, now_ns, max_age_ns=self._timeout_ns, future_ns=self._future_ns
        )
