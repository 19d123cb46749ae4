"""The scripted person in the graph: a demonstration over Joy, under simulated time."""

from __future__ import annotations

import time

from dopamine_msgs.msg import Episode, Truth

from dopamine_core.control.teleop import Button
from dopamine_ros import names
from tests.ros.cell_graph import CellStranger
from tests.ros.command_graph import process, ros, spinning, wait_until

SMALL = ("-p", "image_width:=160", "-p", "image_height:=120")


def test_messages_that_make_no_sense_are_survived() -> None:
    with ros():
        node = CellStranger()
        truth = node.create_publisher(Truth, names.TRUTH, 10)
        with (
            spinning(node),
            process("dopamine_sim.operator_node", "operator_node.yaml") as operator,
        ):
            wait_until(lambda: truth.get_subscription_count() > 1, "the operator", 40.0)
            assert operator.stderr is not None
            said: list[str] = []

            def told(word: str) -> bool:
                said.append(operator.stderr.read())
                return word in "".join(said)

            truth.publish(Truth(task="juggle"))
            wait_until(lambda: told("juggle"), "the unknown task by name", 20.0)
            time.sleep(1.1)  # complaints are throttled
            node.episode(77, "demonstration")
            wait_until(lambda: told("usable Episode"), "the unknown state by name", 20.0)
            assert operator.poll() is None


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
