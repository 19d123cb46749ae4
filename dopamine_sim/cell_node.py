"""Joint trajectories, gripper commands and scene requests in; images, joint states, clock and truth out.

The cell on the topics of two cameras and ros2_control. Callbacks only hand over; the cell runs in its own threads.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from dopamine_msgs.msg import Episode, Truth
from dopamine_msgs.srv import ResetScene
from numpy.typing import NDArray
from rclpy._rclpy_pybind11 import RCLError
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos_overriding_options import QoSOverridingOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from dopamine_core.errors import DopamineError
from dopamine_ros import names, qos
from dopamine_ros.convert.images import rgb_to_msg
from dopamine_ros.diagnostics import ERROR, OK, WARN, Diagnostics
from dopamine_ros.parameters import declare
from dopamine_ros.run import run_node
from dopamine_sim import cell as cells
from dopamine_sim import messages, topics
from dopamine_sim.config import CellConfig
from dopamine_sim.joint_trajectory_controller import TrajectoryVerdict
from dopamine_sim.live_cell import LiveCell, LiveConfig, SceneState

_FRAMES = {"front": "front_camera_optical", "wrist": "wrist_camera_optical"}
_WATCH_S = 1.0


class CellNode(Node):
    """The embedded cell behind the topics of real hardware.

    :raises UnknownNameError: when the task is unknown.
    """

    def __init__(self) -> None:
        super().__init__("cell_node")
        live, cell = declare(self, LiveConfig), declare(self, CellConfig)
        self._episode_id = ""
        self._rejected: dict[str, int] = {}
        self._health_before = 0, 0
        self._diagnostics = Diagnostics(self)
        self._open_outputs(real_time=live.real_time)
        self._live = LiveCell(live, cell, self, lambda: self.get_clock().now().nanoseconds)
        self._open_inputs()
        self.create_timer(_WATCH_S, self._watch)
        self._live.start()
        self.get_logger().info(f"ready: {live.task}, seed {live.seed}, speed {live.speed:g}")

    def destroy_node(self) -> None:
        """Stop the cell's threads before the publishers go."""
        self._live.close()
        super().destroy_node()

    def _open_outputs(self, *, real_time: bool) -> None:
        overrides = QoSOverridingOptions.with_default_policies()
        self._images = {
            camera: self.create_publisher(Image, topic, qos.IMAGES, qos_overriding_options=overrides)
            for camera, topic in (("front", names.FRONT_IMAGE), ("wrist", names.WRIST_IMAGE))
        }
        self._joints = self.create_publisher(
            JointState, names.JOINT_STATES, qos.STREAM, qos_overriding_options=overrides
        )
        self._truth = self.create_publisher(Truth, names.TRUTH, 10)
        self._state = self.create_publisher(Float64MultiArray, topics.SCENE_STATE, 5)
        self._clock_out = None if real_time else self.create_publisher(Clock, topics.CLOCK, 10)

    def _open_inputs(self) -> None:
        overrides = QoSOverridingOptions.with_default_policies()
        self.create_subscription(
            JointTrajectory,
            names.JOINT_TRAJECTORY,
            self._on_trajectory,
            qos.COMMANDS,
            qos_overriding_options=overrides,
        )
        self.create_subscription(
            Float64MultiArray,
            names.GRIPPER_COMMANDS,
            self._on_gripper,
            qos.COMMANDS,
            qos_overriding_options=overrides,
        )
        self.create_subscription(Episode, names.EPISODE, self._on_episode, qos.LATCHED)
        self.create_service(ResetScene, names.RESET_SCENE, self._on_reset)

    # --- in ------------------------------------------------------------------------------------------------------

    def _on_trajectory(self, message: JointTrajectory) -> None:
        stamp_ns, points = messages.points_from_msg(message)
        self._note(self._live.submit_trajectory(message.joint_names, points, stamp_ns))

    def _on_gripper(self, message: Float64MultiArray) -> None:
        if len(message.data) != 1 or not self._live.command_gripper(message.data[0]):
            text = f"expected one finite fraction (0 open ... 1 closed), got {list(message.data)}; ignored"
            self._diagnostics.set("gripper", WARN, text)

    def _on_episode(self, message: Episode) -> None:
        self._episode_id = message.episode_id if message.state == Episode.OPEN else ""

    def _on_reset(
        self, request: ResetScene.Request, response: ResetScene.Response
    ) -> ResetScene.Response:
        try:
            response.message = self._live.reset_scene(request.task, request.seed, request.shift)
            response.success = True
        except DopamineError as error:
            response.success, response.message = False, str(error)
        self.get_logger().info(f"scene: {response.message}")
        return response

    def _note(self, verdict: TrajectoryVerdict) -> None:
        if verdict.accepted:
            return
        reason = verdict.rejection.value
        self._rejected[reason] = self._rejected.get(reason, 0) + 1
        if self._rejected[reason] == 1:
            self.get_logger().warning(f"trajectory ignored: {reason} {verdict.text}")

    # --- out (called from the cell's threads) --------------------------------------------------------------------

    def clock(self, now_ns: int) -> None:
        """Publish simulated time."""
        if self._clock_out is not None:
            self._send(self._clock_out, Clock(clock=messages.from_ns(now_ns)))

    def joints(self, state: cells.JointState) -> None:
        """Publish joint states."""
        self._send(self._joints, messages.joint_state_to_msg(state))

    def truth(self, stamp_ns: int, truth: cells.Truth, task: str, seed: int, shift: bool) -> None:
        """Publish what only a simulator knows."""
        message = Truth(
            task=task,
            episode_id=self._episode_id,
            success=truth.success,
            progress=truth.progress,
            stage=truth.stage,
            seed=seed,
            shift=shift,
        )
        message.header.stamp = messages.from_ns(stamp_ns)
        self._send(self._truth, message)

    def state(self, state: SceneState) -> None:
        """Publish what the scripted operator sees."""
        self._send(self._state, Float64MultiArray(data=state.values.tolist()))

    def images(self, stamp_ns: int, images: dict[str, NDArray[np.uint8]]) -> None:
        """Publish one camera pair."""
        for camera, rgb in images.items():
            self._send(self._images[camera], rgb_to_msg(rgb, stamp_ns, _FRAMES[camera]))

    def _send(self, publisher: Publisher, message: Any) -> None:
        """Publish from a thread of the cell; Ctrl-C may have ended the context meanwhile."""
        try:
            publisher.publish(message)
        except RCLError:
            if self.context.ok():
                raise

    def trouble(self, text: str) -> None:
        """Say what went wrong."""
        self.get_logger().error(text)
        self._diagnostics.set("cell", ERROR, text)

    def _watch(self) -> None:
        health = self._live.health
        now = health.dropped_frames, health.skipped_ns
        late = now != self._health_before
        self._health_before = now
        text = "cannot keep up: give it a core, fewer pixels or a lower rate" if late else "keeps its rates"
        self._diagnostics.set("cell", WARN if late else OK, text, dataclasses.asdict(health))
        ignored = sum(self._rejected.values())
        self._diagnostics.set(
            "trajectories", WARN if ignored else OK, f"{ignored} ignored so far", self._rejected
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run_node(CellNode, args)


if __name__ == "__main__":
    sys.exit(main())
