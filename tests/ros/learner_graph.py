"""A stranger who plays everything around the learner: whole episodes on the topics or as bags, and train requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from dopamine_msgs.action import Train
from dopamine_msgs.msg import (
    Command,
    Decision,
    Episode,
    LearnerStatus,
    PolicyWeights,
    Potential,
    RewardStatus,
)
from dopamine_msgs.msg import FramePair as FramePairMsg
from rclpy.action import ActionClient
from rclpy.node import Node
from sensor_msgs.msg import JointState

from dopamine_core import types
from dopamine_core.episodes import contents
from dopamine_core.episodes.bag import BagWriter
from dopamine_ros import names, qos
from dopamine_ros.convert.commands import command_to_msg, joint_sample_to_msg
from dopamine_ros.convert.episodes import episode_to_msg
from dopamine_ros.convert.images import frame_pair_to_msg
from dopamine_ros.convert.reward import decision_to_msg, potential_to_msg
from tests.core.episodes import bag_messages
from tests.core.episodes.hand_made import JOINTS, MS, PERIOD, TICK, image
from tests.ros.command_graph import wait_until

MODEL = types.ModelId("nano", "ab" * 32)


@dataclass(frozen=True)
class Played:
    """One episode as the parts that nodes publish."""

    opened: types.EpisodeInfo
    closed: types.EpisodeInfo
    decisions: list[types.Decision]
    pairs: list[types.FramePair]
    joints: list[types.JointSample]
    ticks: list[types.CommandRecord]
    potentials: list[types.Potential]


def play(
    episode_id: str,
    start_ns: int,
    *,
    count: int = 12,
    kind: types.EpisodeKind = types.EpisodeKind.DEMONSTRATION,
    outcome: types.Outcome = types.Outcome.SUCCESS,
    bag_path: str = "",
) -> Played:
    """Make an episode of ``count`` decisions whose progress rises evenly."""
    stamps = [start_ns + k * PERIOD for k in range(count)]
    end_ns = stamps[-1] + MS
    info = types.EpisodeInfo(
        episode_id,
        types.EpisodeState.OPEN,
        kind,
        "insert",
        start_ns - MS,
        start_ns - MS,
        bag_path=bag_path,
    )
    kept = kind is types.EpisodeKind.DEMONSTRATION
    closed = types.EpisodeInfo(
        episode_id,
        types.EpisodeState.CLOSED,
        kind,
        "insert",
        end_ns,
        start_ns - MS,
        end_ns,
        outcome,
        success_ns=stamps[-1] if outcome is types.Outcome.SUCCESS else 0,
        kept=kept,
        bag_path=bag_path,
    )
    return Played(
        info,
        closed,
        [_decision(k, ns, episode_id, kind) for k, ns in enumerate(stamps)],
        [types.FramePair(image(ns, 9 * k), image(ns, 9 * k + 1)) for k, ns in enumerate(stamps)],
        [types.JointSample(ns, JOINTS, np.full(6, 0.02 * k)) for k, ns in enumerate(stamps)],
        [_tick(ns, k) for k, ns in enumerate(range(start_ns - TICK, end_ns + TICK, TICK))],
        [_potential(k, ns, episode_id, k / count) for k, ns in enumerate(stamps)],
    )


def _decision(k: int, ns: int, episode_id: str, kind: types.EpisodeKind) -> types.Decision:
    demonstration = kind is types.EpisodeKind.DEMONSTRATION
    owner = types.DecisionOwner.DEMO if demonstration else types.DecisionOwner.AGENT
    return types.Decision(ns, episode_id, k, owner, ns, ns, ns)


def _tick(ns: int, k: int) -> types.CommandRecord:
    moved = np.array([0.001 * np.sin(k), 0.0005, -0.001, 0.0, 0.0, 0.0])
    return types.CommandRecord(
        ns, types.CommandSource.HUMAN, 0, moved, moved, 1.0, 1.0, JOINTS, np.full(6, 0.004 * k)
    )


def _potential(k: int, ns: int, episode_id: str, phi: float) -> types.Potential:
    reading = types.Reading(
        types.Status.OK, hop=(0.0, phi, phi - 1), reading=(phi, phi, phi), progress=phi
    )
    return types.Potential(ns, episode_id, k, reading, phi, False, MODEL)


def write_bag(folder: Path, name: str, start_ns: int, **settings: object) -> str:
    """Record an episode as the demo node does; returns the path."""
    path = folder / f"{name}.mcap"
    played = play(name, start_ns, bag_path=str(path), **settings)  # type: ignore[arg-type]
    writer = BagWriter(path)
    for message in (
        [bag_messages.episode(played.opened)]
        + [bag_messages.image(contents.FRONT_IMAGE, pair.front) for pair in played.pairs]
        + [bag_messages.image(contents.WRIST_IMAGE, pair.wrist) for pair in played.pairs]
        + [bag_messages.joints(sample) for sample in played.joints]
        + [bag_messages.decision(decision) for decision in played.decisions]
        + [bag_messages.command(tick) for tick in played.ticks]
        + [bag_messages.potential(potential) for potential in played.potentials]
        + [bag_messages.episode(played.closed)]
    ):
        writer.write(message)
    return str(writer.finish())


class Around(Node):
    """Plays every other node of the graph, by topics alone."""

    def __init__(self) -> None:
        super().__init__("around_the_learner")
        self.statuses: list[LearnerStatus] = []
        self.policies: list[PolicyWeights] = []
        self._out = {
            kind: self.create_publisher(kind, topic, profile)
            for kind, topic, profile in (
                (Decision, names.DECISION, qos.STREAM),
                (FramePairMsg, names.FRAME_PAIRS, qos.STREAM),
                (JointState, names.JOINT_STATES, qos.STREAM),
                (Command, names.COMMAND, qos.STREAM),
                (Potential, names.POTENTIAL, qos.STREAM),
                (Episode, names.EPISODE, qos.LATCHED),
            )
        }
        self.create_subscription(
            LearnerStatus, names.LEARNER_STATUS, self.statuses.append, qos.STREAM
        )
        self.create_subscription(
            PolicyWeights, names.POLICY_WEIGHTS, self.policies.append, qos.LATCHED
        )
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self.client = ActionClient(self, Train, names.TRAIN)

    def now_ns(self) -> int:
        """Present time."""
        return self.get_clock().now().nanoseconds

    def send(self, played: Played) -> None:
        """Publish a whole episode; potentials come late, as from a slow label lane."""
        self._out[Episode].publish(episode_to_msg(played.opened))
        for decision, pair, joints in zip(
            played.decisions, played.pairs, played.joints, strict=True
        ):
            self._out[FramePairMsg].publish(frame_pair_to_msg(pair))
            self._out[JointState].publish(joint_sample_to_msg(joints))
            self._out[Decision].publish(decision_to_msg(decision))
        for tick in played.ticks:
            self._out[Command].publish(command_to_msg(tick))
        self._out[Episode].publish(episode_to_msg(played.closed))
        for potential in played.potentials:
            self._out[Potential].publish(potential_to_msg(potential))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics.update({status.name.partition(": ")[2]: status for status in message.status})

    def send_nonsense(self) -> None:
        """Publish messages with codes and sizes that nobody knows."""
        self._out[Episode].publish(Episode(episode_id="nonsense", state=99))
        self._out[Potential].publish(Potential(status=RewardStatus(code=999)))
        self._out[Command].publish(Command(source=99))

    def heard_by_learner(self) -> bool:
        """Whether the learner listens to everything."""
        return all(publisher.get_subscription_count() for publisher in self._out.values())

    def start_training(self, goal: Train.Goal):  # type: ignore[no-untyped-def]
        """Send a goal; returns its handle."""
        assert self.client.wait_for_server(20.0)
        future = self.client.send_goal_async(goal)
        wait_until(future.done, "the goal to be taken")
        return future.result()

    def train(self, **fields: object) -> Train.Result:
        """Train and wait for the result."""
        future = self.start_training(Train.Goal(**fields)).get_result_async()
        wait_until(future.done, "training to end", 40.0)
        return future.result().result

    def until_status(self, condition, what: str) -> LearnerStatus:  # type: ignore[no-untyped-def]
        """Wait for a status."""
        wait_until(lambda: any(condition(s) for s in self.statuses[-3:]), f"a status: {what}", 20.0)
        return next(s for s in reversed(self.statuses) if condition(s))
