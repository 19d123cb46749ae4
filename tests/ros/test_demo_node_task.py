"""A task's parameter file behind the demo node's own: where and with which gripper its episodes begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from dopamine_msgs.action import Reset

from dopamine_core.control.kinematics import Kinematics
from dopamine_ros import names
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.demo_graph import Surroundings


@pytest.mark.parametrize(("task", "gripper"), [("pick_place", 0.0), ("insert_peg", 1.0)])
def test_reset_makes_the_arm_ready_for_the_task(task: str, gripper: float, tmp_path: Path) -> None:
    files = ("demo_node.yaml", f"tasks/{task}.yaml")
    extra = ("-p", f"directory:={tmp_path}")
    with ros():
        world = Surroundings()
        node = process("dopamine_demo_node.demo_node", *files, extra=extra)
        with spinning(world), node:
            wait_until(lambda: bool(world.episodes), "the demo node")
            world.until_served()
            _, result = world.goal(names.RESET, scene=True, seed=3)
            assert result().code == Reset.Result.OK
            assert world.homes[-1].gripper == gripper
            height = Kinematics().forward(world.q).position[2]
            assert 0.14 <= height <= 0.18
            assert world.trigger(names.RECORD_START).success
            assert world.episode.task == task
