"""Topics of a running graph in, run log and live state out; listens only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from dopamine_msgs.msg import (
    Command,
    Decision,
    Episode,
    LearnerStatus,
    Potential,
    Progress,
    Reward,
    Success,
    Truth,
)
from rclpy.node import Node

from dopamine_cli.live_state import LiveState
from dopamine_core.evaluation.run_log import Record, RunLog
from dopamine_ros import names, qos
from dopamine_ros.convert.plain import to_plain

# Fields that the report does not read would triple the log at 50 Hz.
SKIP_COMMAND = frozenset({"joint_names", "joint_positions", "frame_id"})


class Watcher:
    """Subscribes to everything the report needs.

    :param node: node whose executor runs the callbacks.
    :param log: where records go.
    :param start_s: ``time.monotonic()`` when the run began.
    """

    def __init__(self, node: Node, log: RunLog, start_s: float) -> None:
        self.state = LiveState()
        self._node, self._log, self._start_s = node, log, start_s
        self._listen(Progress, names.PROGRESS, "progress", self.state.on_progress)
        self._listen(Potential, names.POTENTIAL, "potential")
        self._listen(Reward, names.REWARD, "reward", self.state.on_reward)
        self._listen(Success, names.SUCCESS, "success")
        self._listen(Decision, names.DECISION, "decision")
        self._listen(Command, names.COMMAND, "command", skip=SKIP_COMMAND)
        self._listen(Episode, names.EPISODE, "episode", self.state.on_episode, profile=qos.LATCHED)
        self._listen(LearnerStatus, names.LEARNER_STATUS, "learner", self.state.on_learner)
        # Best effort hears reliable and best-effort publishers alike.
        self._listen(Truth, names.TRUTH, "truth", self.state.on_truth, profile=qos.IMAGES)
        node.create_subscription(
            DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, qos.STREAM
        )

    def elapsed_s(self) -> float:
        """Wall seconds since the run began."""
        return time.monotonic() - self._start_s

    def _listen(
        self,
        kind: type,
        topic: str,
        record_kind: str,
        show: Callable[[Record], None] = lambda record: None,
        *,
        profile: Any = qos.STREAM,
        skip: frozenset[str] = frozenset(),
    ) -> None:
        def receive(message: Any) -> None:
            record = to_plain(message, skip)
            self._log.write(record_kind, self.elapsed_s(), record)
            show(record)

        self._node.create_subscription(kind, topic, receive, profile)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            level = (
                int.from_bytes(status.level, "little")
                if isinstance(status.level, bytes)
                else int(status.level)
            )
            known = self.state.warnings.get(status.name)
            self.state.on_warning(status.name, status.message, level)
            # Diagnostics repeat at 1 Hz: a warning is written when it appears or changes.
            if level >= int.from_bytes(DiagnosticStatus.WARN, "little") and known != status.message:
                record = {"name": status.name, "message": status.message, "level": level}
                self._log.write("diagnostic", self.elapsed_s(), record)
