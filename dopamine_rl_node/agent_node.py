"""Frame pairs, joints, potentials and policy weights in; decisions at 10 Hz and their policy actions out.

Its own process, without torch. Features are computed by a worker while the label lane works on the potential.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from dopamine_msgs.msg import (
    Command,
    Decision,
    Episode,
    FramePair,
    PolicyAction,
    PolicyWeights,
    Potential,
)
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState

import dopamine_core.reward.models as shipped_models
from dopamine_core.config import check, setting
from dopamine_core.control.kinematics import ARM_JOINTS, Kinematics
from dopamine_core.control.period import PeriodMeter
from dopamine_core.rl.action_space import ActionSpace
from dopamine_core.rl.decision_maker import DecisionConfig, DecisionMaker
from dopamine_core.rl.encoder import FrozenEncoder
from dopamine_core.rl.observation import ObservationBuilder, ObservationConfig
from dopamine_core.rl.policy import ActingConfig, OnnxPolicy
from dopamine_core.rl.remembering_encoder import RememberingEncoder
from dopamine_core.types import EpisodeInfo, EpisodeState
from dopamine_ros import names, qos
from dopamine_ros.convert import commands
from dopamine_ros.convert.episodes import episode_from_msg
from dopamine_ros.convert.images import frame_pair_from_msg
from dopamine_ros.convert.learner import policy_from_msg
from dopamine_ros.convert.reward import decision_to_msg, potential_from_msg
from dopamine_ros.diagnostics import OK, WARN, Diagnostics
from dopamine_ros.parameters import declare
from dopamine_ros.priority import take_realtime
from dopamine_ros.run import run_node
from dopamine_ros.tolerance import said_of

M = TypeVar("M")
T = TypeVar("T")
_RETRY_S = 0.005
_WATCH_S = 1.0
SHIPPED_ENCODER = Path(shipped_models.__file__).parent / "nano_weights" / "encoder.onnx"


@dataclass(frozen=True)
class AgentNodeConfig:
    """What the agent is built of."""

    urdf_path: str = setting("", doc="Robot description; empty: the suite's own arm.")
    tcp_frame: str = setting("tcp", doc="End-effector frame in the description.")
    joint_names: tuple[str, ...] = setting(ARM_JOINTS, doc="Arm joints in the description.")
    encoder_path: str = setting("", doc="Image encoder in ONNX; empty: the shipped nano encoder.")
    encoder_name: str = setting("nano", doc="How the encoder is called.")
    realtime_priority: int = setting(
        5,
        doc="Real-time priority of the process, where the system permits it; 0: none.",
        low=0,
        high=99,
    )

    def __post_init__(self) -> None:
        check(self)


class AgentNode(Node):
    """Feeds the decision maker from topics and publishes decisions and actions.

    :raises DopamineError: when encoder, robot description or settings cannot be used.
    """

    def __init__(self) -> None:
        super().__init__("agent_node")
        self._config = declare(self, DecisionConfig)
        self._acting = declare(self, ActingConfig)
        node_config = declare(self, AgentNodeConfig)
        self._encoder, builder = self._builder(node_config)
        self._maker = DecisionMaker(self._config, builder)
        self._joined_ns = self.get_clock().now().nanoseconds
        self._weights: PolicyWeights | None = None
        self._diagnostics = Diagnostics(self)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._decisions = self.create_publisher(Decision, names.DECISION, qos.STREAM)
        self._actions = self.create_publisher(PolicyAction, names.POLICY_ACTION, qos.COMMANDS)
        self._subscribe()
        self.create_timer(self._config.decision_s, self._decide)
        self._release = self.create_timer(
            max(self._config.release_s, 1e-3), self._act, autostart=False
        )
        self._retry = self.create_timer(_RETRY_S, self._act, autostart=False)
        self.create_timer(_WATCH_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))
        problem = take_realtime(node_config.realtime_priority)
        asked = {"asked": node_config.realtime_priority}
        self._diagnostics.set("priority", OK, problem or "as asked", asked)
        self.get_logger().info("ready")

    def _builder(self, config: AgentNodeConfig) -> tuple[RememberingEncoder, ObservationBuilder]:
        urdf = Path(config.urdf_path) if config.urdf_path else None
        kinematics = Kinematics(urdf, frame=config.tcp_frame, joint_names=config.joint_names)
        path = Path(config.encoder_path) if config.encoder_path else SHIPPED_ENCODER
        encoder = RememberingEncoder(FrozenEncoder(path, name=config.encoder_name))
        settings = declare(self, ObservationConfig, "observation")
        return encoder, ObservationBuilder(encoder, kinematics, settings)

    def _subscribe(self) -> None:
        self.create_subscription(FramePair, names.FRAME_PAIRS, self._on_pair, qos.IMAGES)
        self.create_subscription(JointState, names.JOINT_STATES, self._on_joints, qos.JOINT_STATES)
        self.create_subscription(Command, names.COMMAND, self._on_command, qos.STREAM)
        self.create_subscription(Potential, names.POTENTIAL, self._on_potential, qos.STREAM)
        self.create_subscription(PolicyWeights, names.POLICY_WEIGHTS, self._on_weights, qos.LATCHED)
        self.create_subscription(Episode, names.EPISODE, self._on_episode, qos.LATCHED)

    # --- in ------------------------------------------------------------------------------------------------------

    def _on_pair(self, message: FramePair) -> None:
        self._take(frame_pair_from_msg, message, self._maker.on_pair)

    def _on_joints(self, message: JointState) -> None:
        self._take(commands.joint_sample_from_msg, message, self._maker.on_joints)

    def _on_command(self, message: Command) -> None:
        self._take(commands.command_from_msg, message, self._maker.on_command)

    def _on_potential(self, message: Potential) -> None:
        self._take(potential_from_msg, message, self._maker.on_potential)

    def _on_episode(self, message: Episode) -> None:
        self._take(episode_from_msg, message, self._follow)

    def _take(self, convert: Callable[[M], T], message: M, use: Callable[[T], None]) -> None:
        """Convert and use a message; one that makes no sense is named and dropped."""
        try:
            use(convert(message))
        except Exception as error:  # the edge of the process: no message may end it
            kind = type(message).__name__
            self._diagnostics.set(f"dropped {kind}", WARN, said_of(kind, error))

    def _on_weights(self, message: PolicyWeights) -> None:
        self._weights = message
        if not self._maker.busy:
            self._take_weights()

    def _take_weights(self) -> None:
        """Load the newest weights; between episodes only, because loading delays decisions."""
        message, self._weights = self._weights, None
        if message is None:
            return
        try:
            self._maker.on_policy(self._load(message), message.version)
        except Exception as error:  # bytes that are no policy of ours may raise anything
            self.get_logger().error(f"policy {message.version} is not used: {error}")
            self._diagnostics.set("weights", WARN, f"policy {message.version} is not used: {error}")
        else:
            self._diagnostics.set("weights", OK, f"policy {message.version} came last")

    def _load(self, message: PolicyWeights) -> OnnxPolicy:
        """Load a policy and let it act once: what cannot act is refused now, not in an episode."""
        data = policy_from_msg(message).data
        policy = OnnxPolicy.from_bytes(data, self._acting, self._config.seed)
        unit = policy.act(np.zeros(policy.observation_size, np.float32), greedy=True)
        ActionSpace(policy.info.action_space).to_action(unit, 0.0)
        return policy

    def _follow(self, info: EpisodeInfo) -> None:
        missed = info.state is EpisodeState.OPEN and info.start_ns < self._joined_ns - 10**9
        if missed and not self._maker.busy:
            text = f"{info.episode_id} began before this node: waiting for the next"
            self._diagnostics.set("episode", WARN, text)
            return
        was_busy = self._maker.busy
        self._maker.on_episode(info)
        if not self._maker.busy:
            self._take_weights()
        if self._maker.busy != was_busy:
            state = (
                f"acting in {info.episode_id}" if self._maker.busy else "no episode of ours is open"
            )
            self._diagnostics.set("episode", OK, f"{state}, policy {self._maker.version}")

    # --- out -----------------------------------------------------------------------------------------------------

    def _decide(self) -> None:
        decision = self._maker.decide(self.get_clock().now().nanoseconds)
        pending = self._maker.pending
        if decision is None or pending is None:
            return
        self._decisions.publish(decision_to_msg(decision))
        self._worker.submit(self._encoder.look, pending.pair)
        self._retry.cancel()
        self._release.reset()

    def _act(self) -> None:
        self._release.cancel()
        action = self._maker.act(self.get_clock().now().nanoseconds)
        if action is not None:
            self._actions.publish(commands.policy_action_to_msg(action))
        if self._maker.pending is None:
            self._retry.cancel()
        elif self._retry.is_canceled():
            self._retry.reset()

    def _watch(self) -> None:
        maker = self._maker
        counts = {name: count for name, count in sorted(maker.counts.items())}
        waiting = maker.busy and maker.problem
        self._diagnostics.set(
            "decisions",
            WARN if waiting else OK,
            maker.problem or "acting",
            {"policy": maker.version, **counts},
        )
        self._say_period("decision period", maker.decision_period)
        self._say_period("action period", maker.action_period)

    def _say_period(self, name: str, meter: PeriodMeter) -> None:
        error = meter.error()
        if error is None:
            return
        values = {
            "p50": f"{error.p50:.4f}",
            "p99": f"{error.p99:.4f}",
            "worst": f"{error.worst:.4f}",
            "intervals": error.intervals,
        }
        late = error.p99 > 0.15
        text = "error over 15 %: give the agent a core or raise decision_s" if late else "kept"
        self._diagnostics.set(name, WARN if late else OK, text, values)

    def destroy_node(self) -> None:
        """End the worker with the node."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        super().destroy_node()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; exit code 2 and a named error when it cannot be set up."""
    return run_node(AgentNode, args)


if __name__ == "__main__":
    sys.exit(main())
