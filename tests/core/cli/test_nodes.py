"""Processes of the demo: every one has its parameter files, typed parameters, and the learner is nice."""

from pathlib import Path

import pytest
import yaml

from dopamine_cli.nodes import CONFIG, NodeSpec, demo_nodes
from dopamine_core.errors import ConfigError


def nodes(speed=1.0):
    return {n.name: n for n in demo_nodes(run_dir=Path("/r"), task="stack", seed=3, speed=speed)}


def test_only_the_learner_has_low_priority_and_only_once():
    assert not any(node.nice for node in nodes().values())
    learner = yaml.safe_load((CONFIG / "learner_node.yaml").read_text())
    assert learner["/**"]["ros__parameters"]["niceness"] >= 10


def test_the_command_node_gets_its_limits():
    assert "limits.yaml" in nodes()["command"].configs


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_everybody_but_the_cell_follows_the_clock_when_time_is_not_real(speed):
    followers = [node for name, node in nodes(speed).items() if name != "cell"]
    assert {node.parameters["use_sim_time"] for node in followers} == {speed != 1.0}


def test_parameters_keep_their_types():
    node = NodeSpec("n", "m", parameters={"a": True, "b": 7, "c": 7.0, "d": "3"})
    assert node.arguments() == [
        "--ros-args",
        *("-p", "a:=true", "-p", "b:=7", "-p", "c:=7.0", "-p", 'd:="3"'),
    ]


def test_a_missing_parameter_file_is_named():
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        NodeSpec("n", "m", ("nowhere.yaml",)).arguments()


def test_parameter_files_exist():
    files = {file for node in nodes().values() for file in node.configs}
    assert [file for file in sorted(files) if not (CONFIG / file).is_file()] == []
