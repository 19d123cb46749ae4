"""Diagnostics of a node: named states in, ``/diagnostics`` at 1 Hz (and at each change of level) out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from dopamine_ros import names

OK = 0
WARN = 1
ERROR = 2
STALE = 3
_PERIOD_S = 1.0


class Diagnostics:
    """Keeps the newest state of each named thing and publishes them all.

    :param node: owner; its name stands before each status name, as ``diagnostic_updater`` does.
    :param hardware_id: device serial or robot name; may stay empty.
    """

    def __init__(self, node: Node, hardware_id: str = "") -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._statuses: dict[str, DiagnosticStatus] = {}
        self._publisher = node.create_publisher(DiagnosticArray, names.DIAGNOSTICS, 10)
        # Steady clock: diagnostics must go on when simulated time stands still.
        self._timer = node.create_timer(
            _PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def set(
        self, name: str, level: int, text: str, values: Mapping[str, Any] | None = None
    ) -> None:
        """Say how a thing is; a change of level is published at once.

        :param name: short and constant, e.g. ``"joint states"``.
        :param level: ``OK``, ``WARN``, ``ERROR`` or ``STALE``.
        :param text: what was expected, what came, what to do.
        :param values: figures to show beside it; each is turned into a string.
        """
        before = self._statuses.get(name)
        status = DiagnosticStatus(
            level=bytes([level]),
            name=f"{self._node.get_name()}: {name}",
            message=text,
            hardware_id=self._hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in (values or {}).items()],
        )
        self._statuses[name] = status
        if before is not None and before.level != status.level:
            self.publish()

    def level(self, name: str) -> int | None:
        """Level last set for a thing; None when it was never set."""
        status = self._statuses.get(name)
        return None if status is None else status.level[0]

    def publish(self) -> None:
        """Publish all states now."""
        message = DiagnosticArray(status=list(self._statuses.values()))
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
