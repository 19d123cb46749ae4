"""The one owner of the command topics: policy, person, reset and stop in; joint trajectory, gripper and Command out.

Its own process, without torch: nothing that learns or infers can delay it. It refuses to start without limits.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dopamine_msgs.msg import Command, FramePair, PolicyAction, ResetMotion
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Float64MultiArray, Header
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from dopamine_core.config import check, setting
from dopamine_core.control.command_core import CommandConfig, CommandCore, CommandTick
from dopamine_core.control.from_files import limits_for
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.limits import Limits, LimitsConfig
from dopamine_core.control.period import PeriodMeter
from dopamine_core.control.reset_motion import ResetConfig
from dopamine_core.control.teleop import HumanCommand, JoyMap, JoyTeleop, command_of_twist
from dopamine_core.errors import ConfigError, LimitsError
from dopamine_core.types import CommandSource
from dopamine_ros import names, qos
from dopamine_ros.convert import commands
from dopamine_ros.convert.stamps import to_ns
from dopamine_ros.diagnostics import ERROR, OK, STALE, WARN, Diagnostics
from dopamine_ros.parameters import declare
from dopamine_ros.priority import take_realtime
from dopamine_ros.run import run_node

_WATCH_S = 1.0
_LOGGED = (CommandSource.NONE, CommandSource.RESET, CommandSource.HUMAN, CommandSource.STOP)


@dataclass(frozen=True)
class RobotConfig:
    """Which arm is commanded."""

    urdf_path: str = setting("", doc="Robot description; empty: the suite's own arm.")
    tcp_frame: str = setting("tcp", doc="End-effector frame in the description.")
    base_frame: str = setting("base_link", doc="Frame of displacements and twists.")
    realtime_priority: int = setting(
        10,
        doc="Real-time priority of the process, where the system permits it; 0: none.",
        low=0,
        high=99,
    )

    def __post_init__(self) -> None:
        check(self)


class CommandNode(Node):
    """Feeds the command core from topics and publishes what each tick says.

    :raises LimitsError: when the limits are missing or contradict each other or the robot description.
    """

    def __init__(self) -> None:
        super().__init__("command_node")
        self._robot = declare(self, RobotConfig)
        limits, kinematics = self._limits()
        config = declare(self, CommandConfig)
        self._core = CommandCore(
            kinematics=kinematics,
            limits=limits,
            config=config,
            reset=declare(self, ResetConfig, "reset"),
        )
        self._joint_names = kinematics.joint_names
        self._joy_map = declare(self, JoyMap, "joy")
        self._teleop = JoyTeleop(self._joy_map)
        self._diagnostics = Diagnostics(self)
        self._period = PeriodMeter(round(config.tick_s * 1e9))
        self._source = CommandSource.NONE
        self._dropped: Counter[str] = Counter()
        self._open_outputs()
        self._open_inputs()
        self._wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(config.tick_s, self._tick)
        self.create_timer(_WATCH_S, self._watch, clock=self._wall)
        self._diagnostics.set(
            "limits", OK, "in force", {"workspace": limits.workspace_low_m.tolist()}
        )
        problem = take_realtime(self._robot.realtime_priority)
        self._diagnostics.set(
            "priority", OK, problem or "as asked", {"asked": self._robot.realtime_priority}
        )
        self.get_logger().info("ready")

    def _limits(self) -> tuple[Limits, Kinematics]:
        try:
            block = declare(self, LimitsConfig, "limits")
        except ConfigError as error:
            raise LimitsError(
                expected=error.expected,
                got=error.got,
                remedy="give --params-file config/limits.yaml",
            ) from error
        path = Path(self._robot.urdf_path) if self._robot.urdf_path else None
        kinematics = Kinematics(path, frame=self._robot.tcp_frame, joint_names=block.joint_names)
        return limits_for(block, kinematics), kinematics

    def _open_outputs(self) -> None:
        overrides = QoSOverridingOptions.with_default_policies()
        self._trajectory = self.create_publisher(
            JointTrajectory, names.JOINT_TRAJECTORY, qos.COMMANDS, qos_overriding_options=overrides
        )
        self._gripper = self.create_publisher(
            Float64MultiArray,
            names.GRIPPER_COMMANDS,
            qos.COMMANDS,
            qos_overriding_options=overrides,
        )
        self._executed = self.create_publisher(Command, names.COMMAND, qos.STREAM)

    def _open_inputs(self) -> None:
        overrides = QoSOverridingOptions.with_default_policies()
        self.create_subscription(
            JointState,
            names.JOINT_STATES,
            self._on_joints,
            qos.JOINT_STATES,
            qos_overriding_options=overrides,
        )
        self.create_subscription(PolicyAction, names.POLICY_ACTION, self._on_policy, qos.COMMANDS)
        self.create_subscription(Joy, names.JOY, self._on_joy, 5)
        self.create_subscription(TwistStamped, names.TELEOP_TWIST, self._on_twist_stamped, 5)
        self.create_subscription(Twist, names.TELEOP_TWIST_UNSTAMPED, self._on_twist, 5)
        self.create_subscription(ResetMotion, names.RESET_MOTION, self._on_reset, 5)
        # Raw: only the stamp is wanted, so the images are not unpacked.
        self.create_subscription(
            FramePair, names.FRAME_PAIRS, self._on_frames, qos.IMAGES, raw=True
        )
        self.create_service(Trigger, names.STOP, self._on_stop)
        self.create_service(Trigger, names.CLEAR_STOP, self._on_clear_stop)

    # --- in ------------------------------------------------------------------------------------------------------

    def _on_joints(self, message: JointState) -> None:
        problem = self._core.on_joint_state(commands.joint_sample_from_msg(message))
        if problem:
            self._drop("joint states", problem)

    def _on_policy(self, message: PolicyAction) -> None:
        problem = self._core.on_policy(commands.policy_action_from_msg(message), self._now())
        if problem:
            self._drop("policy", problem)

    def _on_joy(self, message: Joy) -> None:
        stamp_ns = to_ns(message.header.stamp) or self._now()
        command, stop = self._teleop.command(
            stamp_ns, message.axes, message.buttons, self._core.gripper
        )
        if stop:
            self._stop("the joystick's stop button")
        self._drive(command)

    def _on_twist(self, message: Twist) -> None:
        twist = commands.twist_from_msg(message)
        self._drive(command_of_twist(self._now(), twist, self._joy_map))

    def _on_twist_stamped(self, message: TwistStamped) -> None:
        stamp_ns = to_ns(message.header.stamp) or self._now()
        twist = commands.twist_from_msg(message.twist)
        self._drive(command_of_twist(stamp_ns, twist, self._joy_map))

    def _drive(self, command: HumanCommand) -> None:
        problem = self._core.on_human(command, self._now())
        if problem:
            self._drop("teleoperation", problem)

    def _on_reset(self, message: ResetMotion) -> None:
        try:
            target = commands.reset_target_from_msg(message, self._joint_names)
        except LimitsError as error:
            problem = self._core.refuse_reset(to_ns(message.header.stamp), str(error))
        else:
            problem = self._core.on_reset(target, self._now())
        if problem:
            self.get_logger().warning(f"reset refused: {problem}")

    def _on_frames(self, data: bytes) -> None:
        self._core.on_images(to_ns(deserialize_message(data, Header).stamp))

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._stop("command/stop")
        response.success, response.message = True, f"stopped by {self._core.stop_reason}"
        return response

    def _on_clear_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = (
            True,
            "cleared" if self._core.stopped else "it was not stopped",
        )
        self._core.clear_stop()
        return response

    def _stop(self, reason: str) -> None:
        self._core.stop(reason)
        self.get_logger().warning(f"stopped by {reason}; call {names.CLEAR_STOP} to go on")

    # --- out -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_ns = self._now()
        self._period.mark(now_ns)
        tick = self._core.tick(now_ns)
        if tick.points:
            self._trajectory.publish(commands.trajectory_to_msg(self._joint_names, tick.points))
        if tick.gripper is not None:
            self._gripper.publish(commands.gripper_to_msg(tick.gripper))
        self._executed.publish(commands.command_to_msg(tick.record, self._robot.base_frame))
        self._log_switch(tick)

    def _log_switch(self, tick: CommandTick) -> None:
        source, before = tick.record.source, self._source
        self._source = source
        if source is not before and (source in _LOGGED or before in _LOGGED):
            text = f": {tick.record.text}" if tick.record.text else ""
            message = f"{before.name.lower()} -> {source.name.lower()}{text}"
            if CommandSource.NONE in (source, before):  # may flutter: joint states come and go
                self.get_logger().info(message, throttle_duration_sec=_WATCH_S)
            else:
                self.get_logger().info(message)

    def _watch(self) -> None:
        self._watch_publishers()
        record_source = self._source.name.lower()
        if self._source is CommandSource.NONE:
            text = self._core.joint_problem(self._now())
            self._diagnostics.set("joint states", STALE, text or "fresh again", self._dropped)
        elif self._core.joint_text:
            self._diagnostics.set("joint states", WARN, self._core.joint_text, self._dropped)
        else:
            self._diagnostics.set("joint states", OK, "fresh", self._dropped)
        stopped = self._core.stop_reason
        self._diagnostics.set(
            "command",
            WARN if stopped else OK,
            f"stopped by {stopped}: call {names.CLEAR_STOP}" if stopped else record_source,
            {"source": record_source},
        )
        error = self._period.error()
        if error is not None:
            values = {
                "p50": f"{error.p50:.3f}",
                "p99": f"{error.p99:.3f}",
                "worst": f"{error.worst:.3f}",
            }
            late = error.p99 > 0.5
            text = "late: give this process a core, or raise its priority" if late else "kept"
            self._diagnostics.set("tick period", WARN if late else OK, text, values)

    def _watch_publishers(self) -> None:
        for publisher in (self._trajectory, self._gripper):
            strangers = self._strangers(publisher.topic_name)
            topic = publisher.topic_name
            if strangers:
                who = ", ".join(sorted(strangers))
                text = f"expected this node alone on {topic}, got also {who}: the controller obeys both; stop it"
                self._diagnostics.set(f"publishers of {topic}", ERROR, text, {"others": who})
            else:
                self._diagnostics.set(f"publishers of {topic}", OK, "this node alone")

    def _strangers(self, topic: str) -> list[str]:
        ours = (self.get_name(), self.get_namespace())
        others = []
        for info in self.get_publishers_info_by_topic(topic):
            owner = (info.node_name, info.node_namespace)
            if owner == ours:
                ours = ("", "")  # a second one with our name is a stranger too
            else:
                others.append(f"{info.node_namespace.rstrip('/')}/{info.node_name}")
        return others

    def _drop(self, what: str, problem: str) -> None:
        self._dropped[f"dropped {what}"] += 1
        self._diagnostics.set(
            f"dropped {what}", WARN, problem, {"count": self._dropped[f"dropped {what}"]}
        )

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; exit code 2 and a named error without usable limits."""
    return run_node(CommandNode, args)


if __name__ == "__main__":
    sys.exit(main())
