"""The lock: complete, exact, and what this environment really holds."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from scripts.lock import INPUTS, canonical, merge, parse_report

FOLDER = Path(__file__).resolve().parents[2] / "requirements"


def pins(name: str) -> dict[str, str]:
    """Version by canonical name of one requirements file."""
    found = {}
    for line in (FOLDER / name).read_text().splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([\w.-]+)(\[\w+\])?==([\w.+!]+)( ; .+)?", line)
            assert match, f"{name}: expected an exact pin, got {line!r}"
            found[canonical(match[1])] = match[3]
    return found


@pytest.mark.parametrize("name", INPUTS)
def test_every_wish_is_in_the_lock(name: str) -> None:
    lock = pins("lock.txt")
    assert pins(name) == {key: lock.get(key) for key in pins(name)}


def test_this_environment_holds_what_the_lock_says() -> None:
    installed = {canonical(item.metadata["Name"]): item.version for item in distributions()}
    lock = pins("lock.txt")
    assert lock == {name: installed.get(name) for name in lock}
    assert installed["torch"].partition("+")[0] == pins("torch.txt")["torch"]


def test_a_lock_for_two_interpreters_marks_only_differences() -> None:
    text = merge({"3.11": {"a": "1", "b": "1", "c": "1"}, "3.12": {"a": "1", "b": "2"}})
    assert text.splitlines()[1:] == [
        "a==1",
        'b==1 ; python_version == "3.11"',
        'b==2 ; python_version == "3.12"',
        'c==1 ; python_version == "3.11"',
    ]


def test_torch_stays_out_of_the_lock() -> None:
    report = {"install": [{"metadata": {"name": name, "version": "1"}} for name in ("torch", "Ros_Rclpy")]}
    assert parse_report(report) == {"ros-rclpy": "1"}
    assert "torch" not in pins("lock.txt")
