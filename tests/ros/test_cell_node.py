"""The cell node in its own process, judged by a stranger who knows only topics and the controllers' rules."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from dopamine_msgs.msg import Episode

from dopamine_ros import names
from dopamine_ros.convert.images import rgb_from_msg
from dopamine_ros.convert.stamps import to_ns
from tests.ros.cell_graph import CellStranger
from tests.ros.command_graph import process, ros, spinning, wait_until

SMALL = ("-p", "image_width:=160", "-p", "image_height:=120")


@pytest.fixture(scope="module")
def stranger() -> Iterator[CellStranger]:
    with ros():
        node = CellStranger()
        with spinning(node), process("dopamine_sim.cell_node", "cell_node.yaml", extra=SMALL):
            wait_until(lambda: node.count[names.WRIST_IMAGE] > 3, "the cell", 30.0)
            yield node


def test_images_are_rgb8_of_the_asked_size_with_the_same_fresh_stamp(
    stranger: CellStranger,
) -> None:
    front, wrist = (stranger.newest[t] for t in (names.FRONT_IMAGE, names.WRIST_IMAGE))
    for image in (front, wrist):
        assert (image.encoding, image.width, image.height, image.step) == ("rgb8", 160, 120, 480)
        assert rgb_from_msg(image).std() > 5
        assert abs(time.time_ns() - to_ns(image.header.stamp)) < 3_000_000_000
    assert abs(to_ns(front.header.stamp) - to_ns(wrist.header.stamp)) < 200_000_000
    assert stranger.count["/clock"] == 0  # real time


def test_a_trajectory_moves_the_arm_and_silence_holds(stranger: CellStranger) -> None:
    goal = stranger.arm() + np.array([0.1, -0.05, 0.05, 0.1, 0.0, 0.1])
    stranger.go(goal)
    wait_until(lambda: np.abs(stranger.arm() - goal).max() < 5e-3, "the arm")
    stranger.settle(30)
    assert stranger.arm() == pytest.approx(goal, abs=5e-3)


@pytest.mark.parametrize(
    ("positions", "joints"),
    [
        ([np.nan] * 6, None),
        ([np.inf] + [0.0] * 5, None),
        ([0.0] * 5, None),
        ([0.0] * 6, ("a", "b", "c", "d", "e", "f")),
        ([0.0] * 5, ("joint_1", "joint_2", "joint_3", "joint_4", "joint_5")),
    ],
)
def test_what_the_controller_ignores_the_cell_ignores(
    stranger: CellStranger, positions: list[float], joints: tuple[str, ...] | None
) -> None:
    before = stranger.arm()
    stranger.go(np.array(positions), **({} if joints is None else {"joints": joints}))
    stranger.settle()
    assert stranger.arm() == pytest.approx(before, abs=2e-3)


def test_the_gripper_obeys_fractions_and_ignores_nonsense(stranger: CellStranger) -> None:
    assert stranger.reset("pick_place", 1).success
    stranger.grip(0.0)
    wait_until(lambda: stranger.finger() > 0.038, "an open gripper")
    stranger.grip(float("nan"))
    stranger.grip(1.0, 1.0)
    stranger.settle()
    assert stranger.finger() > 0.038
    stranger.grip(1.0)
    wait_until(lambda: stranger.finger() < 0.002, "a closed gripper")


def test_a_scene_is_restored_on_request_and_the_arm_stays(stranger: CellStranger) -> None:
    before = stranger.arm()
    assert "seed 41, shift on" in stranger.reset("insert_peg", 41, shift=True).message
    wait_until(
        lambda: (stranger.truth().task, stranger.truth().seed) == ("insert_peg", 41), "the truth"
    )
    assert stranger.truth().shift and not stranger.truth().success
    assert stranger.arm() == pytest.approx(before, abs=0.01)
    assert "seed 42" in stranger.reset("", -1).message
    refused = stranger.reset("juggle", 1)
    assert not refused.success and "insert_peg" in refused.message
    stranger.settle(3)


def test_truth_names_the_open_episode(stranger: CellStranger) -> None:
    stranger.episode(Episode.OPEN, "e7")
    wait_until(lambda: stranger.truth().episode_id == "e7", "the episode's name")
    stranger.episode(Episode.CLOSED, "e7")
    wait_until(lambda: stranger.truth().episode_id == "", "no episode")


def test_an_unknown_task_is_refused_by_name() -> None:
    with process("dopamine_sim.cell_node", "cell_node.yaml", extra=("-p", "task:=juggle")) as child:
        assert child.wait(timeout=30.0) == 2
        assert "insert_peg" in child.stderr.read()
