"""Laws of the kinematics: Jacobian equals finite differences, IK undoes FK, limits hold, bad input is named."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.control.kinematics import ARM_JOINTS, TOOL_DOWN, Kinematics, Pose
from dopamine_core.errors import KinematicsError
from dopamine_core.types import JointSample

ARM = Kinematics()
READY = np.array([0.0, 0.2, 1.9, 0.0, 1.0, 0.0])
angles = st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6).map(np.array)


def test_upright_at_zero() -> None:
    pose = ARM.forward(np.zeros(6))
    assert pose.position == pytest.approx([0, 0, 0.28 + 0.39 + 0.36 + 0.065 + 0.03 + 0.112], abs=1e-9)
    assert pose.rotation == pytest.approx(np.eye(3), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(angles, angles)
def test_jacobian_is_the_derivative(q: np.ndarray, direction: np.ndarray) -> None:
    step = 1e-6 * direction
    moved = ARM.forward(q).error_to(ARM.forward(q + step))
    assert ARM.jacobian(q) @ step == pytest.approx(moved, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.5, 0.5), min_size=6, max_size=6).map(np.array))
def test_moved_undoes_error(displacement: np.ndarray) -> None:
    start = ARM.forward(READY)
    target = start.moved(displacement)
    assert start.error_to(target) == pytest.approx(displacement, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.32, 0.6), st.floats(-0.25, 0.25), st.floats(0.03, 0.35))
def test_solve_reaches_the_workspace(x: float, y: float, z: float) -> None:
    target = Pose(np.array([x, y, z]), TOOL_DOWN)
    q = ARM.solve(target, READY)
    assert np.linalg.norm(ARM.forward(q).error_to(target)) < 1.2e-3
    assert np.all((q >= ARM.lower_rad) & (q <= ARM.upper_rad))


def test_small_steps_follow_a_line() -> None:
    q = ARM.solve(Pose(np.array([0.45, 0.0, 0.2]), TOOL_DOWN), READY)
    start = ARM.forward(q)
    for _ in range(100):
        q = ARM.step(q, np.array([0.001, 0, 0, 0, 0, 0])).q
    moved = start.error_to(ARM.forward(q))
    assert moved[0] == pytest.approx(0.1, abs=2e-3)
    assert np.abs(moved[1:]) == pytest.approx(np.zeros(5), abs=2e-3)


def test_step_keeps_limits_and_says_so() -> None:
    q = ARM.upper_rad - 1e-3
    outcome = ARM.step(q, np.array([0.3, 0.3, 0.3, 1, 1, 1]))
    assert outcome.limited
    assert np.all(outcome.q <= ARM.upper_rad)
    slow = ARM.step(READY, np.array([0.05, 0, 0, 0, 0, 0]), max_step_rad=0.001)
    assert slow.limited
    assert np.max(np.abs(slow.q - READY)) <= 0.001 + 1e-12


@pytest.mark.parametrize(
    "call",
    [
        lambda: ARM.solve(Pose(np.array([2.0, 0, 0]), TOOL_DOWN), READY),
        lambda: ARM.forward(np.zeros(5)),
        lambda: ARM.forward(np.full(6, np.nan)),
        lambda: ARM.step(READY, np.full(6, np.inf)),
        lambda: Kinematics(frame="hand"),
        lambda: Kinematics(joint_names=("elbow",)),
        lambda: Kinematics(urdf_path="missing.urdf"),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(KinematicsError):
        call()


def test_joints_are_found_by_name() -> None:
    names = ("finger_joint", *reversed(ARM_JOINTS))
    sample = JointSample(1, names, np.array([0.02, 6, 5, 4, 3, 2, 1.0]))
    assert ARM.arm_positions(sample).tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(KinematicsError, match="joint_3"):
        ARM.arm_positions(JointSample(1, ("joint_1", "joint_2"), np.zeros(2)))


def test_import_stays_without_torch() -> None:
    code = "import sys, dopamine_core.control.kinematics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
