"""The cell: bit-for-bit reproducible, obedient to its controller's rules, honest about bad input."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from dopamine_core.control.kinematics import ARM_JOINTS
from dopamine_core.errors import CellError, ConfigError, UnknownNameError
from dopamine_sim.cell import Cell
from dopamine_sim.config import CellConfig
from dopamine_sim.joint_trajectory_controller import Point
from dopamine_sim.rollout import generate_episode

MS = 1_000_000


@pytest.fixture(scope="module")
def cell() -> Cell:
    return Cell("insert_peg")


def _digest(cell: Cell, seed: int) -> str:
    cell.reset(seed, shift=True)
    digest = hashlib.sha256()
    q = cell.joint_state().position[:6]
    for step in range(5):
        cell.submit_trajectory(ARM_JOINTS, [Point(50 * MS, q + 0.01 * step)])
        cell.advance(100 * MS)
        digest.update(cell.state_bytes())
        digest.update(cell.render("front", 160, 120).tobytes())
        digest.update(cell.render("wrist", 160, 120).tobytes())
    return digest.hexdigest()


def test_same_seed_gives_the_same_bits_in_a_fresh_cell_and_a_used_one(cell: Cell) -> None:
    first = _digest(cell, 5)
    cell.reset(9)
    cell.command_gripper(0.0)
    cell.advance(300 * MS)
    assert _digest(cell, 5) == first
    fresh = Cell("insert_peg")
    assert _digest(fresh, 5) == first
    assert _digest(fresh, 6) != first


def test_episodes_are_the_same_bits_too(cell: Cell) -> None:
    one, other = (generate_episode("insert_peg", 2, image_size=(64, 48), cell=c) for c in (cell, None))
    assert np.array_equal(one.front, other.front) and np.array_equal(one.wrist, other.wrist)
    assert np.array_equal(one.joints, other.joints) and np.array_equal(one.actions, other.actions)


def test_the_arm_follows_a_trajectory_and_silence_holds(cell: Cell) -> None:
    cell.reset(1)
    goal = cell.joint_state().position[:6] + np.array([0.1, -0.1, 0.1, 0.1, 0.1, 0.2])
    assert cell.submit_trajectory(ARM_JOINTS, [Point(500 * MS, goal)]).accepted
    cell.advance(800 * MS)
    assert cell.joint_state().position[:6] == pytest.approx(goal, abs=2e-3)
    cell.advance(1000 * MS)
    assert cell.joint_state().position[:6] == pytest.approx(goal, abs=2e-3)
    assert np.abs(cell.joint_state().velocity).max() < 1e-2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_never_move_the_arm(cell: Cell, bad: float) -> None:
    cell.reset(1)
    before = cell.joint_state().position
    q = before[:6].copy()
    q[2] = bad
    assert not cell.submit_trajectory(ARM_JOINTS, [Point(50 * MS, q)]).accepted
    assert not cell.command_gripper(bad)
    cell.advance(300 * MS)
    assert cell.joint_state().position == pytest.approx(before, abs=1e-4)


def test_contact_is_compliant(cell: Cell) -> None:
    """Pressing 2 cm into the table costs some 75 N, not the whole servo, and the arm comes back."""
    cell.reset(1)
    start = cell.joint_state().position[:6].copy()
    pose = cell.kinematics.forward(start)
    down = pose.moved(np.array([0, 0, 0.02 - pose.position[2], 0, 0, 0]))
    cell.submit_trajectory(ARM_JOINTS, [Point(1500 * MS, cell.kinematics.solve(down, start))])
    cell.advance(2000 * MS)
    tip = cell.scene.position("peg")
    assert -0.002 < tip[2] < 0.004
    assert 20.0 < np.abs(cell.joint_state().effort[1]) < 45.0  # Nm at a lever of 0.45 m
    cell.submit_trajectory(ARM_JOINTS, [Point(1500 * MS, start)])
    cell.advance(2500 * MS)
    assert cell.joint_state().position[:6] == pytest.approx(start, abs=5e-3)


def test_scene_reset_leaves_the_arm_where_it_is(cell: Cell) -> None:
    cell.reset(1)
    q = cell.joint_state().position[:6] + 0.05
    cell.submit_trajectory(ARM_JOINTS, [Point(300 * MS, q)])
    cell.advance(600 * MS)
    block = cell.scene.position("block")
    cell.reset_scene(7, shift=False)
    assert cell.joint_state().position[:6] == pytest.approx(q, abs=3e-3)
    assert np.linalg.norm(cell.scene.position("block") - block) > 1e-3
    cell.advance(200 * MS)
    assert cell.joint_state().position[:6] == pytest.approx(q, abs=3e-3)


def test_shift_moves_the_peg_in_the_gripper_and_nothing_else(cell: Cell) -> None:
    offsets, blocks = [], []
    for shift in (False, True):
        cell.reset(3, shift=shift)
        offsets.append(cell.task.tip(cell.scene) - cell.scene.tcp())
        blocks.append(cell.scene.position("block"))
    assert blocks[0] == pytest.approx(blocks[1])
    assert np.linalg.norm((offsets[1] - offsets[0])[:2]) == pytest.approx(0.004, abs=0.0012)


def test_a_room_stays_and_scenes_differ() -> None:
    room = Cell("pick_place", config=CellConfig(look_seed=3))
    looks, places = [], []
    for seed in (1, 2):
        room.reset(seed)
        looks.append(room.scene.model.geom("cube").rgba.copy())
        places.append(room.scene.position("cube"))
    assert np.array_equal(*looks) and np.linalg.norm(places[0] - places[1]) > 1e-3


def test_joint_states_name_the_arm_and_the_finger(cell: Cell) -> None:
    cell.reset(1)
    state = cell.joint_state()
    assert state.names == (*ARM_JOINTS, "finger_joint")
    assert state.position[6] == pytest.approx(0.010, abs=1e-3)  # closed on the peg
    assert state.stamp_ns == cell.now_ns > 0


def test_opening_the_gripper_drops_the_peg(cell: Cell) -> None:
    cell.reset(1)
    height = cell.scene.position("peg")[2]
    cell.command_gripper(0.0)
    cell.advance(600 * MS)
    assert cell.scene.position("peg")[2] < height - 0.05


def test_bad_input_is_named(cell: Cell) -> None:
    with pytest.raises(UnknownNameError, match="insert_peg"):
        Cell("juggle")
    with pytest.raises(CellError, match="front"):
        cell.render("side")
    with pytest.raises(CellError, match="640x480"):
        cell.render("front", 4000, 3000)
    with pytest.raises(CellError, match="physics step"):
        cell.advance(1)
    with pytest.raises(ConfigError, match="look"):
        CellConfig(look=2.0)


def test_a_blown_up_simulation_is_an_error_not_a_jump(cell: Cell) -> None:
    cell.reset(1)
    cell.scene.data.qvel[:] = 1e12
    with pytest.raises(CellError, match="stable physics"):
        cell.advance(100 * MS)
    cell.reset(1)
    cell.advance(100 * MS)


def test_without_a_renderer_the_packages_are_named() -> None:
    code = (
        "import sys; sys.modules['mujoco.egl'] = sys.modules['mujoco.osmesa'] = None\n"
        "from dopamine_sim.renderer import _open_context\n"
        "try: _open_context(8, 8)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "CellError" in run.stdout and "apt-get install libegl1" in run.stdout


def test_the_cell_needs_neither_ros_nor_torch() -> None:
    code = (
        "import sys, dopamine_sim.rollout, dopamine_sim.live_cell\n"
        "sys.exit(any(name in sys.modules for name in ('rclpy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
