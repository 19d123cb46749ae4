"""The scripted person in the graph: a demonstration over Joy, under simulated time."""

from __future__ import annotations

from dopamine_msgs.msg import Episode

from dopamine_core.control.teleop import Button
from dopamine_ros import names
from tests.ros.cell_graph import CellStranger
from tests.ros.command_graph import process, ros, spinning, wait_until

SMALL = ("-p", "image_width:=160", "-p", "image_height:=120")


def test_simulated_time_and_a_whole_demonstration_by_the_scripted_person() -> None:
    """Cell, command path and person over the topics, several times faster than real time."""
    with ros():
        node = CellStranger()
        sim_time = ("-p", "use_sim_time:=true")
        with (
            spinning(node),
            process("dopamine_sim.cell_node", "cell_node.yaml", extra=(*SMALL, "-p", "speed:=3.0")),
            process(
                "dopamine_rl_node.command_node", "command_node.yaml", "limits.yaml", extra=sim_time
            ),
            process("dopamine_sim.operator_node", "operator_node.yaml", extra=sim_time),
        ):
            wait_until(
                lambda: node.count[names.COMMAND] > 20 and node.count[names.TRUTH] > 3,
                "the graph",
                40.0,
            )
            assert node.count["/clock"] > 10
            node.episode(Episode.OPEN, "demonstration")
            done = {Button.KEEP, Button.DISCARD}
            wait_until(lambda: bool(node.pressed & done), "the person's verdict", 60.0)
            assert node.pressed & done == {Button.KEEP}
            assert Button.DEAD_MAN in node.pressed
            wait_until(lambda: node.truth().success, "the truth")
