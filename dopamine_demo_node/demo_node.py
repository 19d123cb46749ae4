"""Buttons, keys, services, actions and the graph's events come in; the state of the episode, its
recording and the decisions of demonstrations go out. The one authority on episodes.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

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
from dopamine_msgs.srv import LoadModel, ResetScene, SetTask
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import JointState

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.reset_motion import ResetTarget
from dopamine_core.control.teleop import JoyMap
from dopamine_core.episodes.keyframes import KeyframeConfig
from dopamine_core.episodes.recorder import RecorderConfig
from dopamine_core.episodes.recovery import recover_folder
from dopamine_core.episodes.tape import TapeConfig
from dopamine_core.errors import EpisodeError
from dopamine_core.types import EpisodeInfo, EpisodeKind, Outcome, OutcomeSource
from dopamine_demo_node.actions import Actions
from dopamine_demo_node.adapting import Adapting
from dopamine_demo_node.asking import Asking
from dopamine_demo_node.authority import Authority
from dopamine_demo_node.deciding import Deciding
from dopamine_demo_node.desk import Desk
from dopamine_demo_node.jobs import JobsNode
from dopamine_demo_node.practising import Practising
from dopamine_demo_node.recording import Finished, Recording
from dopamine_demo_node.references import ReferenceKeeper
from dopamine_demo_node.resetting import Resetter
from dopamine_demo_node.senses import Senses
from dopamine_demo_node.services import Services
from dopamine_demo_node.settings import AdaptSettings, DemoNodeConfig, ResetSettings
from dopamine_demo_node.swapping import Swapper
from dopamine_demo_node.watch import Watch
from dopamine_ros import names, qos
from dopamine_ros.convert.commands import (
    command_from_msg,
    joint_sample_from_msg,
    reset_target_to_msg,
)
from dopamine_ros.convert.episodes import episode_to_msg
from dopamine_ros.convert.reward import decision_to_msg, success_from_msg
from dopamine_ros.convert.stamps import to_ns
from dopamine_ros.diagnostics import ERROR, OK, WARN, Diagnostics
from dopamine_ros.parameters import declare
from dopamine_ros.run import run_node
from dopamine_ros.tolerance import tolerant


class DemoNode(Node):
    """The demo node: streams, timers and the episode's state; a second node serves the jobs."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("demo_node", **node_arguments)
        self._jobs = JobsNode("demo_node_jobs")
        self._config = declare(self, DemoNodeConfig)
        self._folder = Path(self._config.directory).expanduser().resolve()
        self._diagnostics = Diagnostics(self)
        self._senses = Senses(self._now_ns)
        self._publish()
        self._recover()
        self._compose()
        self._subscribe()
        if self._config.set_task:
            self._references.restore(self._folder / "episodes")
        self._authority.tell()
        self._jobs.start()
        self.get_logger().info("ready")

    def destroy_node(self) -> None:
        """End what is open, finish the recordings and leave the graph."""
        with contextlib.suppress(EpisodeError):
            text = "the demo node was shut down"
            self._authority.close(Outcome.SAFETY_ABORT, OutcomeSource.SAFETY, text=text)
        self._recording.stop()
        self._jobs.destroy_node()
        super().destroy_node()

    def _publish(self) -> None:
        self._episodes = self.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self._decisions = self.create_publisher(Decision, names.DECISION, qos.STREAM)
        self._resets = self.create_publisher(ResetMotion, names.RESET_MOTION, qos.COMMANDS)

    def _recover(self) -> None:
        """Make whole what a crash cut short."""
        for recovery in recover_folder(self._folder / "episodes"):
            self.get_logger().warning(recovery.text)

    def _compose(self) -> None:
        """Wire the parts; each does one job and knows nothing of ROS topics."""
        asking = Asking(self._jobs)
        for kind, name in (
            (SetTask, names.SET_TASK),
            (LoadModel, names.LOAD_MODEL),
            (ResetScene, names.RESET_SCENE),
        ):
            asking.add(kind, name)
        self._references = ReferenceKeeper(asking, self._config.max_goals, self._on_references)
        self._recording = Recording(
            now_ns=self._now_ns,
            recorder=declare(self, RecorderConfig, "recorder"),
            tape=declare(self, TapeConfig, "tape"),
            keyframes=declare(self, KeyframeConfig, "keyframes"),
            on_finished=self._on_finished,
        )
        self._authority = Authority(
            now_ns=self._now_ns,
            folder=self._folder / "episodes",
            tell=self._tell,
            may_open=self._may_open,
        )
        desk = Desk(self._authority, self._recording, self._config.task)
        self._deciding = Deciding(self._senses, self._config.frame_max_age_s)
        self._watch = Watch(
            authority=self._authority,
            senses=self._senses,
            recording=self._recording,
            config=self._config,
            say=self.get_logger().warning,
        )
        Services(self._jobs, desk, declare(self, JoyMap, "joy"))
        self._serve_jobs(asking, desk)

    def _serve_jobs(self, asking: Asking, desk: Desk) -> None:
        kinematics = Kinematics()
        self._joint_names = kinematics.joint_names
        resetter = Resetter(
            settings=declare(self, ResetSettings, "reset"),
            kinematics=kinematics,
            senses=self._senses,
            asking=asking,
            desk=desk,
            send=self._send_home,
            listened=lambda: self._resets.get_subscription_count() > 0,
            now_ns=self._now_ns,
        )
        adapt = declare(self, AdaptSettings, "adapt")
        Actions(
            self._jobs,
            now_ns=self._now_ns,
            authority=self._authority,
            desk=desk,
            recording=self._recording,
            resetter=resetter,
            practising=Practising(
                config=self._config,
                authority=self._authority,
                desk=desk,
                recording=self._recording,
                resetter=resetter,
                senses=self._senses,
            ),
            adapting=Adapting(adapt, self._folder / "models", self._folder / "episodes"),
            swapper=Swapper(adapt, self._authority, asking, self._references),
        )

    def _subscribe(self) -> None:
        group = MutuallyExclusiveCallbackGroup()  # keeps the order of messages
        listen = [
            (FramePair, names.FRAME_PAIRS, self._on_pair, qos.IMAGES),
            (JointState, names.JOINT_STATES, self._on_joints, qos.JOINT_STATES),
            (Command, names.COMMAND, self._on_command, qos.STREAM),
            (Decision, names.DECISION, self._recording.on_decision, qos.STREAM),
            (Potential, names.POTENTIAL, self._recording.on_potential, qos.STREAM),
            (Reward, names.REWARD, self._recording.on_reward, qos.STREAM),
            (Success, names.SUCCESS, self._on_success, qos.STREAM),
            (PolicyWeights, names.POLICY_WEIGHTS, self._on_weights, qos.LATCHED),
        ]
        for kind, topic, callback, profile in listen:
            self._listen(kind, topic, callback, profile, group)
        self.create_timer(self._config.decision_period_s, self._decide, callback_group=group)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(
            self._config.watch_period_s, self._watch.look, callback_group=group, clock=steady
        )

    def _listen(
        self,
        kind: type,
        topic: str,
        callback: Any,
        profile: QoSProfile,
        group: MutuallyExclusiveCallbackGroup,
    ) -> None:
        self.create_subscription(
            kind,
            topic,
            tolerant(callback, self._on_nonsense),
            profile,
            callback_group=group,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    # --- in -------------------------------------------------------------------------------------

    def _on_pair(self, message: FramePair) -> None:
        front, wrist = message.front.header.stamp, message.wrist.header.stamp
        self._senses.on_frames((to_ns(front), to_ns(wrist)))
        self._recording.on_pair(message)

    def _on_joints(self, message: JointState) -> None:
        self._senses.on_joints(joint_sample_from_msg(message))
        self._recording.on_joints(message)

    def _on_command(self, message: Command) -> None:
        record = command_from_msg(message)
        self._recording.on_command(message)
        self._watch.on_command(self._senses.on_command(record), record)

    def _on_success(self, message: Success) -> None:
        """The reward node saw success: that ends rollouts and evaluations, not demonstrations."""
        event, episode_id = success_from_msg(message)
        info = self._authority.info
        if info.kind is EpisodeKind.DEMONSTRATION or info.episode_id != episode_id:
            return
        try:
            self._authority.close(
                Outcome.SUCCESS,
                OutcomeSource.REWARD_NODE,
                episode_id=episode_id,
                success_ns=event.stamp_ns,
                text=f"progress {event.progress:.2f} >= {event.threshold:.2f}",
            )
        except EpisodeError as error:
            self.get_logger().info(f"success of {episode_id} came late: {error}")

    def _on_nonsense(self, kind: str, text: str) -> None:
        """A message made no sense and was dropped."""
        self._diagnostics.set(f"dropped {kind}", WARN, text)
        self.get_logger().warning(text, throttle_duration_sec=1.0)

    def _on_weights(self, message: PolicyWeights) -> None:
        self._senses.policy_version = message.version

    def _on_finished(self, finished: Finished) -> None:
        """A recording ended, or was corrected."""
        name = finished.info.episode_id
        if finished.text:
            self._diagnostics.set("recording", ERROR, finished.text)
            self.get_logger().error(f"{name}: {finished.text}")
        else:
            self._diagnostics.set("recording", OK, f"{name} saved", {"path": finished.path})
        if finished.info.kept and finished.path is not None and self._config.set_task:
            self._references.learn(finished.path)

    def _on_references(self, ok: bool, text: str) -> None:
        self._diagnostics.set("task", OK if ok else WARN, text)
        (self.get_logger().info if ok else self.get_logger().warning)(text)

    # --- out ------------------------------------------------------------------------------------

    def _tell(self, info: EpisodeInfo) -> None:
        """Publish and record a state of the episode; called under the authority's lock."""
        if self.context.ok():  # not while shutting down; the recording still gets it
            self._episodes.publish(episode_to_msg(info))
        self._recording.on_episode(info)
        text = f"{info.kind.name.lower()} {info.state.name.lower()} {info.outcome.name.lower()}"
        self._diagnostics.set("episode", OK, text, {"episode_id": info.episode_id})

    def _decide(self) -> None:
        info = self._authority.info
        if not self._authority.is_open or info.kind is not EpisodeKind.DEMONSTRATION:
            return
        decision = self._deciding.decide(info, self._now_ns())
        if decision is not None:
            self._decisions.publish(decision_to_msg(decision))

    def _send_home(self, target: ResetTarget) -> None:
        self._resets.publish(reset_target_to_msg(target, self._joint_names))

    def _may_open(self) -> None:
        """Refuse to open an episode that could not run.

        :raises EpisodeError: when the command path is stopped.
        """
        if self._senses.stopped:
            raise EpisodeError(
                expected="a command path that is not stopped",
                got="a latched stop",
                remedy="call command/clear_stop",
            )

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main(args: list[str] | None = None) -> int:
    """Run the demo node until it is interrupted; return the exit code."""
    return run_node(DemoNode, args)


if __name__ == "__main__":
    sys.exit(main())
