"""Bag messages without ROS: CDR bytes of the suite's own message definitions, written by mcap_ros2's encoder."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mcap_ros2._dynamic import serialize_dynamic

from dopamine_core.episodes import contents
from dopamine_core.episodes.bag import BagMessage, Channel
from dopamine_core.types import (
    CommandRecord,
    Decision,
    EncodedImage,
    EpisodeInfo,
    JointSample,
    Potential,
)

MESSAGES = Path(__file__).resolve().parents[3] / "ros2_ws/src/dopamine_msgs/msg"
HEADER = "builtin_interfaces/Time stamp\nstring frame_id\n"
TIME = "int32 sec\nuint32 nanosec\n"
STOCK = {
    "CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data\n",
    "JointState": "std_msgs/Header header\nstring[] name\nfloat64[] position\n"
    "float64[] velocity\nfloat64[] effort\n",
}


def image(topic: str, frame: EncodedImage) -> BagMessage:
    """A frame as it stands in a bag."""
    fields = {"header": _header(frame.stamp_ns), "format": frame.format, "data": frame.data}
    return _message(topic, "sensor_msgs", "CompressedImage", fields, frame.stamp_ns)


def joints(sample: JointSample) -> BagMessage:
    """A joint sample as it stands in a bag."""
    fields = {
        "header": _header(sample.stamp_ns),
        "name": list(sample.names),
        "position": list(sample.position),
        "velocity": [] if sample.velocity is None else list(sample.velocity),
        "effort": [],
    }
    return _message(contents.JOINT_STATES, "sensor_msgs", "JointState", fields, sample.stamp_ns)


def decision(item: Decision) -> BagMessage:
    """A decision as it stands in a bag."""
    fields = {
        "header": _header(item.stamp_ns),
        "episode_id": item.episode_id,
        "index": item.index,
        "owner": int(item.owner),
        "front_stamp": _time(item.front_stamp_ns),
        "wrist_stamp": _time(item.wrist_stamp_ns),
        "joint_stamp": _time(item.joint_stamp_ns),
        "policy_version": item.policy_version,
    }
    return _message(contents.DECISION, "dopamine_msgs", "Decision", fields, item.stamp_ns)


def potential(item: Potential, without: str = "") -> BagMessage:
    """A label-lane answer as it stands in a bag.

    :param without: name of a field that the recording's schema does not have yet.
    """
    reading = item.reading
    fields = {
        "header": _header(item.decision_stamp_ns),
        "episode_id": item.episode_id,
        "index": item.index,
        "status": SimpleNamespace(code=int(reading.status), text=reading.text),
        "hop": list(reading.hop),
        "reading": list(reading.reading),
        "consistency": reading.consistency,
        "progress": reading.progress,
        "potential": item.potential,
        "uncertainty": reading.uncertainty,
        "success_probability": reading.success_probability,
        "success": item.success,
        "inference_time": _time(reading.inference_ns),
        "model": SimpleNamespace(
            name=item.model.name, sha256=item.model.sha256, adapted=item.model.adapted
        ),
    }
    stamp_ns = item.decision_stamp_ns
    fields.pop(without, None)
    schema = _schema("Potential")
    lines = [line for line in schema.splitlines() if not without or f" {without} " not in line]
    return _message(
        contents.POTENTIAL, "dopamine_msgs", "Potential", fields, stamp_ns, "\n".join(lines)
    )


def command(record: CommandRecord) -> BagMessage:
    """A tick of the command path as it stands in a bag."""
    fields = {
        "header": _header(record.stamp_ns),
        "source": int(record.source),
        "decision_stamp": _time(record.decision_stamp_ns),
        "proposed": list(record.proposed),
        "executed": list(record.executed),
        "gripper_proposed": record.gripper_proposed,
        "gripper_executed": record.gripper_executed,
        "joint_names": list(record.joint_names),
        "joint_positions": list(record.joint_positions),
        "limit_reasons": int(record.reasons),
        "reset_state": int(record.reset_state),
        "reset_stamp": _time(record.reset_stamp_ns),
        "text": record.text,
    }
    return _message(contents.COMMAND, "dopamine_msgs", "Command", fields, record.stamp_ns)


def episode(info: EpisodeInfo) -> BagMessage:
    """A state of an episode as it stands in a bag."""
    fields = {
        "header": _header(info.stamp_ns),
        "episode_id": info.episode_id,
        "state": int(info.state),
        "kind": int(info.kind),
        "task": info.task,
        "start_stamp": _time(info.start_ns),
        "end_stamp": _time(info.end_ns),
        "outcome": int(info.outcome),
        "outcome_source": int(info.outcome_source),
        "terminated": info.terminated,
        "truncated": info.truncated,
        "success_stamp": _time(info.success_ns),
        "kept": info.kept,
        "takeovers": info.takeovers,
        "bag_path": info.bag_path,
        "text": info.text,
    }
    return _message(contents.EPISODE, "dopamine_msgs", "Episode", fields, info.stamp_ns)


def _message(
    topic: str, package: str, name: str, fields: dict[str, Any], ns: int, schema: str = ""
) -> BagMessage:
    type_name, schema = f"{package}/msg/{name}", schema or _schema(name)
    data = _encoder(type_name, schema)(SimpleNamespace(**fields))
    return BagMessage(Channel(topic, type_name, schema), bytes(data), ns, ns)


@functools.cache
def _encoder(type_name: str, schema: str) -> Any:
    return serialize_dynamic(type_name, schema)[type_name]


@functools.cache
def _schema(name: str) -> str:
    """A definition with what it uses, as rosbag2 stores it."""
    own = STOCK.get(name) or (MESSAGES / f"{name}.msg").read_text()
    used = dict.fromkeys(re.findall(r"^(Reward\w+) ", own, re.MULTILINE))
    parts = [own, f"MSG: std_msgs/Header\n{HEADER}", f"MSG: builtin_interfaces/Time\n{TIME}"]
    parts.append(f"MSG: builtin_interfaces/Duration\n{TIME}")
    parts += [f"MSG: dopamine_msgs/{one}\n{(MESSAGES / f'{one}.msg').read_text()}" for one in used]
    return f"\n{'=' * 80}\n".join(parts)


def _header(stamp_ns: int) -> SimpleNamespace:
    return SimpleNamespace(stamp=_time(stamp_ns), frame_id="")


def _time(stamp_ns: int) -> SimpleNamespace:
    return SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
