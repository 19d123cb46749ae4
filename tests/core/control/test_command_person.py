"""A person drives: takes over, rests, lets go."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.teleop import HumanCommand
from dopamine_core.types import CommandSource, LimitReason
from tests.core.control.lagging_arm import Arm, sources, total

KINEMATICS = Kinematics()
DOWN = np.array([0.0, 0.0, -0.01, 0.0, 0.0, 0.0])
FORWARD = np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0])  # twist


@pytest.fixture
def arm() -> Arm:
    return Arm(KINEMATICS)


def test_a_person_takes_over_from_the_policy_and_it_is_said(arm: Arm) -> None:
    arm.tick()
    done = []
    for index in range(25):
        if index % 5 == 0:
            arm.act(DOWN)
        if index >= 10:
            arm.drive(FORWARD)
        done.append(arm.tick())
    assert sources(done[:12]) == [CommandSource.POLICY] * 12  # two ticks of hysteresis
    assert sources(done[12:]) == [CommandSource.HUMAN] * 13
    assert all(LimitReason.TAKEN_OVER in tick.record.reasons for tick in done[12:])
    np.testing.assert_allclose(total(done[12:])[0], 13 * 0.002, atol=1e-3)


def test_letting_go_rests_before_the_policy_goes_on(arm: Arm) -> None:
    arm.tick()
    for _ in range(5):
        arm.drive(FORWARD)
        arm.tick()
    arm.drive([0.1, 0, 0, 0, 0, 0], dead_man=False)
    done = []
    for index in range(30):
        if index % 5 == 0:
            arm.act(DOWN)
        done.append(arm.tick())
    rest = sources(done).count(CommandSource.HUMAN)
    assert rest == 19  # 0.4 s
    np.testing.assert_allclose(total(done[:rest]), 0.0, atol=1e-12)
    assert sources(done[rest:])[1:].count(CommandSource.POLICY) >= 5


def test_a_gap_in_the_stream_releases_the_dead_man(arm: Arm) -> None:
    for _ in range(5):
        arm.drive(FORWARD)
        arm.tick()
    ticks = arm.ticks(60)
    moving = [bool(np.any(tick.record.executed)) for tick in ticks]
    assert all(moving[:14]) and not any(moving[16:])
    assert sources(ticks)[-1] is CommandSource.HOLD


@pytest.mark.parametrize(("ahead_ns", "word"), [(10**9, "future"), (-(10**9), "old")])
def test_a_stick_on_another_clock_moves_nothing_and_is_named(
    arm: Arm, ahead_ns: int, word: str
) -> None:
    arm.tick()
    for _ in range(10):
        twist = np.array([0.05, 0, 0, 0, 0, 0])
        command = HumanCommand(arm.now_ns + ahead_ns, twist, dead_man=True)
        assert word in arm.core.on_human(command, arm.now_ns)
        record = arm.tick().record
        assert record.source is CommandSource.HOLD and word in record.text
        assert not np.any(record.executed)


def test_a_stick_held_through_a_stop_must_be_let_go_before_it_moves_the_arm(arm: Arm) -> None:
    arm.tick()

    def drive(count: int, dead_man: bool = True) -> list[CommandSource]:
        ticks = []
        for _ in range(count):
            arm.drive(FORWARD, dead_man=dead_man)
            ticks.append(arm.tick())
        return sources(ticks)

    assert CommandSource.HUMAN in drive(10)
    arm.core.stop("test")
    assert set(drive(10)) == {CommandSource.STOP}
    arm.core.clear_stop()
    assert set(drive(50)) == {CommandSource.HOLD}
    drive(3, dead_man=False)
    assert CommandSource.HUMAN in drive(10)
    arm.core.clear_stop()  # nothing was stopped: nothing changes
    assert set(drive(5)) == {CommandSource.HUMAN}


def test_a_broken_twist_rests(arm: Arm) -> None:
    for _ in range(5):
        arm.drive([math.nan, 0, 0, 0, 0, 0])
        tick = arm.tick()
    assert (
        tick.record.source is CommandSource.HUMAN and LimitReason.NON_FINITE in tick.record.reasons
    )
    np.testing.assert_allclose(arm.q, arm.home)


def test_an_idle_second_device_does_not_disturb_the_first(arm: Arm) -> None:
    for _ in range(6):
        arm.drive(FORWARD)
        arm.core.on_human(HumanCommand(arm.now_ns, np.zeros(6), device="twist"), arm.now_ns)
        tick = arm.tick()
    assert tick.record.source is CommandSource.HUMAN and tick.record.executed[0] > 0.0015
