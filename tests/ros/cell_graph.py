"""A stranger's node around the cell: listens to everything it says, sends what a driver or an operator would."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from dopamine_msgs.msg import Command, Episode, Truth
from dopamine_msgs.srv import ResetScene
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState, Joy
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dopamine_core.control.kinematics import ARM_JOINTS
from dopamine_core.control.teleop import Button, JoyMap
from dopamine_ros import names, qos
from dopamine_ros.convert.stamps import duration_from_ns
from tests.ros.command_graph import wait_until

KINDS = {
    names.FRONT_IMAGE: (Image, qos.IMAGES),
    names.WRIST_IMAGE: (Image, qos.IMAGES),
    names.JOINT_STATES: (JointState, qos.JOINT_STATES),
    names.TRUTH: (Truth, 10),
    names.JOY: (Joy, 10),
    names.COMMAND: (Command, qos.STREAM),
    "/clock": (Clock, 10),
}


class CellStranger(Node):
    """Keeps the newest message and the number of messages of every topic."""

    def __init__(self) -> None:
        super().__init__("cell_stranger")
        self.newest: dict[str, object] = {}
        self.count: dict[str, int] = defaultdict(int)
        self.pressed: set[Button] = set()
        for topic, (kind, profile) in KINDS.items():
            self.create_subscription(kind, topic, lambda m, t=topic: self._hear(t, m), profile)
        self._trajectory = self.create_publisher(
            JointTrajectory, names.JOINT_TRAJECTORY, qos.COMMANDS
        )
        self._gripper = self.create_publisher(
            Float64MultiArray, names.GRIPPER_COMMANDS, qos.COMMANDS
        )
        self._episode = self.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self._reset = self.create_client(ResetScene, names.RESET_SCENE)

    def arm(self) -> np.ndarray:
        """Newest joint positions (6,) of the arm."""
        message = self.newest[names.JOINT_STATES]
        by_name = dict(zip(message.name, message.position, strict=True))
        return np.array([by_name[name] for name in ARM_JOINTS])

    def finger(self) -> float:
        """Newest distance of a finger pad from the middle, metres."""
        message = self.newest[names.JOINT_STATES]
        return message.position[message.name.index("finger_joint")]

    def truth(self) -> Truth:
        """Newest truth."""
        return self.newest[names.TRUTH]

    def go(
        self, positions: np.ndarray, *, joints: tuple[str, ...] = ARM_JOINTS, ms: int = 200
    ) -> None:
        """Publish a trajectory of one point."""
        point = JointTrajectoryPoint(positions=[float(value) for value in positions])
        point.time_from_start = duration_from_ns(ms * 1_000_000)
        self._trajectory.publish(JointTrajectory(joint_names=list(joints), points=[point]))

    def grip(self, *values: float) -> None:
        """Publish a gripper command."""
        self._gripper.publish(Float64MultiArray(data=list(values)))

    def reset(self, task: str, seed: int, *, shift: bool = False) -> ResetScene.Response:
        """Ask for a scene and wait for the answer."""
        assert self._reset.wait_for_service(15.0), names.RESET_SCENE
        future = self._reset.call_async(ResetScene.Request(task=task, seed=seed, shift=shift))
        wait_until(future.done, "scene/reset")
        return future.result()

    def episode(self, state: int, episode_id: str) -> None:
        """Publish the state of a demonstration."""
        message = Episode(state=state, kind=Episode.KIND_DEMONSTRATION, episode_id=episode_id)
        message.header.stamp = self.get_clock().now().to_msg()
        self._episode.publish(message)

    def settle(self, messages: int = 15) -> None:
        """Wait for so many more joint states."""
        goal = self.count[names.JOINT_STATES] + messages
        wait_until(lambda: self.count[names.JOINT_STATES] >= goal, "joint states")

    def _hear(self, topic: str, message: object) -> None:
        self.newest[topic] = message
        self.count[topic] += 1
        if topic == names.JOY:
            self.pressed |= JoyMap().held(message.buttons)
