"""A ROS message comes in, the CDR bytes that a bag stores go out."""

from __future__ import annotations

from typing import Any

from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState


def serialised(message: Any) -> bytes:
    """Serialise a message so that strict readers accept it.

    rmw_fastrtps reserves room for the alignment of a sequence that turns out to be empty, so a
    ``JointState`` without effort ends in a few stray bytes, which strict readers refuse.
    """
    data = bytes(serialize_message(message))
    return data[: _joint_state_length(message)] if isinstance(message, JointState) else data


def _joint_state_length(message: JointState) -> int:
    """Length of the CDR encoding, with its 4-byte header."""
    end = _after_string(8, message.header.frame_id)
    end = _aligned(end, 4) + 4
    for name in message.name:
        end = _after_string(end, name)
    for numbers in (message.position, message.velocity, message.effort):
        end = _aligned(end, 4) + 4
        end = _aligned(end, 8) + 8 * len(numbers) if len(numbers) else end
    return 4 + end


def _after_string(offset: int, text: str) -> int:
    """Offset behind a string: its length, its bytes and a zero."""
    return _aligned(offset, 4) + 4 + len(text.encode()) + 1


def _aligned(offset: int, size: int) -> int:
    return -(-offset // size) * size
