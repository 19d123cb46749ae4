"""The package: ROS and Python agree on it, and everything it names is there."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
NODES = {"agent", "cell", "command", "demo", "learner", "operator", "relabel", "reward"}


def test_both_manifests_say_the_same() -> None:
    installed = distribution("robo_dopamine")
    assert PACKAGE.findtext("version") == installed.version
    assert PACKAGE.findtext("license") == installed.metadata["License"]
    assert PACKAGE.get("format") == "3"
    assert PACKAGE.findtext("export/build_type") == "ament_python"


def test_messages_carry_the_same_version() -> None:
    messages = ElementTree.parse(ROOT / "ros2_ws/src/dopamine_msgs/package.xml").getroot()
    assert messages.findtext("version") == PACKAGE.findtext("version")


def test_every_command_is_there() -> None:
    scripts = {item.name: item for item in distribution("robo_dopamine").entry_points}
    assert set(scripts) == {"dopamine"} | {f"{node}_node" for node in NODES}
    for script in scripts.values():
        assert importlib.util.find_spec(script.module) is not None, script
        source = Path(str(importlib.util.find_spec(script.module).origin)).read_text()
        assert f"def {script.attr}(" in source or f"{script.attr} = " in source, script


def test_every_interface_package_that_code_imports_is_declared() -> None:
    declared = {item.text for item in PACKAGE.findall("exec_depend")}
    used = set()
    for folder in ROOT.glob("dopamine_*"):
        for path in folder.rglob("*.py"):
            words = (line.split() for line in path.read_text().splitlines())
            used |= {line[1].partition(".")[0] for line in words if len(line) > 1 and line[0] in ("from", "import")}
    interfaces = {name for name in used if name.endswith(("_msgs", "_srvs", "_interfaces")) or name == "rclpy"}
    assert interfaces and interfaces <= declared


def test_shared_folders_are_installed() -> None:
    text = (ROOT / "setup.py").read_text()
    for folder in ("config", "launch", "urdf"):
        assert f'"{folder}"' in text
    assert (ROOT / "resource" / "robo_dopamine").is_file()
