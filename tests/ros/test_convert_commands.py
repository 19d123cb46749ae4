"""Commands, actions, joints and reset requests survive their messages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dopamine_msgs.msg import Command, RewardStatus
from sensor_msgs.msg import JointState

from dopamine_core.control.command_core import TrajectoryPoint
from dopamine_core.control.reset_motion import ResetTarget
from dopamine_core.errors import LimitsError
from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    JointSample,
    LimitReason,
    PolicyAction,
    ResetState,
    Status,
)
from dopamine_ros.convert import commands

STAMP = 12_345_678_901
JOINTS = ("a", "b")


def same(left: object, right: object) -> None:
    assert type(left) is type(right)
    for name, value in vars(left).items():
        np.testing.assert_array_equal(value, getattr(right, name), err_msg=name)


@pytest.mark.parametrize("gripper", [0.3, math.nan])
def test_command(gripper: float) -> None:
    record = CommandRecord(
        stamp_ns=STAMP,
        source=CommandSource.POLICY,
        decision_stamp_ns=STAMP - 7,
        proposed=np.arange(6.0),
        executed=np.arange(6.0) / 3.0,
        gripper_proposed=1.0,
        gripper_executed=gripper,
        joint_names=JOINTS,
        joint_positions=np.array([0.1, -0.2]),
        reasons=LimitReason.STEP | LimitReason.TAKEN_OVER,
        text="why",
        reset_state=ResetState.DONE,
        reset_stamp_ns=STAMP - 9,
    )
    same(commands.command_from_msg(commands.command_to_msg(record)), record)


def test_a_silent_command() -> None:
    still = np.zeros(6)
    record = CommandRecord(STAMP, CommandSource.NONE, 0, still, still, math.nan, math.nan)
    back = commands.command_from_msg(commands.command_to_msg(record))
    assert back.joint_positions.size == 0 and back.joint_names == () and back.decision_stamp_ns == 0


def test_codes_of_the_message_and_the_core_are_the_same() -> None:
    for source in CommandSource:
        assert getattr(Command, f"SOURCE_{source.name}") == source
    for reason in LimitReason:
        assert getattr(Command, f"LIMIT_{reason.name}") == reason
    for state in ResetState:
        assert getattr(Command, f"RESET_{state.name}") == state
    for status in Status:
        assert getattr(RewardStatus, status.name) == status


def test_policy_action() -> None:
    action = PolicyAction(STAMP, "e", 3, np.arange(6.0), 0.5, 100_000_000, 4)
    same(commands.policy_action_from_msg(commands.policy_action_to_msg(action)), action)


@pytest.mark.parametrize("velocity", [None, np.array([0.5, 0.6])])
def test_joint_states(velocity: np.ndarray | None) -> None:
    sample = JointSample(STAMP, JOINTS, np.array([1.0, 2.0]), velocity)
    same(commands.joint_sample_from_msg(commands.joint_sample_to_msg(sample)), sample)


def test_uneven_joint_states_do_not_raise() -> None:
    sample = commands.joint_sample_from_msg(JointState(name=["a"], position=[]))
    assert sample.names == ("a",) and sample.position.size == 0


def test_trajectory_starts_on_arrival() -> None:
    points = [
        TrajectoryPoint(20_000_000, np.array([1.0, 2.0])),
        TrajectoryPoint(1_040_000_000, np.zeros(2)),
    ]
    message = commands.trajectory_to_msg(JOINTS, points)
    assert message.joint_names == ["a", "b"] and list(message.points[0].positions) == [1.0, 2.0]
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    last = message.points[1].time_from_start
    assert (last.sec, last.nanosec) == (1, 40_000_000)


def test_reset_target_in_any_joint_order() -> None:
    target = ResetTarget(STAMP, np.array([1.0, 2.0]), 0.05, 0.0)
    message = commands.reset_target_to_msg(target, JOINTS)
    same(commands.reset_target_from_msg(message, JOINTS), target)
    np.testing.assert_array_equal(
        commands.reset_target_from_msg(message, ("b", "a")).positions, [2.0, 1.0]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"joint_names": ["a", "c"]},
        {"joint_names": ["a"]},
        {"joint_positions": [1.0]},
        {"joint_positions": [1.0, math.nan]},
        {"retract_m": -0.1},
        {"retract_m": math.inf},
    ],
)
def test_an_unusable_reset_request_is_refused(change: dict[str, object]) -> None:
    message = commands.reset_target_to_msg(ResetTarget(STAMP, np.array([1.0, 2.0])), JOINTS)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(LimitsError):
        commands.reset_target_from_msg(message, JOINTS)
