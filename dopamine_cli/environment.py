"""The environment of every process of the suite: in come a prefix and a domain, out goes what ROS 2 reads.

Pure standard library, because it runs before any ROS library may be loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

RMW = "rmw_fastrtps_cpp"
#: Guard of the ROS wheels' start hook: with it and LD_LIBRARY_PATH set an interpreter is not started twice.
BOOTSTRAPPED = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
_PROFILE = "config/fastdds.xml"


def default_profile() -> Path:
    """Return the shipped Fast DDS profile: from the checkout, else from the installed package.

    :raises FileNotFoundError: when neither holds ``config/fastdds.xml``.
    """
    checkout = Path(__file__).resolve().parent.parent
    prefixes = [Path(sys.prefix), *map(Path, filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)))]
    candidates = [checkout / _PROFILE, *(prefix / "share" / "robo_dopamine" / _PROFILE for prefix in prefixes)]
    for path in candidates:
        if path.is_file():
            return path
    tried = ", ".join(map(str, candidates))
    raise FileNotFoundError(f"expected the Fast DDS profile at one of {tried}: install the package again")


def ros_environment(
    *,
    domain_id: int | None = None,
    profile: Path | None = None,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return a whole environment for a ROS process of this interpreter.

    :param domain_id: ROS domain, 0..100 (ephemeral ports start above); None keeps the one of ``base``.
    :param profile: Fast DDS profile; None takes the shipped one.
    :param base: environment to start from; None takes this process's.
    """
    env = dict(os.environ if base is None else base)
    env.update(
        RMW_IMPLEMENTATION=RMW,
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        FASTRTPS_DEFAULT_PROFILES_FILE=str(profile or default_profile()),
        PYTHONUNBUFFERED="1",
    )
    if domain_id is not None:
        env["ROS_DOMAIN_ID"] = str(domain_id)
    if wheels_prefix() is not None:
        _use_wheels(env, Path(sys.prefix))
    return env


def wheels_prefix() -> Path | None:
    """Return the virtual environment that is a ROS prefix, None where ROS came with the system."""
    prefix = Path(sys.prefix)
    return prefix if (prefix / "lib" / "librcl.so").exists() else None


def _use_wheels(env: dict[str, str], prefix: Path) -> None:
    """Point the environment at the ROS wheels alone, so that a sourced ROS installation cannot mix in."""
    env["AMENT_PREFIX_PATH"] = str(prefix)
    libraries = [prefix / "lib", *sorted(site_packages(prefix).glob("ros_*.libs"))]
    env["LD_LIBRARY_PATH"] = os.pathsep.join(str(path) for path in libraries)
    env[BOOTSTRAPPED] = "1"


def site_packages(prefix: Path) -> Path:
    """Return the folder of installed packages under a virtual environment."""
    return prefix / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
