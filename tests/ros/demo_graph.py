"""A stranger's node that plays all others around a real demo node: cameras, arm, command path, reward, agent."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.action import Adapt, Practice, Record, Reset
from dopamine_msgs.msg import (
    Command,
    Decision,
    Episode,
    FramePair,
    PolicyWeights,
    Potential,
    ResetMotion,
    Reward,
    Success,
)
from dopamine_msgs.srv import (
    CloseEpisode,
    LabelEpisode,
    LoadModel,
    OpenEpisode,
    ResetScene,
    SetTask,
)
from rclpy.action import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, JointState, Joy
from std_srvs.srv import Trigger

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.teleop import Button, JoyMap
from dopamine_core.frames.codec import encode
from dopamine_ros import names, qos
from dopamine_ros.convert.stamps import to_ns
from tests.core.control.lagging_arm import home_of
from tests.ros.command_graph import wait_until

ACTIONS = {
    names.RECORD: Record,
    names.RESET: Reset,
    names.PRACTICE: Practice,
    names.ADAPT: Adapt,
}


def flat(shade: int) -> np.ndarray:
    """An image (48, 64, 3) of one shade."""
    return np.full((48, 64, 3), shade, np.uint8)


class Surroundings(Node):
    """Everything around the demo node, by topics alone; its switches make things go wrong."""

    def __init__(self, *, scene_service: bool = True) -> None:
        super().__init__("surroundings")
        self._group = ReentrantCallbackGroup()
        kinematics = Kinematics()
        self.joint_names = list(kinematics.joint_names)
        self.q = home_of(kinematics)
        self.speak_images = self.speak_joints = True
        self.source = Command.SOURCE_HOLD
        self.move_m = 0.0  # per tick along x
        self.late_label_s = 0.02
        self.success_at = -1  # index of the decision at which the reward node sees success
        self.obey_reset = True
        self.refuse_scene = ""
        self.draw: Callable[[int], np.ndarray] = flat
        self.sent_frames: dict[int, bytes] = {}  # front stamp -> bytes
        self.sent_ticks: list[tuple[int, float]] = []  # stamp ns, metres along x
        self.episodes: list[Episode] = []
        self.decisions: list[Decision] = []
        self.tasks: list[SetTask.Request] = []
        self.scenes: list[ResetScene.Request] = []
        self.models: list[LoadModel.Request] = []
        self.feedback: list[Any] = []
        self.statuses: dict[str, tuple[int, str]] = {}
        self.homes: list[ResetMotion] = []
        self._reset: ResetMotion | None = None
        self._decided = 0
        self._service_clients: dict[str, Any] = {}
        self._action_clients = {
            name: ActionClient(self, kind, name, callback_group=self._group)
            for name, kind in ACTIONS.items()
        }
        self._speakers()
        self._listeners(scene_service)

    def now_ns(self) -> int:
        """Present time."""
        return self.get_clock().now().nanoseconds

    @property
    def episode(self) -> Episode:
        """The state heard last."""
        return self.episodes[-1]

    def until_state(self, state: int, kind: int | None = None) -> Episode:
        """Wait for a state of the episode."""
        wait_until(
            lambda: (
                bool(self.episodes)
                and self.episode.state == state
                and kind in (None, self.episode.kind)
            ),
            f"episode state {state}",
        )
        return self.episode

    def until_decisions(self, count: int) -> None:
        """Wait for so many decisions of the open episode."""
        name = self.episode.episode_id

        def there() -> bool:
            assert self.episode.state == Episode.OPEN, f"closed: {self.episode.text}"
            return sum(d.episode_id == name for d in self.decisions) >= count

        wait_until(there, f"{count} decisions")

    def call(self, service: type, name: str, /, **fields: Any) -> Any:
        """Call a service."""
        if name not in self._service_clients:
            self._service_clients[name] = self.create_client(
                service, name, callback_group=self._group
            )
        client = self._service_clients[name]
        assert client.wait_for_service(10.0), name
        future = client.call_async(service.Request(**fields))
        wait_until(future.done, f"an answer of {name}")
        return future.result()

    def trigger(self, name: str) -> Any:
        """Call a Trigger service."""
        return self.call(Trigger, name)

    def open(self, **fields: Any) -> Any:
        """Call episode/open."""
        return self.call(OpenEpisode, names.OPEN_EPISODE, **fields)

    def opened(self, **fields: Any) -> Episode:
        """Open an episode and wait until it is; a stop that was just cleared may delay it."""
        wait_until(lambda: self.open(**fields).success, "an open episode")
        return self.until_state(Episode.OPEN)

    def close(self, **fields: Any) -> Any:
        """Call episode/close."""
        return self.call(CloseEpisode, names.CLOSE_EPISODE, **fields)

    def label(self, **fields: Any) -> Any:
        """Call episode/label."""
        return self.call(LabelEpisode, names.LABEL_EPISODE, **fields)

    def until_served(self) -> None:
        """Wait until every action can be asked for; discovery of a server's parts takes a moment."""
        for name, client in self._action_clients.items():
            assert client.wait_for_server(30.0), name
        time.sleep(1.0)

    def goal(self, name: str, **fields: Any) -> tuple[Any, Callable[[], Any]]:
        """Send a goal; return its handle and what waits for its result."""
        client = self._action_clients[name]
        assert client.wait_for_server(10.0), name
        self.feedback.clear()
        future = client.send_goal_async(
            ACTIONS[name].Goal(**fields), lambda message: self.feedback.append(message.feedback)
        )
        wait_until(future.done, f"{name} to accept")
        handle = future.result()
        result = handle.get_result_async()

        def wait(timeout_s: float = 30.0) -> Any:
            wait_until(result.done, f"the result of {name}", timeout_s)
            return result.result().result

        return handle, wait

    def press(self, button: Button) -> None:
        """Press and release a button."""
        for held in ({button}, set()):
            self._joy.publish(Joy(axes=[0.0] * 5, buttons=JoyMap().buttons_of(held)))

    def send_policy(self, version: int = 1) -> None:
        """Publish policy weights, as the learner does."""
        self._weights.publish(PolicyWeights(version=version, format="onnx"))

    def send_nonsense(self) -> None:
        """Publish messages with codes and stamps that nobody knows."""
        name = self.episode.episode_id
        self._commands.publish(Command(source=99))
        self._decided_topic.publish(Decision(episode_id=name, index=900, owner=99))
        potential = Potential(episode_id=name)
        potential.status.code = 55
        self._potentials.publish(potential)
        sample = JointState(name=self.joint_names, position=self.q.tolist())
        sample.header.stamp.sec = -5  # before all time: a bag has no such stamp
        self._joints.publish(sample)
        self._joints.publish(JointState(name=["a", "b"], position=[math.nan]))
        self._rewards.publish(Reward(episode_id=name, index=900))

    def _speakers(self) -> None:
        self._pairs = self.create_publisher(FramePair, names.FRAME_PAIRS, qos.IMAGES)
        self._joints = self.create_publisher(JointState, names.JOINT_STATES, 5)
        self._commands = self.create_publisher(Command, names.COMMAND, qos.STREAM)
        self._potentials = self.create_publisher(Potential, names.POTENTIAL, qos.STREAM)
        self._rewards = self.create_publisher(Reward, names.REWARD, qos.STREAM)
        self._success = self.create_publisher(Success, names.SUCCESS, qos.STREAM)
        self._decided_topic = self.create_publisher(Decision, names.DECISION, qos.STREAM)
        self._weights = self.create_publisher(PolicyWeights, names.POLICY_WEIGHTS, qos.LATCHED)
        self._joy = self.create_publisher(Joy, names.JOY, 5)
        self._shade = 0
        self.create_timer(0.02, self._speak)
        self.create_timer(1 / 30, self._look)
        self.create_timer(0.1, self._decide)

    def _listeners(self, scene_service: bool) -> None:
        self.create_subscription(Episode, names.EPISODE, self._on_episode, qos.LATCHED)
        self.create_subscription(Decision, names.DECISION, self._answer, qos.STREAM)
        self.create_subscription(ResetMotion, names.RESET_MOTION, self._go_home, 5)
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self.create_service(SetTask, names.SET_TASK, self._set_task)
        self.create_service(LoadModel, names.LOAD_MODEL, self._load_model)
        if scene_service:
            self.create_service(ResetScene, names.RESET_SCENE, self._reset_scene)

    def _speak(self) -> None:
        stamp = self.get_clock().now().to_msg()
        if self.speak_joints:
            message = JointState(name=self.joint_names, position=self.q.tolist())
            message.header.stamp = stamp
            self._joints.publish(message)
        tick = Command(source=self.source, joint_names=self.joint_names)
        tick.header.stamp = stamp
        tick.joint_positions = self.q.tolist()
        tick.executed[0] = tick.proposed[0] = self.move_m
        if self._reset is not None:
            tick.reset_state = Command.RESET_DONE if self.obey_reset else Command.RESET_FAILED
            tick.reset_stamp = self._reset.header.stamp
            tick.text = "" if self.obey_reset else "taken over"
        self.sent_ticks.append((to_ns(stamp), self.move_m))
        self._commands.publish(tick)

    def _look(self) -> None:
        if not self.speak_images:
            return
        stamp = self.get_clock().now()
        pair = FramePair(front=self._image(stamp), wrist=self._image(stamp))
        pair.header.stamp = stamp.to_msg()
        self.sent_frames[stamp.nanoseconds] = bytes(pair.front.data)
        self._pairs.publish(pair)

    def _image(self, stamp: Any) -> CompressedImage:
        self._shade = (self._shade + 1) % 200
        pixels = self.draw(self._shade)
        image = CompressedImage(format="jpeg", data=array("B", encode(pixels, 1).data))
        image.header.stamp = stamp.to_msg()
        return image

    def _decide(self) -> None:
        """Play the agent: decisions in open rollouts and evaluations."""
        practising = (Episode.KIND_ROLLOUT, Episode.KIND_EVALUATION)
        if not self.episodes or self.episode.state != Episode.OPEN:
            self._decided = 0
            return
        if self.episode.kind in practising and self.sent_frames:
            stamp = self.get_clock().now().to_msg()
            message = Decision(episode_id=self.episode.episode_id, index=self._decided)
            message.header.stamp = message.joint_stamp = stamp
            newest = max(self.sent_frames)
            message.front_stamp.sec, message.front_stamp.nanosec = divmod(newest, 10**9)
            message.wrist_stamp = message.front_stamp
            self._decided += 1
            self._decided_topic.publish(message)

    def _answer(self, decision: Decision) -> None:
        """Play the label lane: a potential for every decision, terms for every transition."""
        self.decisions.append(decision)
        message = Potential(episode_id=decision.episode_id, index=decision.index)
        message.header.stamp = decision.header.stamp
        message.potential = message.progress = min(0.1 * decision.index, 1.0)
        message.consistency = message.uncertainty = math.nan
        timer = self.create_timer(self.late_label_s, lambda: self._label(timer, message, decision))

    def _label(self, timer: Any, message: Potential, decision: Decision) -> None:
        self.destroy_timer(timer)
        self._potentials.publish(message)
        if decision.index:
            terms = Reward(episode_id=decision.episode_id, index=decision.index - 1)
            terms.header.stamp = decision.header.stamp
            self._rewards.publish(terms)
        if decision.index == self.success_at:
            success = Success(episode_id=decision.episode_id, progress=0.95, threshold=0.9)
            success.header.stamp = decision.header.stamp
            self._success.publish(success)

    def _go_home(self, message: ResetMotion) -> None:
        self._reset = message
        self.homes.append(message)
        if self.obey_reset:
            self.q = np.array(message.joint_positions)

    def _set_task(self, request: Any, response: Any) -> Any:
        self.tasks.append(request)
        response.success, response.message = True, "set"
        return response

    def _load_model(self, request: Any, response: Any) -> Any:
        self.models.append(request)
        response.success = True
        return response

    def _reset_scene(self, request: Any, response: Any) -> Any:
        self.scenes.append(request)
        response.success, response.message = not self.refuse_scene, self.refuse_scene
        return response

    def _on_episode(self, message: Episode) -> None:
        """Play the reward node: a correction is answered with new terms."""
        known = {episode.episode_id for episode in self.episodes if episode.state == Episode.CLOSED}
        self.episodes.append(message)
        if message.state == Episode.CLOSED and message.episode_id in known:
            terms = Reward(episode_id=message.episode_id, index=0, r_gold=1.0, total=1.0)
            terms.header.stamp = message.header.stamp
            self._rewards.publish(terms)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.statuses[status.name] = (status.level[0], status.message)
