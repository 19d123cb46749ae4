"""Declared settings: one frozen dataclass per part, every field with unit, range and sentence.

``setting`` attaches the metadata; ``check`` enforces it; ``from_mapping`` builds a config from YAML or ROS
parameters. ``dopamine_ros.parameters`` declares the same dataclass on a node, so a number is described once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from dopamine_core.errors import ConfigError

T = TypeVar("T")
REQUIRED = dataclasses.MISSING


@dataclass(frozen=True)
class SettingInfo:
    """What a setting means: sentence, unit and allowed values."""

    doc: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def setting(
    default: Any = REQUIRED,
    *,
    doc: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare one field of a config dataclass.

    :param default: default value; leave out for a required setting (safety limits have no defaults). Lists are
        given as tuples.
    :param doc: one sentence.
    :param unit: SI unit, empty when dimensionless.
    :param low: inclusive lower bound (each element of a tuple is checked).
    :param high: inclusive upper bound.
    :param choices: allowed strings.
    """
    info = SettingInfo(doc=doc, unit=unit, low=low, high=high, choices=choices)
    return dataclasses.field(default=default, metadata={"setting": info})


def info_of(field: dataclasses.Field[Any]) -> SettingInfo:
    """Return the metadata of a field made by :func:`setting`."""
    return field.metadata["setting"]


def check(config: Any) -> None:
    """Check every field of a config against its declared range.

    :raises ConfigError: naming the field, its value and the rule. Call it from ``__post_init__``.
    """
    for field in dataclasses.fields(config):
        if "setting" in field.metadata:
            _check_value(type(config).__name__, field.name, getattr(config, field.name), info_of(field))


def _check_value(owner: str, name: str, value: Any, info: SettingInfo) -> None:
    if info.choices and value not in info.choices:
        raise ConfigError(
            expected=f"{owner}.{name} to be one of {', '.join(info.choices)}",
            got=repr(value),
            remedy=f"correct '{name}' ({info.doc})",
        )
    for number in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        below = info.low is not None and not number >= info.low
        above = info.high is not None and not number <= info.high
        if below or above:
            raise ConfigError(
                expected=f"{owner}.{name} in [{info.low}, {info.high}] {info.unit}".rstrip(),
                got=repr(value),
                remedy=f"correct '{name}' ({info.doc})",
            )


def from_mapping(cls: type[T], values: dict[str, Any]) -> T:
    """Build a config dataclass from plain values, as read from YAML or ROS parameters.

    :raises ConfigError: on unknown names, missing required settings or wrong types.
    """
    hints = get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(
            expected=f"settings of {cls.__name__} ({', '.join(known)})",
            got=f"unknown {', '.join(unknown)}",
            remedy="remove or rename them",
        )
    missing = [
        name
        for name, field in known.items()
        if name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(
            expected=f"required settings of {cls.__name__}: {', '.join(missing)}",
            got="none",
            remedy="set them; they have no default on purpose",
        )
    return cls(**{name: _coerce(cls.__name__, name, hints[name], value) for name, value in values.items()})


def _coerce(owner: str, name: str, hint: Any, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(value)
    try:
        if hint is float and not isinstance(value, bool):
            return float(value)
        if hint is int and not isinstance(value, bool) and float(value) == int(value):
            return int(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            expected=f"{owner}.{name} as {hint.__name__}", got=repr(value), remedy="correct its type"
        ) from error
    if hint in (str, bool, int, float) and not isinstance(value, hint):
        raise ConfigError(
            expected=f"{owner}.{name} as {hint.__name__}", got=repr(value), remedy="correct its type"
        )
    return value


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    :raises ConfigError: when the file is missing, unreadable or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(expected=f"a YAML file at {path}", got=str(error), remedy="check the path") from error
    if not isinstance(content, dict):
        raise ConfigError(expected=f"a mapping in {path}", got=type(content).__name__, remedy="see config/")
    return content
