"""ROS parameters from config dataclasses: declared once with unit, range and sentence."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from dopamine_core.config import SettingInfo, from_mapping, info_of

T = TypeVar("T")
_TYPES = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}
_ARRAYS = {
    float: Parameter.Type.DOUBLE_ARRAY,
    int: Parameter.Type.INTEGER_ARRAY,
    str: Parameter.Type.STRING_ARRAY,
    bool: Parameter.Type.BOOL_ARRAY,
}


def declare(node: Node, cls: type[T], prefix: str = "") -> T:
    """Declare every setting of a config dataclass as a read-only parameter and return the filled config.

    :param node: node that owns the parameters.
    :param cls: frozen dataclass made of :func:`dopamine_core.config.setting` fields.
    :param prefix: parameter namespace, e.g. ``"limits"`` gives ``limits.max_step_m``.
    :raises ConfigError: when a required parameter is missing or a value is out of range.
    """
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = f"{prefix}.{field.name}" if prefix else field.name
        value = _declare_one(node, name, hints[field.name], field.default, info_of(field))
        if value is not None:
            values[field.name] = value
    return from_mapping(cls, values)


def _declare_one(node: Node, name: str, hint: Any, default: Any, info: SettingInfo) -> Any:
    kind = _parameter_type(hint)
    descriptor = _descriptor(kind, info)
    # An empty tuple carries no element type, so it is declared by type like a required parameter.
    if default is dataclasses.MISSING or default == ():
        parameter = node.declare_parameter(name, kind, descriptor)
    else:
        parameter = node.declare_parameter(
            name, list(default) if isinstance(default, tuple) else default, descriptor
        )
    return parameter.value


def _parameter_type(hint: Any) -> Parameter.Type:
    if typing.get_origin(hint) is tuple:
        return _ARRAYS[typing.get_args(hint)[0]]
    return _TYPES[hint]


def _descriptor(kind: Parameter.Type, info: SettingInfo) -> ParameterDescriptor:
    unit = f" [{info.unit}]" if info.unit else ""
    choices = f" One of: {', '.join(info.choices)}." if info.choices else ""
    descriptor = ParameterDescriptor(description=f"{info.doc}{unit}{choices}", read_only=True)
    if info.low is not None and info.high is not None:
        if kind is Parameter.Type.DOUBLE:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(info.low), to_value=float(info.high), step=0.0)
            ]
        elif kind is Parameter.Type.INTEGER:
            descriptor.integer_range = [
                IntegerRange(from_value=int(info.low), to_value=int(info.high), step=1)
            ]
    return descriptor
