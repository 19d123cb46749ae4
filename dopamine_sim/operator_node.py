"""Episodes and the scene's state in, Joy out: a scripted person at a game controller, for runs without one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from dopamine_msgs.msg import Command, Episode, Truth
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import Float64MultiArray

from dopamine_core.config import check, setting
from dopamine_core.control.teleop import JoyMap
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_from_msg
from dopamine_ros.parameters import declare
from dopamine_ros.run import run_node
from dopamine_ros.tolerance import tolerant
from dopamine_sim import topics
from dopamine_sim.mirror import Mirror
from dopamine_sim.person import DECISION_S, Person
from dopamine_sim.tasks.base import MODES


@dataclass(frozen=True)
class OperatorConfig:
    """How the scripted person works."""

    mode: str = setting("expert", doc="How they work.", choices=MODES)
    seed: int = setting(0, doc="Their mood.", low=0)
    gain: float = setting(
        0.4,
        doc="Share of a short remaining way asked for at once; the arm answers late.",
        low=0.05,
        high=1.0,
    )
    recordings: int = setting(
        0, doc="Recordings that they start by themselves, one after the other.", low=0
    )
    between_s: float = setting(2.0, doc="Rest before they start another.", unit="s", low=0.1)

    def __post_init__(self) -> None:
        check(self)


class OperatorNode(Node):
    """Teleoperates demonstrations through the same topic as a person."""

    def __init__(self) -> None:
        super().__init__("operator_node")
        config = declare(self, OperatorConfig)
        self._mirror = Mirror()
        self._person = Person(
            self._mirror,
            declare(self, JoyMap, "joy"),
            mode=config.mode,
            seed=1000 * config.seed,
            gain=config.gain,
            recordings=config.recordings,
        )
        self._doing = ""
        self._joy = self.create_publisher(Joy, names.JOY, 5)
        for kind, topic, callback, profile in (
            (Truth, names.TRUTH, self._on_truth, 10),
            (Float64MultiArray, topics.SCENE_STATE, self._on_state, 5),
            (Episode, names.EPISODE, self._on_episode, qos.LATCHED),
            (Command, names.COMMAND, self._on_command, qos.STREAM),
        ):
            self.create_subscription(kind, topic, tolerant(callback, self._on_nonsense), profile)
        self.create_timer(DECISION_S / 2, self._send)
        self.create_timer(config.between_s, self._person.start_recording)
        self.get_logger().info("ready")

    def _on_truth(self, message: Truth) -> None:
        self._mirror.set_scene(message.task, message.seed, message.shift)

    def _on_state(self, message: Float64MultiArray) -> None:
        self._mirror.see(message.data, self._now())

    def _on_episode(self, message: Episode) -> None:
        self._person.on_episode(episode_from_msg(message))

    def _on_command(self, message: Command) -> None:
        self._person.on_gripper(message.gripper_executed)

    def _on_nonsense(self, kind: str, text: str) -> None:
        self.get_logger().warning(text, throttle_duration_sec=1.0)

    def _send(self) -> None:
        pad = self._person.message(self._now())
        if self._person.doing != self._doing:
            self._doing = self._person.doing
            self.get_logger().info(self._doing)
        if pad is None:
            return
        message = Joy(axes=pad.axes, buttons=pad.buttons)
        message.header.stamp = self.get_clock().now().to_msg()
        self._joy.publish(message)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(OperatorNode, args)


if __name__ == "__main__":
    sys.exit(main())
