"""Imports follow the stream: the rooms of docs/design.md, held by reading every import of the tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES = ("dopamine_reward_node", "dopamine_rl_node", "dopamine_demo_node")
ROOMS = ("dopamine_core", "dopamine_ros", *NODES, "dopamine_sim", "dopamine_cli")
ROS = ("rclpy", "launch", "launch_ros", "ament_index_python", "rosidl_runtime_py")
ROS_ENDINGS = ("_msgs", "_srvs", "_interfaces")
HEAVY = ("torch", "d3rlpy", "gymnasium")

# folder or file -> first words of modules that it must never import, in any function either
FORBIDDEN = {
    "dopamine_core": (*ROS, *(room for room in ROOMS if room != "dopamine_core")),
    "dopamine_core/control": ("dopamine_core.reward", "dopamine_core.rl", *HEAVY),
    "dopamine_core/frames": ("dopamine_core.reward", "dopamine_core.rl", "dopamine_core.episodes", *HEAVY),
    "dopamine_core/reward": ("dopamine_core.rl", "d3rlpy", "gymnasium"),
    "dopamine_core/episodes": ("dopamine_core.rl", *HEAVY),
    "dopamine_core/rl": ("dopamine_core.reward",),
    "dopamine_core/evaluation": ("dopamine_core.rl", *HEAVY),
    "dopamine_ros": (*NODES, "dopamine_sim", "dopamine_cli", *HEAVY),
    "dopamine_sim": (*NODES, "dopamine_cli"),
    **{node: (*(other for other in NODES if other != node), "dopamine_sim", "dopamine_cli") for node in NODES},
    "dopamine_rl_node/command_node.py": HEAVY,
}
# (file, import): each with its reason; one that is no longer needed fails the test below
ALLOWED = {
    ("dopamine_core/rl/learner.py", "dopamine_core.reward.shaping"): "the one definition of the reward",
    ("dopamine_core/rl/transitions.py", "dopamine_core.reward.shaping"): "the one definition of the reward",
    ("dopamine_core/reward/nano/generate.py", "dopamine_sim"): "the embedded model is trained on rendered episodes",
    ("dopamine_core/reward/nano/train.py", "dopamine_sim"): "the embedded model is trained on rendered episodes",
}


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, at whatever depth; ``from a import b`` counts as ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def inside(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def allowed(path: Path, module: str) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(file == name and inside(module, prefix) for file, prefix in ALLOWED)


def offences(place: str) -> Iterator[str]:
    """Imports that a place must not have, as sentences."""
    for path in files(place):
        for module in sorted(imports(path)):
            message = place == "dopamine_core" and module.partition(".")[0].endswith(ROS_ENDINGS)
            if (message or any(inside(module, word) for word in FORBIDDEN[place])) and not allowed(path, module):
                yield f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("place", FORBIDDEN)
def test_imports_follow_the_stream(place: str) -> None:
    assert files(place), f"{place} is gone: correct this test"
    assert list(offences(place)) == []


@pytest.mark.parametrize(("file", "prefix"), ALLOWED)
def test_every_exception_is_still_needed(file: str, prefix: str) -> None:
    assert any(inside(module, prefix) for module in imports(ROOT / file))


def test_parameters_are_declared_in_one_file() -> None:
    declaring = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in files(room)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("declare_parameter", "declare_parameters")
    }
    assert declaring == {"dopamine_ros/parameters.py"}


def test_the_launch_folder_is_no_package() -> None:
    assert not (ROOT / "launch" / "__init__.py").exists()  # it would shadow ROS's own `launch`


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import rclpy.node", "rclpy"),
        ("from std_msgs.msg import Int32", "std_msgs"),
        ("def f():\n import launch", "launch"),
    ],
)
def test_the_reader_sees_every_form(tmp_path: Path, source: str, module: str) -> None:
    path = tmp_path / "some.py"
    path.write_text(source)
    assert any(inside(name, module) for name in imports(path))
