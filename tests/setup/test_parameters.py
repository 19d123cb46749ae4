"""Parameter files and launch files: each names only parameters that its node declares, and a typing error is seen.

rclpy ignores a parameter that nobody declares, so a misspelled one would stay at its default without a word. The launch
files are run with stand-ins for ROS's `launch`, which the wheels do not have.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
FILES = {  # module: parameter files that it is given
    "dopamine_rl_node.command_node": ("command_node.yaml", "limits.yaml"),
    "dopamine_reward_node.reward_node": ("reward_node.yaml",),
    "dopamine_reward_node.relabel_node": ("relabel_node.yaml",),
    "dopamine_demo_node.demo_node": ("demo_node.yaml",),
    "dopamine_rl_node.agent_node": ("agent_node.yaml",),
    "dopamine_rl_node.learner_node": ("learner_node.yaml",),
    "dopamine_sim.cell_node": ("cell_node.yaml",),
    "dopamine_sim.operator_node": ("operator_node.yaml",),
}
TASK_READERS = ("dopamine_demo_node.demo_node", "dopamine_rl_node.learner_node")


def declared(module: str) -> set[str]:
    """Names of the parameters that a node declares, by its calls of ``declare``."""
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    names: set[str] = {"use_sim_time"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "declare":
            config = getattr(importlib.import_module(module), node.args[1].id)
            prefix = f"{node.args[2].value}." if len(node.args) > 2 else ""
            names |= {prefix + field.name for field in dataclasses.fields(config)}
    return names


def named(path: Path) -> set[str]:
    """Names of the parameters in a file."""
    return set(_flat(yaml.safe_load(path.read_text())["/**"]["ros__parameters"]))


def _flat(block: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key


@pytest.mark.parametrize("module", FILES)
def test_a_parameter_file_names_only_what_its_node_declares(module: str) -> None:
    known = declared(module)
    for file in FILES[module]:
        assert named(CONFIG / file) - known == set(), file


def test_a_tasks_file_names_only_what_its_readers_declare() -> None:
    known = set().union(*(declared(module) for module in TASK_READERS))
    for path in CONFIG.glob("tasks/*.yaml"):
        assert named(path) - known == set(), path.name


class _Recorded:
    """Stands for any class of `launch`: remembers what it was made of."""

    def __init__(self, *words: Any, **fields: Any) -> None:
        self.words, self.fields = words, fields


def launched(name: str, monkeypatch: pytest.MonkeyPatch) -> list[_Recorded]:
    """Entities of a launch file."""
    made = {
        "launch": ("LaunchDescription",),
        "launch.actions": (
            "DeclareLaunchArgument",
            "IncludeLaunchDescription",
            "SetEnvironmentVariable",
        ),
        "launch.conditions": ("IfCondition",),
        "launch.launch_description_sources": ("PythonLaunchDescriptionSource",),
        "launch.substitutions": ("LaunchConfiguration",),
        "launch_ros": (),
        "launch_ros.actions": ("Node", "PushRosNamespace"),
    }
    for module, classes in made.items():
        stand_in = ModuleType(module)
        for one in classes:
            setattr(stand_in, one, type(one, (_Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, stand_in)
    packages = importlib.import_module("ament_index_python.packages")
    monkeypatch.setattr(packages, "get_package_share_directory", lambda _: str(ROOT))
    description = runpy.run_path(str(ROOT / "launch" / name))["generate_launch_description"]()
    return list(description.words[0])


def of_kind(entities: list[_Recorded], kind: str) -> list[_Recorded]:
    return [entity for entity in entities if type(entity).__name__ == kind]


@pytest.mark.parametrize("name", ["cell.launch.py", "stream.launch.py"])
def test_a_launch_file_names_executables_files_and_parameters_that_are_there(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entities = launched(name, monkeypatch)
    arguments = {one.words[0] for one in of_kind(entities, "DeclareLaunchArgument")}
    modules = {module.rpartition(".")[2]: module for module in FILES}
    nodes = of_kind(entities, "Node")
    assert nodes
    for node in nodes:
        known = declared(modules[node.fields["executable"]])
        for item in node.fields["parameters"]:
            if isinstance(item, dict):
                assert set(item) <= known, node.fields["executable"]
            elif isinstance(item, str):
                assert Path(item).is_file()
            else:
                assert item.words[0] in arguments


def test_the_cell_gives_the_stream_only_arguments_that_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = of_kind(launched("stream.launch.py", monkeypatch), "DeclareLaunchArgument")
    [include] = of_kind(launched("cell.launch.py", monkeypatch), "IncludeLaunchDescription")
    given = dict(include.fields["launch_arguments"])
    assert set(given) <= {one.words[0] for one in taken}
    folder, _, ending = given["task_file"]
    assert (Path(folder) / f"insert_peg{ending}").is_file()
