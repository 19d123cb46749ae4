"""A message type comes in, its definition with all dependencies as bags store it goes out."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory

from dopamine_core.episodes.bag import Channel

_SEPARATOR = "=" * 80
_FIELD = re.compile(r"^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*")
_PRIMITIVES = frozenset(
    "bool byte char float32 float64 int8 uint8 int16 uint16 int32 uint32 int64 uint64 string "
    "wstring".split()
)


@functools.cache
def channel_of(topic: str, message_type: Any) -> Channel:
    """Describe a topic for a bag.

    :param message_type: ROS message class.
    """
    package, name = message_type.__module__.split(".")[0], message_type.__name__
    return Channel(topic, f"{package}/msg/{name}", schema_text(package, name))


@functools.cache
def schema_text(package: str, name: str) -> str:
    """Concatenate a definition with those it uses, in rosbag2's ``ros2msg`` encoding.

    The first definition stands bare; each other follows a line of 80 ``=`` and ``MSG: pkg/Name``.
    """
    parts = [_definition(package, name)]
    for used_package, used_name in _dependencies(package, name):
        definition = _definition(used_package, used_name)
        parts.append(f"{_SEPARATOR}\nMSG: {used_package}/{used_name}\n{definition}")
    return "\n".join(parts)


def _dependencies(package: str, name: str) -> list[tuple[str, str]]:
    """Every definition that a message uses, each once, itself left out."""
    found: list[tuple[str, str]] = []
    waiting = _used_by(package, name)
    while waiting:
        one = waiting.pop(0)
        if one not in found and one != (package, name):
            found.append(one)
            waiting += _used_by(*one)
    return found


def _used_by(package: str, name: str) -> list[tuple[str, str]]:
    used = []
    for line in _definition(package, name).splitlines():
        match = _FIELD.match(line.split("#")[0])
        if match is None or match[1] in _PRIMITIVES:
            continue
        parts = match[1].split("/")
        if parts == ["Header"]:
            parts = ["std_msgs", "Header"]
        used.append((parts[0] if len(parts) > 1 else package, parts[-1]))
    return used


@functools.cache
def _definition(package: str, name: str) -> str:
    path = Path(get_package_share_directory(package)) / "msg" / f"{name}.msg"
    return path.read_text(encoding="utf-8")
