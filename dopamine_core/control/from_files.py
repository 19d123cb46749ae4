"""The parameter files of the command path in; a command core with the same numbers as the node's out.

For the lock-step environment and for tests: what runs there is what runs on the robot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dopamine_core.config import from_mapping, load_yaml
from dopamine_core.control.command_core import CommandConfig, CommandCore
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.limits import Limits, LimitsConfig
from dopamine_core.control.reset_motion import ResetConfig
from dopamine_core.errors import ConfigError, LimitsError

_NOT_TIMING = (
    "reset",
    "joy",
    "limits",
    "urdf_path",
    "tcp_frame",
    "base_frame",
    "realtime_priority",
)


def parameters_of(path: Path) -> dict[str, Any]:
    """Parameters in a ROS parameter file with one ``/**`` block.

    :raises ConfigError: when the file is not such a file.
    """
    block = load_yaml(path).get("/**")
    if not isinstance(block, dict) or not isinstance(block.get("ros__parameters"), dict):
        raise ConfigError(
            expected=f"'/**: ros__parameters:' in {path.name}",
            got="something else",
            remedy="see config/*.yaml",
        )
    return block["ros__parameters"]


def limits_of(path: Path, kinematics: Kinematics) -> Limits:
    """Read the limits block of a parameter file and cut it with the robot description.

    :raises LimitsError: when the block is missing, incomplete or contradicts itself or the description.
    """
    try:
        config = from_mapping(LimitsConfig, parameters_of(path).get("limits", {}))
    except ConfigError as error:
        raise LimitsError(expected=error.expected, got=error.got, remedy=error.remedy) from error
    return limits_for(config, kinematics)


def limits_for(config: LimitsConfig, kinematics: Kinematics) -> Limits:
    """Cut a limits block with the robot description.

    :raises LimitsError: when they contradict each other.
    """
    return Limits.intersect(
        config,
        joint_names=kinematics.joint_names,
        urdf_lower_rad=kinematics.lower_rad,
        urdf_upper_rad=kinematics.upper_rad,
        urdf_velocity_rad_s=kinematics.max_velocity_rad_s,
    )


def command_core_of(
    kinematics: Kinematics,
    *,
    limits_file: Path = Path("config/limits.yaml"),
    command_file: Path = Path("config/command_node.yaml"),
) -> CommandCore:
    """Build a command core from the node's own parameter files.

    :raises LimitsError: when the limits are missing or contradict each other.
    :raises ConfigError: when a file or a value is wrong.
    """
    values = parameters_of(command_file)
    timing = {name: value for name, value in values.items() if name not in _NOT_TIMING}
    return CommandCore(
        kinematics=kinematics,
        limits=limits_of(limits_file, kinematics),
        config=from_mapping(CommandConfig, timing),
        reset=from_mapping(ResetConfig, values.get("reset", {})),
    )
