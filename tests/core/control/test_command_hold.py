"""Hold, silence and stop: latched once, never a jump."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.types import CommandSource, JointSample, LimitReason
from tests.core.control.lagging_arm import TICK_NS, Arm, sources, total

KINEMATICS = Kinematics()
DOWN = np.array([0.0, 0.0, -0.01, 0.0, 0.0, 0.0])
FORWARD = np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0])  # twist


@pytest.fixture
def arm() -> Arm:
    return Arm(KINEMATICS)


def test_a_hold_is_latched_once_though_the_arm_sags(arm: Arm) -> None:
    arm.tick()
    arm.act(DOWN)
    arm.ticks(5)
    held = arm.tick().points[0].positions
    for index in range(50):
        arm.q = arm.q + 1e-4 * np.array([0, 1, 0, 0, 0, 0]) * (index % 2)  # gravity
        np.testing.assert_array_equal(arm.tick().points[0].positions, held)


def test_many_short_holds_do_not_creep() -> None:
    arm = Arm(KINEMATICS)
    sag = np.array([0, 0.01, 0, 0, 0, 0])
    arm.tick()
    start = arm.tick().points[0].positions
    for _ in range(30):
        arm.act([0, 0, 0, 0, 0, 0])
        for _ in range(7):
            arm.q = arm.q + sag * 0.5
            end = arm.tick().points[0].positions
    np.testing.assert_allclose(end, start, atol=1e-4)


def test_the_first_command_is_where_the_arm_stands(arm: Arm) -> None:
    tick = arm.tick()
    assert tick.record.source is CommandSource.HOLD
    np.testing.assert_array_equal(tick.points[0].positions, arm.home)


def test_stale_joint_states_mean_silence(arm: Arm) -> None:
    arm.tick()
    arm.act([0.01, 0, 0, 0, 0, 0])
    ticks = arm.ticks(14, sense=False)
    assert [len(tick.points) for tick in ticks] == [2] * 10 + [0] * 4
    for tick in ticks[10:]:
        assert tick.record.source is CommandSource.NONE
        assert LimitReason.STALE_JOINT_STATES in tick.record.reasons
        assert (
            tick.gripper is None
            and tick.record.joint_positions.size == 0
            and tick.record.joint_names == ()
        )
        assert "joint states" in tick.record.text
    arm.q = arm.q + 0.1  # moved by hand in the dark
    tick = arm.tick()
    np.testing.assert_allclose(tick.points[0].positions, arm.q)


def test_silence_before_the_first_joint_states(arm: Arm) -> None:
    tick = arm.core.tick(arm.now_ns)
    assert tick.points == () and tick.record.source is CommandSource.NONE


@pytest.mark.parametrize(
    ("names", "positions", "word"),
    [
        (KINEMATICS.joint_names, [math.nan] * 6, "joint_1"),
        (KINEMATICS.joint_names, [0, 0, math.inf, 0, 0, 0], "joint_3"),
        ((), [0.0] * 6, "0 names"),
        ((), [], "no names"),
        (("a", "b"), [0.0, 0.0], "joint_1"),
    ],
)
def test_broken_joint_states_are_named_and_age_into_silence(
    arm: Arm, names: tuple[str, ...], positions: list[float], word: str
) -> None:
    arm.tick()
    for _ in range(12):
        arm.now_ns += TICK_NS
        text = arm.core.on_joint_state(JointSample(arm.now_ns, names, np.array(positions)))
        assert word in text and arm.core.joint_text == text
        tick = arm.core.tick(arm.now_ns)
    assert tick.record.source is CommandSource.NONE


@pytest.mark.parametrize(("stamp", "word"), [(0, "zero"), (10**12, "future"), (1, "old")])
def test_joint_states_without_a_usable_stamp_are_not_trusted_and_named(
    arm: Arm, stamp: int, word: str
) -> None:
    arm.core.on_joint_state(JointSample(stamp, KINEMATICS.joint_names, arm.q))
    assert arm.core.tick(arm.now_ns).record.source is CommandSource.NONE
    assert word in arm.core.joint_problem(arm.now_ns)
    arm.tick()
    assert arm.core.joint_problem(arm.now_ns) == ""


def test_joint_order_and_further_joints_do_not_matter(arm: Arm) -> None:
    names = ("finger", *reversed(KINEMATICS.joint_names))
    arm.core.on_joint_state(JointSample(arm.now_ns, names, np.array([0.3, *arm.q[::-1]])))
    np.testing.assert_array_equal(arm.core.tick(arm.now_ns).points[0].positions, arm.q)


def test_stale_images_hold_the_policy_but_not_the_person(arm: Arm) -> None:
    arm.tick()
    reasons = LimitReason.NONE
    for index in range(50):
        arm.now_ns += TICK_NS
        arm.core.on_joint_state(JointSample(arm.now_ns, KINEMATICS.joint_names, arm.q))
        if index % 5 == 0:
            arm.act([0.001, 0, 0, 0, 0, 0])
        tick = arm.core.tick(arm.now_ns)
        if index > 26:
            assert tick.record.source is CommandSource.HOLD
            reasons |= tick.record.reasons
    assert LimitReason.STALE_IMAGES in reasons
    arm.drive(FORWARD)
    for _ in range(5):
        arm.now_ns += TICK_NS
        arm.core.on_joint_state(JointSample(arm.now_ns, KINEMATICS.joint_names, arm.q))
        arm.drive(FORWARD)
        tick = arm.core.tick(arm.now_ns)
    assert tick.record.source is CommandSource.HUMAN and tick.record.executed[0] > 0


def test_stop_is_latched_goes_to_the_measured_pose_and_beats_everybody(arm: Arm) -> None:
    arm.tick()
    arm.act([0.02, 0, 0, 0, 0, 0])
    arm.ticks(3)
    measured = arm.q.copy()
    arm.core.stop("button")
    for _ in range(20):
        arm.act(DOWN)
        arm.drive(FORWARD)
        tick = arm.tick()
        assert (
            tick.record.source is CommandSource.STOP and LimitReason.STOPPED in tick.record.reasons
        )
        np.testing.assert_array_equal(tick.record.proposed, 0.0)
    np.testing.assert_allclose(tick.points[0].positions, measured, atol=1e-9)
    assert arm.core.stopped and arm.core.stop_reason == "button"
    assert "button" in arm.go_home()
    arm.drive([0] * 6, dead_man=False)
    arm.core.clear_stop()
    ticks = arm.ticks(30)
    assert set(sources(ticks)) <= {CommandSource.HOLD, CommandSource.HUMAN}
    np.testing.assert_allclose(total(ticks), 0.0, atol=1e-12)  # nothing from before goes on


def test_a_clock_that_jumps_back_moves_nothing(arm: Arm) -> None:
    arm.tick()
    arm.act(DOWN)
    arm.tick()
    tick = arm.core.tick(arm.now_ns - 10**9)  # the joint states now lie in the future
    assert tick.record.source is CommandSource.NONE


def test_a_late_tick_does_not_leap(arm: Arm) -> None:
    arm.tick()
    arm.act([0.02, 0, 0, 0, 0, 0])
    arm.now_ns += 4 * TICK_NS
    arm.sense()
    assert arm.core.tick(arm.now_ns).record.executed[0] <= 0.02 * 0.3 + 1e-6
