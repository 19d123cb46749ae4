"""Images, decisions and episodes come in; frame pairs, progress, potentials and reward go out.

Callbacks only store. One thread pairs and encodes frames and gives them to the decisions that name them; another asks
the model, decisions (label lane) and the newest pair (monitor lane) in turn; models load and compute in threads of
their own.
"""

from __future__ import annotations

import os
import sys
from threading import Thread
from typing import Any

from dopamine_msgs.msg import Decision, Episode
from dopamine_msgs.srv import LoadModel, SetTask
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image

from dopamine_core.errors import DopamineError
from dopamine_core.frames.buffer import FrameBuffer
from dopamine_core.frames.intake import Intake, IntakeConfig
from dopamine_core.reward.decision_queue import LabelLaneConfig
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.label_lane import LabelLane
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.reward.success import SuccessConfig
from dopamine_core.types import EpisodeState, FramePair
from dopamine_reward_node.health import Health
from dopamine_reward_node.inference_worker import InferenceWorker
from dopamine_reward_node.intake_worker import IntakeWorker
from dopamine_reward_node.model_loader import ModelLoader
from dopamine_reward_node.outlet import RewardOutlet
from dopamine_reward_node.settings import RewardNodeConfig
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_from_msg
from dopamine_ros.convert.images import references_from_request
from dopamine_ros.convert.reward import decision_from_msg, model_to_msg
from dopamine_ros.diagnostics import OK, Diagnostics
from dopamine_ros.parameters import declare
from dopamine_ros.priority import take_realtime
from dopamine_ros.run import run_node
from dopamine_ros.tolerance import tolerant

_FIRST_MODEL_S = 3.0  # a model that loads quickly is there when the node says "ready"
_SWITCH_INTERVAL_S = 0.001  # a waiting thread gets the interpreter after 1 ms instead of 5


class RewardNode(Node):
    """The reward node."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("reward_node", **node_arguments)
        self._config = declare(self, RewardNodeConfig)
        self._fusion = declare(self, FusionConfig, "fusion")
        shaping = declare(self, ShapingConfig, "shaping")
        self._buffer = FrameBuffer(self._config.buffer_s)
        self._lane = LabelLane(
            declare(self, LabelLaneConfig, "label"),
            shaping,
            declare(self, SuccessConfig, "success"),
            self._buffer.get,
        )
        self._intake = Intake(declare(self, IntakeConfig, "intake"))
        self._model_name = self._config.model_name
        self._build(shaping)
        self._subscribe()
        self._intake_worker.start()
        self._inference.start()
        problem = take_realtime(self._config.realtime_priority)
        self._loader.begin(self._model_name, self._config.model_path)
        self._loader.wait(_FIRST_MODEL_S)
        asked = {"asked": self._config.realtime_priority}
        self._diagnostics.set("priority", OK, problem or "as asked", asked)
        self.get_logger().info("ready")

    @property
    def computing(self) -> bool:
        """Whether a model still loads or computes, which nobody can cut short."""
        return self._loader.busy

    def destroy_node(self) -> None:
        """Stop the workers before the publishers go."""
        self._intake_worker.stop()
        self._inference.stop(self._loader.stop)
        if due := self._lane.due:
            self.get_logger().warning(
                f"expected to answer every decision, got an end with {due} answers due; relabel the episode"
            )
        super().destroy_node()

    def _build(self, shaping: ShapingConfig) -> None:
        self._outlet = RewardOutlet(self, self._config, shaping, self._lane)
        self._intake_worker = IntakeWorker(
            self._intake, self._buffer, self._on_pair, self._complain
        )
        self._inference = InferenceWorker(
            self._lane,
            self._buffer,
            self._intake,
            self._outlet,
            now_ns=self._now_ns,
            monitor_rate_hz=self._config.monitor_rate_hz,
            complain=self._complain,
        )
        self._loader = ModelLoader(
            lambda name, path: load_reward_model(name, path, self._fusion),
            self._lane,
            timeout_s=self._config.inference_timeout_s,
            changed=self._inference.restart_monitor,
            say=self._say,
        )
        self._lane.why_no_model = lambda: self._loader.fault
        self._diagnostics = Diagnostics(self)
        self._health = Health(
            self._diagnostics,
            self._intake,
            self._intake_worker,
            self._lane,
            self._outlet,
            self._loader,
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, lambda: self._health.tell(self._now_ns()), clock=steady)

    def _subscribe(self) -> None:
        cameras = (
            ("front", names.FRONT_IMAGE, self._config.front_transport),
            ("wrist", names.WRIST_IMAGE, self._config.wrist_transport),
        )
        for camera, topic, transport in cameras:
            kind, topic = (
                (Image, topic) if transport == "raw" else (CompressedImage, f"{topic}/compressed")
            )
            self._listen(kind, topic, lambda m, c=camera: self._on_image(c, m), qos.CAMERA_INTAKE)
        self._listen(Decision, names.DECISION, self._on_decision, qos.STREAM)
        self._listen(Episode, names.EPISODE, self._on_episode, qos.LATCHED)
        self.create_service(SetTask, names.SET_TASK, self._set_task)
        # Reentrant: while a load is awaited the group must not hold up anything else.
        group = ReentrantCallbackGroup()
        self.create_service(LoadModel, names.LOAD_MODEL, self._load_model, callback_group=group)

    def _listen(self, kind: type, topic: str, callback: Any, profile: QoSProfile) -> None:
        overriding = QoSOverridingOptions.with_default_policies()
        guarded = tolerant(callback, lambda _, text: self._complain(f"{topic}: {text}"))
        self.create_subscription(kind, topic, guarded, profile, qos_overriding_options=overriding)

    def _on_image(self, camera: str, message: Image | CompressedImage) -> None:
        self._intake_worker.put(camera, message, self._now_ns())

    def _on_pair(self, pair: FramePair) -> None:
        self._lane.put_pair(pair)
        self._inference.wake()
        self._outlet.pair(pair)

    def _on_decision(self, message: Decision) -> None:
        self._lane.put_decision(decision_from_msg(message), self._now_ns())
        self._inference.wake()

    def _on_episode(self, message: Episode) -> None:
        info = episode_from_msg(message)
        self._outlet.episode_id = info.episode_id if info.state is EpisodeState.OPEN else ""
        self._lane.put_episode(info, self._now_ns())
        self._inference.wake()

    def _set_task(self, request: SetTask.Request, response: SetTask.Response) -> SetTask.Response:
        try:
            references = references_from_request(request)
        except DopamineError as error:
            response.success, response.message = False, str(error)
            return response
        later = self._lane.set_references(references)
        self._intake.accept_new_sizes()
        self._inference.restart_monitor()
        response.success = True
        when = "from the next episode on" if later else "from now on"
        response.message = f"{references.task!r} with {len(references.goals)} goals, {when}"
        return response

    async def _load_model(
        self, request: LoadModel.Request, response: LoadModel.Response
    ) -> LoadModel.Response:
        done: Future[LoadModel.Response] = Future(executor=self.executor)
        done.add_done_callback(lambda _: None)  # wakes the executor
        thread = Thread(
            target=lambda: done.set_result(self._load(request, response)), name="load", daemon=True
        )
        thread.start()
        return await done  # images and decisions go on meanwhile

    def _load(self, request: LoadModel.Request, response: LoadModel.Response) -> LoadModel.Response:
        name = request.name or self._model_name
        try:
            model = self._loader.swap(name, request.path, request.success_threshold)
        except Exception as error:  # a back end may raise anything; the caller must be answered
            response.success, response.message = False, str(error)
            return response
        self._model_name = name
        response.success, response.model = True, model_to_msg(model.model_id)
        response.message = f"loaded, success from progress {self._lane.threshold:.3f} on"
        return response

    def _say(self, text: str, fault: bool) -> None:
        if self.context.ok():
            log = self.get_logger()
            log.error(text) if fault else log.info(text)

    def _complain(self, text: str) -> None:
        if not self.context.ok():
            return  # a worker met the end of ROS before its own
        self.get_logger().error(text, throttle_duration_sec=1.0)
        self._health.complain(text)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main(args: list[str] | None = None) -> int:
    """Run the reward node until it is interrupted; return the exit code."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    made: list[RewardNode] = []

    def reward_node() -> RewardNode:
        made.append(RewardNode())
        return made[0]

    code = run_node(reward_node, args)  # one thread for callbacks: they only store
    if made and made[0].computing:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # a library must not be taken down under a thread that computes in it
    return code


if __name__ == "__main__":
    sys.exit(main())
