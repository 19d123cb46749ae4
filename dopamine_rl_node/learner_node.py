"""Episodes of the stream and train requests come in; policy versions, status and checkpoints go out.

A process of its own at low priority: the only one on the robot that imports torch beside the reward model's.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rclpy
import torch
from dopamine_msgs.action import Train
from dopamine_msgs.msg import (
    Command,
    Decision,
    Episode,
    EpisodePotentials,
    LearnerStatus,
    PolicyWeights,
    Potential,
    Progress,
    RewardStatus,
)
from dopamine_msgs.msg import FramePair as FramePairMsg
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from dopamine_core.config import check, setting
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.episodes.assembler import AssemblerConfig, EpisodeAssembler
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.errors import DopamineError
from dopamine_core.reward.models.nano import SHIPPED
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.rl.action_space import ActionSpace, ActionSpaceConfig
from dopamine_core.rl.calql import AgentConfig
from dopamine_core.rl.encoder import FrozenEncoder
from dopamine_core.rl.learner import Learner, LearnerConfig
from dopamine_core.rl.observation import ObservationBuilder, ObservationConfig
from dopamine_core.rl.policy import PolicyInfo
from dopamine_core.rl.status import Phase
from dopamine_core.rl.transitions import TransitionConfig, observe
from dopamine_core.types import EpisodeKind, FramePair
from dopamine_rl_node.frame_store import FrameStore
from dopamine_rl_node.learner_worker import LearnerWorker, TrainJob, TrainRequest, WorkerConfig
from dopamine_rl_node.present_model import PresentModel
from dopamine_rl_node.relabelled_episodes import RelabelledEpisodes
from dopamine_ros import names, qos
from dopamine_ros.convert.commands import command_from_msg, joint_sample_from_msg
from dopamine_ros.convert.episodes import episode_from_msg
from dopamine_ros.convert.images import frame_pair_from_msg
from dopamine_ros.convert.learner import policy_to_msg, status_to_msg
from dopamine_ros.convert.reward import (
    decision_from_msg,
    model_from_msg,
    potential_from_msg,
    potential_set_from_msg,
)
from dopamine_ros.diagnostics import ERROR, OK, WARN, Diagnostics
from dopamine_ros.parameters import declare
from dopamine_ros.tolerance import tolerant

# Deeper than the cameras' own: on a busy machine this process runs last, and a lost frame costs a transition.
FRAMES = QoSProfile(depth=90, reliability=ReliabilityPolicy.BEST_EFFORT)
LIVE, RELABELLED = "live", "relabelled"
FEEDBACK_S = 0.2
POP_S = 0.2


@dataclass(frozen=True)
class LearnerNodeConfig:
    """Where things lie, and how politely the process runs."""

    directory: str = setting("runs/learner", doc="Run folder: checkpoints go to its 'checkpoints'.")
    seed: int = setting(0, doc="Of weights, batches and sampled actions.", low=0)
    encoder_path: str = setting("", doc="Frozen image encoder (ONNX); empty: the nano encoder.")
    encoder_name: str = setting("nano", doc="Its name.")
    urdf_path: str = setting("", doc="Robot description; empty: the suite's own arm.")
    tcp_frame: str = setting("tcp", doc="End-effector frame in the description.")
    niceness: int = setting(
        12, doc="Niceness of the process, if it was started with less.", low=0, high=19
    )
    threads: int = setting(1, doc="Threads of torch.", low=1, high=64)
    max_goals: int = setting(
        3, doc="Goal images for relabelling; must equal the demo node's.", low=1, high=16
    )

    labels: str = setting(
        LIVE,
        doc="Which potentials are learned from: the reward node's live ones, or those of the relabel node, "
        "episode by episode once they are whole.",
        choices=(LIVE, RELABELLED),
    )

    def __post_init__(self) -> None:
        check(self)


class LearnerNode(Node):
    """Feeds the assembler and the learning thread, and publishes what the thread says.

    :raises DopamineError: when the encoder cannot be loaded.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("learner_node", **node_arguments)
        self._config = declare(self, LearnerNodeConfig)
        self._agent = declare(self, AgentConfig, "agent")
        self._learner = declare(self, LearnerConfig, "learner")
        self._shaping = declare(self, ShapingConfig, "shaping")
        self._transitions = declare(self, TransitionConfig, "transitions")
        self._space = ActionSpace(declare(self, ActionSpaceConfig, "action"))
        self._builder = self._make_builder(declare(self, ObservationConfig, "observation"))
        self._assembler = EpisodeAssembler(declare(self, AssemblerConfig, "assembler"))
        self._frames = FrameStore(_unpack)
        directory = Path(self._config.directory).absolute()
        self._present = PresentModel([directory], max_goals=self._config.max_goals)
        self._relabelled = RelabelledEpisodes(self._complain)
        self._worker = self._make_worker(directory, declare(self, WorkerConfig, "worker"))
        self._diagnostics = Diagnostics(self)
        self._publish()
        self._subscribe()
        self._worker.start()
        self.get_logger().info("ready")

    def close(self) -> None:
        """Stop the learning thread; call before the node is destroyed."""
        self._worker.stop()

    # --- parts ---------------------------------------------------------------------------------------------------

    def _make_builder(self, config: ObservationConfig) -> ObservationBuilder:
        path = self._config.encoder_path or SHIPPED / "encoder.onnx"
        encoder = FrozenEncoder(Path(path), name=self._config.encoder_name)
        urdf = Path(self._config.urdf_path) if self._config.urdf_path else None
        return ObservationBuilder(encoder, Kinematics(urdf, frame=self._config.tcp_frame), config)

    def _make_worker(self, directory: Path, config: WorkerConfig) -> LearnerWorker:
        relabelled = self._config.labels == RELABELLED
        return LearnerWorker(
            config,
            make=self._make_learner,
            load=self._relabelled.load if relabelled else self._load,
            late=self._relabelled.next if relabelled else lambda: None,
            begin=self._relabelled.begin,
            observe=lambda episode: observe(episode, self._builder, self._space),
            root=directory / "checkpoints",
            on_policy=self._send_policy,
            on_change=self._send_status,
            complain=self._complain,
        )

    def _make_learner(self) -> Learner:
        space = self._space.config
        info = PolicyInfo(
            encoder_name=self._builder.encoder.name,
            encoder_sha256=self._builder.encoder.sha256,
            observation=self._builder.layout,
            axes=space.axes,
            max_step_m=space.max_step_m,
            max_step_rad=space.max_step_rad,
        )
        return Learner(
            info,
            agent=self._agent,
            config=self._learner,
            shaping=self._shaping,
            transitions=self._transitions,
            blocks=self._builder.blocks,
            floor=self._builder.floor,
            seed=self._config.seed,
        )

    def _load(self, paths: list[str], wait: Callable[[str], None]) -> list[EpisodeData]:
        return self._present.bring_up_to_date([load_episode(Path(path)) for path in paths])

    def _publish(self) -> None:
        self._policies = self.create_publisher(PolicyWeights, names.POLICY_WEIGHTS, qos.LATCHED)
        self._statuses = self.create_publisher(LearnerStatus, names.LEARNER_STATUS, 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._tell, clock=steady)
        self._server = ActionServer(
            self,
            Train,
            names.TRAIN,
            self._execute,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
        )

    def _subscribe(self) -> None:
        if self._config.labels == RELABELLED:
            self._subscribe_relabelled()
            return
        group = MutuallyExclusiveCallbackGroup()  # one thread at a time in the assembler
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(POP_S, self._pop, callback_group=group, clock=steady)
        listened: tuple[tuple[Any, str, Any, Any], ...] = (
            (Decision, names.DECISION, self._on_decision, qos.STREAM),
            (Command, names.COMMAND, self._on_command, qos.STREAM),
            (Potential, names.POTENTIAL, self._on_potential, qos.STREAM),
            (Episode, names.EPISODE, self._on_episode, qos.LATCHED),
            (JointState, names.JOINT_STATES, self._on_joints, FRAMES),
            (Progress, names.PROGRESS, self._on_progress, 1),
        )
        for kind, topic, callback, profile in listened:
            guarded = tolerant(callback, self._complain_of)
            self.create_subscription(kind, topic, guarded, profile, callback_group=group)
        frames = tolerant(self._on_frames, self._complain_of)
        self.create_subscription(
            FramePairMsg, names.FRAME_PAIRS, frames, FRAMES, callback_group=group, raw=True
        )

    def _subscribe_relabelled(self) -> None:
        """Episodes are read from their recordings; only their ends and their potentials are heard."""
        group = MutuallyExclusiveCallbackGroup()
        listened: tuple[tuple[Any, str, Any, Any], ...] = (
            (Episode, names.EPISODE, self._on_closed, qos.LATCHED),
            (EpisodePotentials, names.RELABELLED, self._on_relabelled, qos.RELABELLED),
        )
        for kind, topic, callback, profile in listened:
            guarded = tolerant(callback, self._complain_of)
            self.create_subscription(kind, topic, guarded, profile, callback_group=group)

    # --- in ------------------------------------------------------------------------------------------------------

    def _on_decision(self, message: Decision) -> None:
        decision = decision_from_msg(message)
        pair = self._frames.claim(decision)
        if pair is not None:
            self._assembler.add_pair(pair)
        self._assembler.add_decision(decision)

    def _on_frames(self, data: bytes) -> None:
        stamp = deserialize_message(data, Header).stamp
        pair = self._frames.put(stamp.sec * 1_000_000_000 + stamp.nanosec, data)
        if pair is not None:
            self._assembler.add_pair(pair)

    def _on_command(self, message: Command) -> None:
        self._assembler.add_command(command_from_msg(message))

    def _on_joints(self, message: JointState) -> None:
        self._assembler.add_joints(joint_sample_from_msg(message))

    def _on_potential(self, message: Potential) -> None:
        potential = potential_from_msg(message)
        if potential.reading.ok:
            self._present.heard = potential.model
        self._assembler.add_potential(potential)

    def _on_progress(self, message: Progress) -> None:
        if message.model.sha256:
            self._present.heard = model_from_msg(message.model)

    def _on_episode(self, message: Episode) -> None:
        self._assembler.on_episode(episode_from_msg(message))

    def _on_closed(self, message: Episode) -> None:
        self._relabelled.on_episode(episode_from_msg(message))
        self._worker.look()

    def _on_relabelled(self, message: EpisodePotentials) -> None:
        if message.status.code == RewardStatus.OK:
            self._relabelled.on_set(potential_set_from_msg(message))
        else:
            self._relabelled.on_refusal(episode_from_msg(message.episode), message.status.text)
        self._worker.look()

    def _pop(self) -> None:
        for episode in self._assembler.pop_ready(self.get_clock().now().nanoseconds):
            if episode.info.kind is EpisodeKind.ROLLOUT:
                self._worker.put_episode(episode)

    def _execute(self, goal: ServerGoalHandle) -> Train.Result:
        request = goal.request
        job = self._worker.train(
            TrainRequest(
                tuple(request.bag_paths),
                int(request.gradient_steps),
                bool(request.then_online),
                request.resume_from,
            )
        )
        while not job.done.wait(FEEDBACK_S):
            if goal.is_cancel_requested:
                job.cancel.set()
            self._feed_back(goal, job)
        return self._result(goal, job)

    # --- out -----------------------------------------------------------------------------------------------------

    def _feed_back(self, goal: ServerGoalHandle, job: TrainJob) -> None:
        state = self._worker.state
        feedback = Train.Feedback(gradient_steps=state.gradient_steps, fraction=job.fraction)
        health = state.health  # none before the first updates
        feedback.critic_loss = math.nan if health is None else health.critic_loss
        feedback.actor_loss = math.nan if health is None else health.actor_loss
        goal.publish_feedback(feedback)

    def _result(self, goal: ServerGoalHandle, job: TrainJob) -> Train.Result:
        result = Train.Result(
            gradient_steps=self._worker.state.gradient_steps, checkpoint=job.checkpoint
        )
        if job.error is not None:
            result.code, result.message = Train.Result.FAILED, str(job.error)
            if not goal.request.bag_paths and not goal.request.resume_from:
                result.code = Train.Result.NO_DATA
            goal.abort()
        elif job.cancelled:
            result.code, result.message = (
                Train.Result.CANCELLED,
                "cancelled; the checkpoint is kept",
            )
            goal.canceled() if goal.is_cancel_requested else goal.abort()
        else:
            result.code = Train.Result.OK
            goal.succeed()
        return result

    def _send_policy(self, version: int, data: bytes) -> None:
        self._policies.publish(policy_to_msg(version, data, self._now_ns()))
        self.get_logger().info(f"policy {version} after {self._worker.state.gradient_steps} steps")

    def _send_status(self) -> None:
        state = self._worker.state
        waiting = [self._relabelled.waiting_for(), state.waiting_for]
        if state.phase in (Phase.IDLE, Phase.WAITING):
            state = replace(state, waiting_for="; ".join(filter(None, waiting)))
        self._statuses.publish(status_to_msg(state, self._now_ns()))

    def _tell(self) -> None:
        self._send_status()
        state = self._worker.state
        warnings = "; ".join(state.health.warnings) if state.health else ""
        failed = state.phase.name == "FAILED"
        level = ERROR if failed else WARN if warnings else OK
        text = state.waiting_for if failed else warnings or state.phase.name.lower()
        self._diagnostics.set(
            "learner", level, text, {"gradient steps": state.gradient_steps, **vars(state.counts)}
        )

    def _complain(self, text: str) -> None:
        self.get_logger().warning(text)

    def _complain_of(self, kind: str, text: str) -> None:
        """Name a message that made no sense and was dropped."""
        self._diagnostics.set(f"dropped {kind}", WARN, text)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def _unpack(data: bytes) -> FramePair:
    return frame_pair_from_msg(deserialize_message(data, FramePairMsg))


def main(args: Sequence[str] | None = None) -> int:
    """Run the learner until it is interrupted; exit code 2 and a named error when it cannot start."""
    rclpy.init(args=list(args) if args is not None else None)
    executor = MultiThreadedExecutor(num_threads=3)
    node: LearnerNode | None = None
    try:
        node = LearnerNode()
        os.nice(max(0, node._config.niceness - os.nice(0)))
        torch.set_num_threads(node._config.threads)
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except DopamineError as error:
        rclpy.logging.get_logger("learner_node").fatal(f"{type(error).__name__}: {error}")
        return 2
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
