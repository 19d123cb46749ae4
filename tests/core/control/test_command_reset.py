"""The way home: straight up, then in joint space, watched."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.types import CommandSource, ResetState
from tests.core.control.lagging_arm import Arm, sources

KINEMATICS = Kinematics()
DOWN = np.array([0.0, 0.0, -0.01, 0.0, 0.0, 0.0])
FORWARD = np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0])  # twist


@pytest.fixture
def arm() -> Arm:
    return Arm(KINEMATICS)


def away(arm: Arm) -> None:
    for _ in range(8):
        arm.act([0.01, 0.015, -0.01, 0, 0, 0])
        arm.ticks(5)
    arm.ticks(10)


def test_reset_goes_up_then_home_and_says_done(arm: Arm) -> None:
    arm.tick()
    away(arm)
    start = arm.position()
    assert arm.go_home(gripper=0.0) == ""
    stamp = arm.now_ns
    ticks, highest_aside = [], 0.0
    for _ in range(600):
        ticks.append(arm.tick())
        rise = arm.position()[2] - start[2]
        if rise < 0.02:
            highest_aside = max(highest_aside, float(np.linalg.norm((arm.position() - start)[:2])))
        if ticks[-1].record.reset_state is not ResetState.ACTIVE:
            break
    assert ticks[-1].record.reset_state is ResetState.DONE and "reset done" in ticks[-1].record.text
    assert ticks[-1].record.reset_stamp_ns == stamp
    assert set(sources(ticks)) == {CommandSource.RESET}
    assert highest_aside < 2e-3  # straight up first
    np.testing.assert_allclose(arm.q, arm.home, atol=0.03)
    assert all(tick.gripper == 0.0 for tick in ticks)
    after = arm.ticks(3)
    assert set(sources(after)) == {CommandSource.HOLD}
    assert after[-1].record.reset_state is ResetState.DONE


def test_reset_speed_is_capped(arm: Arm) -> None:
    arm.tick()
    away(arm)
    before = arm.tick().points[0].positions
    arm.go_home()
    for _ in range(400):
        now = arm.tick().points[0].positions
        assert np.max(np.abs(now - before)) <= 1.5 * 0.02 * (1 + 1e-6)
        before = now


def test_the_policy_does_not_disturb_a_reset(arm: Arm) -> None:
    arm.tick()
    away(arm)
    arm.go_home()
    for _ in range(20):
        arm.act([0.02, 0, 0, 0, 0, 0])
        assert arm.tick().record.source is CommandSource.RESET


@pytest.mark.parametrize("how", ["stop", "drive", "blind", "again"])
def test_an_interrupted_reset_is_reported_as_failed(arm: Arm, how: str) -> None:
    arm.tick()
    away(arm)
    arm.go_home()
    arm.ticks(5)
    states, text = [], ""
    for _ in range(20):
        if how == "stop":
            arm.core.stop("test")
        elif how == "drive":
            arm.drive(FORWARD)
        elif how == "again" and not states:
            arm.go_home(retract_m=-0.01, positions=np.full(6, 9.0))
        tick = arm.tick(sense=how != "blind")
        states.append(tick.record.reset_state)
        text += tick.record.text
    assert states[-1] is ResetState.FAILED and "reset failed" in text


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"positions": np.full(6, 9.0)}, "joint limits"),
        ({"positions": np.full(6, np.nan)}, "finite"),
        ({"positions": np.zeros(3)}, "6 finite"),
        ({"positions": np.zeros(6)}, "workspace"),
    ],
)
def test_an_impossible_home_is_refused(arm: Arm, changes: dict[str, object], word: str) -> None:
    arm.tick()
    assert word in arm.go_home(**changes)
    tick = arm.tick()
    assert tick.record.reset_state is ResetState.FAILED and word in tick.record.text
    assert tick.record.source is CommandSource.HOLD


def test_an_arm_that_does_not_follow_is_not_pushed_home() -> None:
    arm = Arm(KINEMATICS, follow=0.5)
    arm.tick()
    away(arm)
    arm.follow = 0.0
    arm.go_home(retract_m=0.0)
    for _ in range(300):
        tick = arm.tick()
        if tick.points:
            commanded = KINEMATICS.forward(tick.points[0].positions).position
            assert np.linalg.norm(commanded - arm.position()) < 0.03
        if tick.record.reset_state is ResetState.FAILED:
            break
    assert tick.record.reset_state is ResetState.FAILED and "does not follow" in tick.record.text
