"""A real command node and a stranger's node around it: an arm that lags, a joystick, images and a notebook."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rclpy
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.msg import Command, FramePair, PolicyAction, ResetMotion
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.teleop import Button, JoyMap
from dopamine_ros import names, qos
from tests.core.control.lagging_arm import home_of

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
PARAMETERS = ("command_node.yaml", "limits.yaml")


@contextmanager
def process(
    module: str, *parameter_files: Path | str, extra: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a node's module with parameter files (those of ``config/`` by name) and end it afterwards."""
    arguments = [part for name in parameter_files for part in ("--params-file", str(CONFIG / name))]
    command = [sys.executable, "-m", module, "--ros-args", *arguments, *extra]
    # A file, not a pipe: a node that logs into a pipe which nobody reads stands still one day.
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=log, text=True
        )
        with open(log.name) as child.stderr:
            try:
                yield child
            finally:
                child.terminate()
                try:
                    child.wait(timeout=10.0)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def last_words(child: subprocess.Popen[str], timeout_s: float = 90.0) -> str:
    """Wait until a process of :func:`process` has ended; return what it said on stderr."""
    child.wait(timeout_s)
    assert child.stderr is not None
    return child.stderr.read()


class Stranger(Node):
    """Knows only the topics: plays arm, cameras and joystick, and keeps what it hears."""

    def __init__(self, name: str = "stranger") -> None:
        super().__init__(name)
        self.kinematics = Kinematics()
        self.home = home_of(self.kinematics)
        self.q = self.home.copy()
        self.joint_names = list(self.kinematics.joint_names)
        self.speak_joints = True
        self.speak_images = True
        self.spoil: Callable[[JointState], None] = lambda message: None
        self.joy: tuple[list[float], set[Button]] | None = None
        self.trajectories: list[JointTrajectory] = []
        self.gripper: list[float] = []
        self.commands: list[Command] = []
        self.statuses: dict[str, tuple[int, str]] = {}
        self._joint_publisher = self.create_publisher(JointState, names.JOINT_STATES, 5)
        self._frames = self.create_publisher(FramePair, names.FRAME_PAIRS, qos.IMAGES)
        self._joy = self.create_publisher(Joy, names.JOY, 5)
        self._policy = self.create_publisher(PolicyAction, names.POLICY_ACTION, qos.COMMANDS)
        self._reset = self.create_publisher(ResetMotion, names.RESET_MOTION, 5)
        self.create_subscription(
            JointTrajectory, names.JOINT_TRAJECTORY, self._on_trajectory, qos.COMMANDS
        )
        self.create_subscription(
            Float64MultiArray,
            names.GRIPPER_COMMANDS,
            lambda m: self.gripper.append(m.data[0]),
            qos.COMMANDS,
        )
        self.create_subscription(Command, names.COMMAND, self.commands.append, qos.STREAM)
        # Made once: the answer to a client that was just made can be lost before the two have met.
        self._triggers = {
            name: self.create_client(Trigger, name) for name in (names.STOP, names.CLEAR_STOP)
        }
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self.create_timer(0.01, self._speak)
        self.create_timer(0.05, self._speak_slowly)

    def stamp(self) -> object:
        """Present time as a message."""
        return self.get_clock().now().to_msg()

    def act(self, displacement: list[float], gripper: float = 1.0) -> None:
        """Publish a policy action decided now."""
        message = PolicyAction(
            displacement=displacement, gripper=gripper, period=Duration(nanosec=100_000_000)
        )
        message.header.stamp = self.stamp()
        self._policy.publish(message)

    def act_for(self, seconds: float, displacement: list[float]) -> None:
        """Publish ten policy actions a second."""
        for _ in range(round(seconds * 10)):
            self.act(displacement)
            time.sleep(0.1)

    def go_home(self, **changes: object) -> None:
        """Publish a reset request."""
        message = ResetMotion(
            joint_names=self.joint_names,
            joint_positions=self.home.tolist(),
            retract_m=0.02,
            gripper=0.0,
        )
        for name, value in changes.items():
            setattr(message, name, value)
        message.header.stamp = self.stamp()
        self._reset.publish(message)

    def call(self, service: str) -> Trigger.Response:
        """Call a Trigger service and wait for its answer."""
        client = self._triggers[service]
        assert client.wait_for_service(45.0), service
        future = client.call_async(Trigger.Request())
        wait_until(future.done, f"an answer of {service}")
        return future.result()

    def until_source(self, source: int, timeout_s: float = 45.0) -> Command:
        """Wait for the next tick of a source."""
        start = len(self.commands)
        wait_until(
            lambda: any(command.source == source for command in self.commands[start:]),
            f"a tick of source {source}",
            timeout_s,
        )
        return next(command for command in self.commands[start:] if command.source == source)

    def rests(self, since_ns: int, within_s: float) -> None:
        """Assert by stamps that the commanded pose stands still a while after a moment."""
        still_ns = since_ns + round(within_s * 1e9)
        wait_until(lambda: stamp_ns(self.commands[-1]) > still_ns + 300_000_000, "ticks to judge")
        after = [command for command in self.commands if stamp_ns(command) > still_ns]
        assert len(after) > 5
        assert not any(np.any(command.executed) for command in after)

    def now_ns(self) -> int:
        """Present time."""
        return self.get_clock().now().nanoseconds

    def position(self) -> np.ndarray:
        """Position (3,) of the end effector."""
        return self.kinematics.forward(self.q).position

    def _on_trajectory(self, message: JointTrajectory) -> None:
        self.trajectories.append(message)
        self.q = self.q + 0.5 * (np.array(message.points[0].positions) - self.q)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.statuses[status.name] = (status.level[0], status.message)

    def _speak(self) -> None:
        if self.speak_joints:
            message = JointState(name=self.joint_names, position=self.q.tolist())
            message.header.stamp = self.stamp()
            self.spoil(message)
            self._joint_publisher.publish(message)

    def _speak_slowly(self) -> None:
        if self.speak_images:
            pair = FramePair()
            pair.header.stamp = self.stamp()
            self._frames.publish(pair)
        if self.joy is not None:
            axes, held = self.joy
            message = Joy(axes=axes, buttons=JoyMap().buttons_of(held))
            message.header.stamp = self.stamp()
            self._joy.publish(message)


def stamp_ns(message: Command) -> int:
    """Stamp of a tick."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 45.0) -> None:
    """Wait for a condition; fail saying for what."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


@contextmanager
def spinning(*nodes: Node) -> Iterator[None]:
    """Spin nodes in a thread."""
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join(5.0)
        for node in nodes:
            node.destroy_node()


@contextmanager
def ros() -> Iterator[None]:
    """Initialise ROS for this process."""
    rclpy.init()
    try:
        yield
    finally:
        rclpy.try_shutdown()
