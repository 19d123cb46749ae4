"""Commands, policy actions, joint states, teleoperation and reset requests between messages and the core."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dopamine_msgs.msg import Command as CommandMsg
from dopamine_msgs.msg import PolicyAction as PolicyActionMsg
from dopamine_msgs.msg import ResetMotion as ResetMotionMsg
from geometry_msgs.msg import Twist
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dopamine_core.control.command_core import TrajectoryPoint
from dopamine_core.control.reset_motion import ResetTarget
from dopamine_core.episodes import decode
from dopamine_core.types import (
    CommandRecord,
    JointSample,
    PolicyAction,
)
from dopamine_ros.convert.stamps import duration_from_ns, from_ns, to_ns


def command_to_msg(record: CommandRecord, frame_id: str = "base_link") -> CommandMsg:
    """Return the message of one tick."""
    message = CommandMsg(
        source=int(record.source),
        decision_stamp=from_ns(record.decision_stamp_ns),
        proposed=np.asarray(record.proposed, dtype=np.float64),
        executed=np.asarray(record.executed, dtype=np.float64),
        gripper_proposed=float(record.gripper_proposed),
        gripper_executed=float(record.gripper_executed),
        joint_names=list(record.joint_names),
        joint_positions=np.asarray(record.joint_positions, dtype=np.float64).tolist(),
        limit_reasons=int(record.reasons),
        reset_state=int(record.reset_state),
        reset_stamp=from_ns(record.reset_stamp_ns),
        text=record.text,
    )
    message.header.stamp = from_ns(record.stamp_ns)
    message.header.frame_id = frame_id
    return message


def command_from_msg(message: CommandMsg) -> CommandRecord:
    """Return the tick of a message.

    :raises ValueError: when a code is not one of ``dopamine_msgs/Command``.
    """
    return decode.command(message)


def policy_action_to_msg(action: PolicyAction, frame_id: str = "base_link") -> PolicyActionMsg:
    """Return the message of a policy action."""
    message = PolicyActionMsg(
        episode_id=action.episode_id,
        index=action.index,
        displacement=np.asarray(action.displacement, dtype=np.float64),
        gripper=float(action.gripper),
        period=duration_from_ns(action.period_ns),
        policy_version=action.policy_version,
    )
    message.header.stamp = from_ns(action.decision_stamp_ns)
    message.header.frame_id = frame_id
    return message


def policy_action_from_msg(message: PolicyActionMsg) -> PolicyAction:
    """Return the action of a message, unchecked: the command core refuses what it cannot execute."""
    return PolicyAction(
        decision_stamp_ns=to_ns(message.header.stamp),
        episode_id=message.episode_id,
        index=message.index,
        displacement=np.array(message.displacement, dtype=np.float64),
        gripper=message.gripper,
        period_ns=to_ns(message.period),
        policy_version=message.policy_version,
    )


def joint_sample_from_msg(message: JointState) -> JointSample:
    """Return the joint states of a message, unchecked; velocity is None when it is empty."""
    return decode.joints(message)


def joint_sample_to_msg(sample: JointSample) -> JointState:
    """Return the message of joint states."""
    message = JointState(name=list(sample.names), position=sample.position.tolist())
    if sample.velocity is not None:
        message.velocity = sample.velocity.tolist()
    message.header.stamp = from_ns(sample.stamp_ns)
    return message


def twist_from_msg(message: Twist) -> np.ndarray:
    """Return (6,) m/s and rad/s."""
    linear, angular = message.linear, message.angular
    return np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])


def trajectory_to_msg(
    joint_names: Sequence[str], points: Sequence[TrajectoryPoint]
) -> JointTrajectory:
    """Return the trajectory of one tick; stamp zero lets the controller start it on arrival."""
    return JointTrajectory(
        joint_names=list(joint_names),
        points=[
            JointTrajectoryPoint(
                positions=point.positions.tolist(),
                time_from_start=duration_from_ns(point.time_from_start_ns),
            )
            for point in points
        ],
    )


def gripper_to_msg(level: float) -> Float64MultiArray:
    """Return the gripper command, 0 open ... 1 closed."""
    return Float64MultiArray(data=[float(level)])


def reset_target_to_msg(target: ResetTarget, joint_names: Sequence[str]) -> ResetMotionMsg:
    """Return the message of a reset request.

    :param joint_names: in the order of the target's positions.
    """
    message = ResetMotionMsg(
        joint_names=list(joint_names),
        joint_positions=target.positions.tolist(),
        retract_m=float(target.retract_m),
        gripper=float(target.gripper),
    )
    message.header.stamp = from_ns(target.stamp_ns)
    return message


def reset_target_from_msg(message: ResetMotionMsg, joint_names: Sequence[str]) -> ResetTarget:
    """Return the reset request of a message.

    :param joint_names: the arm's joints in the kinematics' order.
    :raises LimitsError: when joints are missing, unknown or not finite.
    """
    return ResetTarget.of_names(
        to_ns(message.header.stamp),
        message.joint_names,
        message.joint_positions,
        joint_names=joint_names,
        retract_m=message.retract_m,
        gripper=message.gripper,
    )
