"""Any ROS message in, plain values out (for logs and ``--json``): times become nanoseconds, bytes their count."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time

_NS = 1_000_000_000


def to_plain(message: Any, skip: frozenset[str] = frozenset()) -> Any:
    """Turn a message into dicts, lists and numbers.

    :param message: any ROS message, or a value inside one.
    :param skip: field names to leave out at every level.
    :returns: JSON-ready values (NaN stays NaN); a ``header`` is folded into ``stamp_ns`` and ``frame_id``.
    """
    if isinstance(message, (Time, Duration)):
        return message.sec * _NS + message.nanosec
    if hasattr(message, "get_fields_and_field_types"):
        return _fields(message, skip)
    if isinstance(message, (bytes, bytearray, memoryview)):
        return len(message)
    if isinstance(message, np.ndarray) or type(message).__name__ == "array":
        return (
            len(message) if message.itemsize == 1 else [_rounded(item) for item in message.tolist()]
        )
    if isinstance(message, (list, tuple)):
        return [to_plain(item, skip) for item in message]
    return _rounded(message)


def _fields(message: Any, skip: frozenset[str]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name in message.get_fields_and_field_types():
        if name in skip:
            continue
        value = getattr(message, name)
        if name == "header":
            plain["stamp_ns"] = to_plain(value.stamp)
            if value.frame_id:
                plain["frame_id"] = value.frame_id
        else:
            key = f"{name}_ns" if isinstance(value, (Time, Duration)) else name
            plain[key] = to_plain(value, skip)
    return plain


def _rounded(value: Any) -> Any:
    # float32 fields carry seven digits; writing seventeen doubles the log.
    return round(value, 7) if isinstance(value, float) else value
