"""The policy moves the arm: spread over its ticks, inside every limit, or dropped by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dopamine_core.control.command_core import CommandConfig, CommandCore, CommandTick
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.types import CommandSource, JointSample, LimitReason
from tests.core.control.lagging_arm import TICK_NS, Arm, sources, total

KINEMATICS = Kinematics()
DOWN = np.array([0.0, 0.0, -0.01, 0.0, 0.0, 0.0])
FORWARD = np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0])  # twist


@pytest.fixture
def arm() -> Arm:
    return Arm(KINEMATICS)


@pytest.mark.parametrize(
    "displacement",
    [
        [0.01, 0, -0.005, 0, 0, 0],
        [0, -0.01, 0, 0, 0, 0.1],
        [0, 0, 0, 0.05, 0.05, 0],
        [0, 0, 0, 0, 0, 0],
    ],
)
def test_a_displacement_is_executed_in_its_five_ticks_and_not_beyond(
    arm: Arm, displacement: list[float]
) -> None:
    arm.tick()
    stamp = arm.now_ns
    assert arm.act(displacement) == ""
    ticks = arm.ticks(8)
    assert sources(ticks) == [CommandSource.POLICY] * 5 + [CommandSource.HOLD] * 3
    np.testing.assert_allclose(total(ticks[:5]), displacement, atol=1e-4)
    np.testing.assert_allclose(total(ticks[5:]), 0.0, atol=1e-12)
    assert {tick.record.decision_stamp_ns for tick in ticks[:5]} == {stamp}
    assert {tick.record.decision_stamp_ns for tick in ticks[5:]} == {0}
    assert all(tick.record.reasons == LimitReason.NONE for tick in ticks[:5])
    assert all(LimitReason.STALE_POLICY in tick.record.reasons for tick in ticks[5:])


def test_two_points_one_and_two_periods_ahead(arm: Arm) -> None:
    arm.tick()
    arm.act(DOWN)
    ticks = arm.ticks(6)
    for tick in ticks:
        assert [point.time_from_start_ns for point in tick.points] == [TICK_NS, 2 * TICK_NS]
        np.testing.assert_array_equal(tick.points[0].positions, tick.record.joint_positions)
    for now, after in zip(ticks[:4], ticks[1:5], strict=True):
        np.testing.assert_allclose(now.points[1].positions, after.points[0].positions, atol=1e-3)
    for tick in ticks[4:]:  # the motion ends: silence must mean stop
        np.testing.assert_array_equal(tick.points[0].positions, tick.points[1].positions)


def test_a_stream_of_actions_with_jitter_loses_nothing(arm: Arm) -> None:
    rng = np.random.default_rng(0)
    arm.tick()
    done: list[CommandTick] = []
    step = np.array([0.004, 0.0, -0.002, 0.0, 0.0, 0.0])
    for _ in range(20):
        arm.act(step)
        done += arm.ticks(int(rng.integers(4, 7)))
    done += arm.ticks(6)
    moved = [tick for tick in done if tick.record.source is CommandSource.POLICY]
    stamps = [tick.record.decision_stamp_ns for tick in moved]
    assert all(stamps.count(stamp) == 5 for stamp in set(stamps))
    np.testing.assert_allclose(total(done), step * len(set(stamps)), atol=1e-3)


@pytest.mark.parametrize(
    ("displacement", "gripper", "age_ns", "reason"),
    [
        ([math.nan, 0, 0, 0, 0, 0], 1.0, 0, LimitReason.NON_FINITE),
        ([math.inf, 0, 0, 0, 0, 0], 1.0, 0, LimitReason.NON_FINITE),
        ([0, 0, 0], 1.0, 0, LimitReason.NON_FINITE),
        ([0.01, 0, 0, 0, 0, 0], math.nan, 0, LimitReason.NON_FINITE),
        ([0.01, 0, 0, 0, 0, 0], 1.0, 400_000_000, LimitReason.STALE_POLICY),
        ([0.01, 0, 0, 0, 0, 0], 1.0, -200_000_000, LimitReason.STALE_POLICY),
    ],
)
def test_an_unusable_action_is_dropped_and_named(
    arm: Arm, displacement: list[float], gripper: float, age_ns: int, reason: LimitReason
) -> None:
    arm.tick()
    before = arm.q.copy()
    text = arm.act(displacement, gripper, age_ns=age_ns)
    ticks = arm.ticks(5)
    assert text and text in ticks[0].record.text
    assert reason in ticks[0].record.reasons
    assert sources(ticks) == [CommandSource.HOLD] * 5
    np.testing.assert_allclose(arm.q, before, atol=1e-9)


@pytest.mark.parametrize("age_ns", [0, 50_000_000])
def test_a_repeated_or_overtaken_action_is_not_executed_again(arm: Arm, age_ns: int) -> None:
    """A displacement is executed once: a resent message must not keep the arm moving."""
    arm.tick()
    stamp_ns = arm.now_ns
    assert arm.act(DOWN) == ""
    moved = total(arm.ticks(5))
    for _ in range(3):
        text = arm.act(DOWN, age_ns=arm.now_ns - stamp_ns + age_ns)
        assert "newer than the last" in text
        ticks = arm.ticks(3)
        assert text in ticks[0].record.text
        assert LimitReason.STALE_POLICY in ticks[0].record.reasons
        assert not np.any(total(ticks))
    np.testing.assert_allclose(moved, DOWN, atol=1e-3)


def test_a_restarted_clock_does_not_lock_the_policy_out(arm: Arm) -> None:
    arm.tick()
    arm.act(DOWN)
    arm.ticks(5)
    arm.now_ns -= 500_000_000
    arm.tick()
    assert arm.act(DOWN) == ""
    assert CommandSource.POLICY in sources(arm.ticks(3))


@pytest.mark.parametrize("period_ns", [0, -100_000_000, 600_000_000, 3_600_000_000_000])
def test_a_period_that_makes_no_sense_is_dropped(arm: Arm, period_ns: int) -> None:
    arm.tick()
    assert "period" in arm.act(DOWN, period_ns=period_ns)
    assert sources(arm.ticks(2)) == [CommandSource.HOLD] * 2


def test_a_long_step_is_cut_and_said(arm: Arm) -> None:
    arm.tick()
    arm.act([0.1, 0, 0, 0, 0, 0])
    ticks = arm.ticks(5)
    assert all(LimitReason.STEP in tick.record.reasons for tick in ticks)
    np.testing.assert_allclose(np.sum([tick.record.proposed for tick in ticks], axis=0)[0], 0.1)
    assert 0.01 < total(ticks)[0] <= 0.02 * (1 + 1e-3)


def test_the_workspace_is_never_left_and_the_border_does_not_stick(arm: Arm) -> None:
    reasons = LimitReason.NONE
    for _ in range(40):
        arm.act([0, 0, -0.02, 0, 0, 0])
        for tick in arm.ticks(5):
            reasons |= tick.record.reasons
            for point in tick.points:
                assert KINEMATICS.forward(point.positions).position[2] >= 0.05 - 6e-4
    assert LimitReason.WORKSPACE in reasons
    assert arm.position()[2] == pytest.approx(0.05, abs=2e-3)
    arm.act([0, 0.01, 0.01, 0, 0, 0])
    np.testing.assert_allclose(total(arm.ticks(5))[:3], [0, 0.01, 0.01], atol=1e-3)


def test_joint_limits_are_kept() -> None:
    upper = KINEMATICS.upper_rad.copy()
    upper[0] = 0.05  # the first joint ends just left of the middle
    arm = Arm(KINEMATICS, joint_upper_rad=upper)
    reasons = LimitReason.NONE
    for _ in range(15):
        arm.act([0, 0.02, 0, 0, 0, 0])
        for tick in arm.ticks(5):
            reasons |= tick.record.reasons
            assert all(point.positions[0] <= 0.05 + 1e-12 for point in tick.points)
    assert LimitReason.JOINT_POSITION in reasons
    assert arm.q[0] > 0.04


def test_joint_velocity_is_kept() -> None:
    arm = Arm(
        KINEMATICS, max_joint_velocity_rad_s=np.full(6, 0.1), max_lead_m=0.1, max_lead_rad=1.0
    )
    arm.tick()
    before = arm.tick().points[0].positions
    arm.act([0, 0.02, 0, 0, 0, 0.1])
    for tick in arm.ticks(5):
        now = tick.points[0].positions
        assert np.max(np.abs(now - before)) <= 0.1 * 0.02 * (1 + 1e-6)
        assert LimitReason.JOINT_VELOCITY in tick.record.reasons
        before = now


def test_out_of_reach_is_refused_and_named() -> None:
    arm = Arm(
        KINEMATICS,
        workspace_low_m=np.array([0.1, -1.5, 0.02]),
        workspace_high_m=np.array([1.5, 1.5, 1.5]),
    )
    reasons = LimitReason.NONE
    for _ in range(60):
        arm.act([0.02, 0, 0, 0, 0, 0])
        for tick in arm.ticks(5):
            reasons |= tick.record.reasons
            assert np.all(np.isfinite(tick.points[0].positions))
    assert reasons & (LimitReason.UNREACHABLE | LimitReason.JOINT_POSITION)
    x = arm.position()[0]
    arm.act([-0.02, 0, 0, 0, 0, 0])
    arm.ticks(10)
    assert arm.position()[0] < x - 0.005  # and the way back is open, if slow near the singularity


def test_pushing_against_something_keeps_a_bounded_lead() -> None:
    arm = Arm(KINEMATICS, follow=0.0)  # the arm is stuck
    lead = 0.0
    for _ in range(20):
        arm.act([0, 0, -0.02, 0, 0, 0])
        for tick in arm.ticks(5):
            commanded = KINEMATICS.forward(tick.points[0].positions).position
            lead = float(np.linalg.norm(commanded - arm.position()))
            assert lead <= 0.015 + 5e-4
    assert lead > 0.012
    assert LimitReason.STEP in tick.record.reasons


def test_the_gripper_is_silent_until_asked_and_then_keeps_its_level(arm: Arm) -> None:
    tick = arm.tick()
    assert tick.gripper is None and math.isnan(tick.record.gripper_executed)
    arm.act(DOWN, gripper=1.7)
    tick = arm.tick()
    assert tick.gripper == 1.0 and tick.record.gripper_proposed == 1.7
    assert all(tick.gripper == 1.0 for tick in arm.ticks(20))
    for _ in range(5):
        arm.drive([0] * 6, gripper=0.0)
        tick = arm.tick()
    assert tick.gripper == 0.0


def test_a_person_without_authority_does_not_move_the_gripper(arm: Arm) -> None:
    arm.drive([0] * 6, dead_man=False, gripper=1.0)
    arm.core.stop("test")
    arm.drive([0] * 6, gripper=1.0)
    assert all(tick.gripper is None for tick in arm.ticks(10))


def test_the_measured_gripper_is_known_before_anybody_asks(arm: Arm) -> None:
    config = CommandConfig(gripper_joint="finger", gripper_open=0.04, gripper_closed=0.0)
    core = CommandCore(kinematics=KINEMATICS, limits=arm.limits, config=config)
    names = (*KINEMATICS.joint_names, "finger")
    core.on_joint_state(JointSample(arm.now_ns, names, np.array([*arm.q, 0.01])))
    tick = core.tick(arm.now_ns)
    assert tick.gripper is None and tick.record.gripper_executed == pytest.approx(0.75)
