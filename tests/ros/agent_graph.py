"""A stranger who plays everything around the agent: cameras, joints, command path, label lane, episodes, learner."""

from __future__ import annotations

import hashlib
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.msg import Command, Decision, Episode, PolicyAction, PolicyWeights
from dopamine_msgs.msg import FramePair as FramePairMsg
from dopamine_msgs.msg import Potential as PotentialMsg
from rclpy.node import Node
from sensor_msgs.msg import JointState

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.frames.codec import encode
from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    JointSample,
    ModelId,
    Outcome,
    Potential,
    Reading,
    Status,
)
from dopamine_ros import names, qos
from dopamine_ros.convert.commands import command_to_msg, joint_sample_to_msg
from dopamine_ros.convert.episodes import episode_to_msg
from dopamine_ros.convert.images import frame_pair_to_msg
from dopamine_ros.convert.reward import potential_to_msg
from dopamine_ros.convert.stamps import to_ns
from tests.core.control.lagging_arm import home_of


class Surroundings(Node):
    """Plays every other node of the graph, by topics alone."""

    def __init__(self) -> None:
        super().__init__("surroundings")
        kinematics = Kinematics()
        self._names = (*kinematics.joint_names, "finger_joint")
        self._q = home_of(kinematics)
        self.speak_images = True
        self.answer_after_s: float | None = 0.02  # None: never
        self.reading = Reading(Status.OK, progress=0.4)
        self.decisions: list[Decision] = []
        self.actions: list[tuple[float, PolicyAction]] = []  # (arrival s, action)
        self.statuses: dict[str, tuple[int, str, dict[str, str]]] = {}
        self._due: list[tuple[float, Decision]] = []
        self._joints = self.create_publisher(JointState, names.JOINT_STATES, 5)
        self._pairs = self.create_publisher(FramePairMsg, names.FRAME_PAIRS, qos.STREAM)
        self._commands = self.create_publisher(Command, names.COMMAND, qos.STREAM)
        self._potentials = self.create_publisher(PotentialMsg, names.POTENTIAL, qos.STREAM)
        self._weights = self.create_publisher(PolicyWeights, names.POLICY_WEIGHTS, qos.LATCHED)
        self._episodes = self.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self.create_subscription(Decision, names.DECISION, self._on_decision, qos.STREAM)
        self.create_subscription(
            PolicyAction,
            names.POLICY_ACTION,
            lambda m: self.actions.append((time.monotonic(), m)),
            qos.STREAM,
        )
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self._image = encode(np.full((48, 64, 3), 90, np.uint8), 1)
        self.create_timer(0.02, self._speak)
        self.create_timer(1 / 30, self._look)
        self.create_timer(0.005, self._answer)

    def now_ns(self) -> int:
        """Present time."""
        return self.get_clock().now().nanoseconds

    def open(
        self, episode_id: str, kind: EpisodeKind = EpisodeKind.ROLLOUT, age_s: float = 0.0
    ) -> None:
        """Open an episode, as the demo node does."""
        now = self.now_ns() - round(age_s * 1e9)
        self._episodes.publish(
            episode_to_msg(EpisodeInfo(episode_id, EpisodeState.OPEN, kind, "task", now, now))
        )

    def close(self, episode_id: str) -> None:
        """Close it with success."""
        now = self.now_ns()
        info = EpisodeInfo(
            episode_id,
            EpisodeState.CLOSED,
            EpisodeKind.ROLLOUT,
            "task",
            now,
            now,
            now,
            Outcome.SUCCESS,
        )
        self._episodes.publish(episode_to_msg(info))

    def send_weights(self, data: bytes, version: int, sha256: str = "") -> None:
        """Publish a policy, as the learner does."""
        message = PolicyWeights(version=version, format="onnx", data=data)
        message.sha256 = sha256 or hashlib.sha256(data).hexdigest()
        self._weights.publish(message)

    def send_nonsense(self) -> None:
        """Publish messages with codes and bytes that nobody knows."""
        self._commands.publish(Command(source=99))
        self._episodes.publish(Episode(state=77))
        self._pairs.publish(FramePairMsg())
        potential = PotentialMsg()
        potential.status.code = 55
        self._potentials.publish(potential)
        self._joints.publish(JointState(name=["a", "b"], position=[1.0]))

    def status(self, name: str) -> tuple[int, str, dict[str, str]]:
        """Newest diagnostic of the agent: level, text, values."""
        return self.statuses.get(f"agent_node: {name}", (-1, "", {}))

    def _speak(self) -> None:
        now = self.now_ns()
        position = np.array([*self._q, 0.01])
        self._joints.publish(joint_sample_to_msg(JointSample(now, self._names, position)))
        still = np.zeros(6)
        record = CommandRecord(
            now, CommandSource.HOLD, 0, still, still, 1.0, 1.0, self._names[:6], self._q
        )
        self._commands.publish(command_to_msg(record))

    def _look(self) -> None:
        if self.speak_images:
            image = type(self._image)(self.now_ns(), "jpeg", self._image.data, 64, 48)
            self._pairs.publish(frame_pair_to_msg(FramePair(image, image)))

    def _on_decision(self, message: Decision) -> None:
        self.decisions.append(message)
        if self.answer_after_s is not None:
            self._due.append((time.monotonic() + self.answer_after_s, message))

    def _answer(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, decision = self._due.pop(0)
            phi = self.reading.progress if self.reading.ok else float("nan")
            stamp = to_ns(decision.header.stamp)
            model = ModelId("fake", "00")
            self._potentials.publish(
                potential_to_msg(
                    Potential(
                        stamp, decision.episode_id, decision.index, self.reading, phi, False, model
                    )
                )
            )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.statuses[status.name] = (status.level[0], status.message, values)
