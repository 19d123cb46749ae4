"""What the system must have before wheels help: compilers, headers, offscreen OpenGL."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from scripts.steps import SetupError


@dataclass(frozen=True)
class Need:
    """Something the system must have, and the Debian package that brings it."""

    what: str
    package: str
    present: bool


def needs() -> list[Need]:
    """Look for everything, in the order in which it is used."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    # Debian's own interpreter has its headers and venv in packages of their own.
    python = f"python{version}"
    include = Path(sysconfig.get_path("include"), "Python.h")
    return [
        Need("the module venv", f"{python}-venv", _has_venv()),
        Need("Python.h", f"{python}-dev", include.is_file()),
        Need("cmake", "cmake", shutil.which("cmake") is not None),
        Need("make", "make", shutil.which("make") is not None),
        Need("a C++ compiler", "g++", shutil.which("g++") is not None),
        Need("libEGL", "libegl1", _has_library("libEGL.so.1")),
        Need("libOpenGL", "libopengl0", _has_library("libOpenGL.so.0")),
        Need("Mesa's EGL", "libegl-mesa0", _has_library("libEGL_mesa.so.0")),
        Need("software OpenGL", "libgl1-mesa-dri", _has_software_renderer()),
    ]


def ensure() -> None:
    """Install what is missing when that is allowed.

    :raises SetupError: with the exact command when it is not.
    """
    missing = [need for need in needs() if not need.present]
    if not missing:
        return
    packages = sorted({need.package for need in missing})
    print(f"missing: {', '.join(need.what for need in missing)}", flush=True)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(
            f"the system lacks {', '.join(need.what for need in missing)}; install them and start again:\n"
            f"    sudo apt-get update && sudo apt-get install -y {' '.join(packages)}"
        )
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], check=True, env=environment)
    subprocess.run(["apt-get", "install", "-q", "-y", *packages], check=True, env=environment)
    if left := [need.what for need in needs() if not need.present]:
        raise SetupError(f"after installing {' '.join(packages)} the system still lacks {', '.join(left)}")


def _has_venv() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip"))


def _has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _has_software_renderer() -> bool:
    """Mesa up to 24 ships one driver file per device, later ones a single library."""
    folders = (Path("/usr/lib"), Path("/usr/lib64"))
    patterns = ("*/dri/swrast_dri.so", "dri/swrast_dri.so", "*/libgallium-*.so", "libgallium-*.so")
    return any(next(folder.glob(pattern), None) for folder in folders for pattern in patterns)
