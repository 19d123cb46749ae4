"""The controller's rules as a table, its interpolation as laws; facts seen on ros2_controllers 4.46."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.errors import CellError
from dopamine_sim.joint_trajectory_controller import JointTrajectoryController, Point, Rejection

NAMES = ("a", "b")
MS = 1_000_000
NOW = 1_000_000_000


def controller() -> JointTrajectoryController:
    return JointTrajectoryController(NAMES, np.zeros(2))


def point(ms: float, *positions: float, velocities: tuple[float, ...] = ()) -> Point:
    return Point(int(ms * MS), positions, velocities)


GOOD = [point(100, 1.0, 2.0)]


@pytest.mark.parametrize(
    ("names", "points", "stamp_ns", "expected"),
    [
        (NAMES, GOOD, 0, Rejection.NONE),
        (("b", "a"), GOOD, 0, Rejection.NONE),
        (("a", "elbow"), GOOD, 0, Rejection.UNKNOWN_JOINT),
        (("a",), [point(100, 1.0)], 0, Rejection.INCOMPLETE_JOINTS),
        (("a", "a"), GOOD, 0, Rejection.INCOMPLETE_JOINTS),
        ((), GOOD, 0, Rejection.INCOMPLETE_JOINTS),
        (NAMES, [], 0, Rejection.NO_POINTS),
        (NAMES, [point(100, 1, 2), point(100, 1, 2)], 0, Rejection.TIMES_NOT_INCREASING),
        (NAMES, [point(100, 1, 2), point(50, 1, 2)], 0, Rejection.TIMES_NOT_INCREASING),
        (NAMES, [point(-1, 1, 2)], 0, Rejection.TIMES_NOT_INCREASING),
        (NAMES, [point(100, 1.0)], 0, Rejection.WRONG_SIZE),
        (NAMES, [point(100)], 0, Rejection.WRONG_SIZE),
        (NAMES, [point(100, 1, 2, velocities=(0.0,))], 0, Rejection.WRONG_SIZE),
        (NAMES, [Point(MS, (1, 2), effort=(1, 1))], 0, Rejection.WRONG_SIZE),
        (NAMES, [point(100, 1, 2, velocities=(0.1, 0.0))], 0, Rejection.NONZERO_END_VELOCITY),
        (NAMES, [point(100, float("nan"), 2)], 0, Rejection.NOT_FINITE),
        (NAMES, [point(100, 1, float("inf"))], 0, Rejection.NOT_FINITE),
        (NAMES, [point(100, 1, 2, velocities=(float("nan"), 0.0))], 0, Rejection.NOT_FINITE),
        (NAMES, GOOD, NOW - 200 * MS, Rejection.IN_THE_PAST),
        (NAMES, GOOD, NOW - 50 * MS, Rejection.NONE),
        (NAMES, GOOD, NOW + 50 * MS, Rejection.NONE),
        (NAMES, [point(0, 1, 2)], 0, Rejection.NONE),
    ],
)
def test_what_is_ignored(names: tuple, points: list, stamp_ns: int, expected: Rejection) -> None:
    arm = controller()
    verdict = arm.submit(names, points, stamp_ns, NOW)
    assert verdict.rejection is expected
    if not verdict.accepted:
        assert arm.update(NOW + 500 * MS).position.tolist() == [0.0, 0.0]


def test_names_in_another_order_reach_their_joints() -> None:
    arm = controller()
    arm.submit(("b", "a"), GOOD, 0, NOW)
    arm.update(NOW)
    assert arm.update(NOW + 100 * MS).position.tolist() == [2.0, 1.0]


def test_a_rejected_trajectory_leaves_the_running_one_alone() -> None:
    arm = controller()
    arm.submit(NAMES, GOOD, 0, NOW)
    arm.update(NOW)
    arm.submit(NAMES, [], 0, NOW + 10 * MS)
    assert arm.update(NOW + 100 * MS).position.tolist() == [1.0, 2.0]


def test_silence_holds_the_last_point_at_rest() -> None:
    arm = controller()
    arm.submit(NAMES, GOOD, 0, NOW)
    arm.update(NOW)
    for ms in (100, 1000, 10**6):
        state = arm.update(NOW + ms * MS)
        assert state.position.tolist() == [1.0, 2.0] and not state.velocity.any()


def test_a_new_trajectory_starts_from_the_desired_state() -> None:
    arm = controller()
    arm.submit(NAMES, GOOD, 0, NOW)
    arm.update(NOW)
    midway = arm.update(NOW + 50 * MS).position
    arm.submit(NAMES, [point(100, 0.0, 0.0)], 0, NOW + 50 * MS)
    assert arm.update(NOW + 50 * MS).position == pytest.approx(midway)
    assert arm.update(NOW + 100 * MS).position == pytest.approx(midway / 2)


def test_stamp_zero_starts_at_the_first_sample() -> None:
    arm = controller()
    arm.submit(NAMES, GOOD, 0, NOW)
    assert arm.update(NOW + 30 * MS).position.tolist() == [0.0, 0.0]
    assert arm.update(NOW + 130 * MS).position.tolist() == [1.0, 2.0]


def test_future_stamp_interpolates_from_now_and_partly_past_jumps_to_catch_up() -> None:
    later = controller()
    later.submit(NAMES, GOOD, NOW + 100 * MS, NOW)
    assert later.update(NOW + 100 * MS).position == pytest.approx([0.5, 1.0])
    late = controller()
    late.submit(NAMES, [point(50, 0.5, 1.0), point(150, 1.0, 2.0)], NOW - 100 * MS, NOW)
    assert late.update(NOW).position == pytest.approx([0.75, 1.5])


def test_a_first_point_at_time_zero_is_a_step() -> None:
    arm = controller()
    arm.submit(NAMES, [point(0, 1.0, 2.0)], 0, NOW)
    assert arm.update(NOW).position.tolist() == [1.0, 2.0]


numbers = st.floats(-2, 2)


@settings(max_examples=50, deadline=None)
@given(numbers, numbers, st.integers(1, 99), st.sampled_from([0, 1, 2]))
def test_segments_meet_their_points_and_their_slopes(a: float, b: float, ms: int, order: int) -> None:
    """Linear, cubic and quintic alike pass their points; velocity is the derivative of position."""
    arm = controller()
    zero = (0.0, 0.0)
    extras = {"velocities": zero if order else (), "accelerations": zero if order == 2 else ()}
    arm.submit(NAMES, [Point(10 * MS, (a, a), **extras), Point(110 * MS, (b, b), **extras)], 0, NOW)
    arm.update(NOW)
    assert arm.update(NOW + 10 * MS).position == pytest.approx([a, a], abs=1e-9)
    before, here, after = (arm.update(NOW + 10 * MS + ms * MS + d) for d in (-1000, 0, 1000))
    assert here.velocity == pytest.approx((after.position - before.position) / 2e-6, abs=1e-3)
    assert min(a, b) - 1e-9 <= here.position[0] <= max(a, b) + 1e-9
    assert arm.update(NOW + 110 * MS).position == pytest.approx([b, b])


def test_hold_refuses_what_is_not_a_pose() -> None:
    for bad in (np.zeros(3), np.array([np.nan, 0.0])):
        with pytest.raises(CellError):
            controller().hold(bad)
