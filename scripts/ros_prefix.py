"""Make a virtual environment filled with the ROS 2 wheels a prefix that CMake can build against.

The wheels export the include paths of the machine that built them; this rewrites those to the paths of
this interpreter. Runs inside the environment, after its wheels are installed and before colcon.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

# What the wheel builder's interpreter looked like, numpy's headers first because they are the longer match.
_NUMPY_INCLUDE = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_core/include")
_PYTHON_INCLUDE = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
_FOREIGN = re.compile(r"/opt/python/cp3\d+-cp3\d+/[^;\"\s]*")


def rewrite(text: str, *, python_include: str, numpy_include: str) -> str:
    """Replace the wheel builder's include paths; text that is already right comes back unchanged.

    :param text: content of an exported CMake file.
    :param python_include: folder that holds this interpreter's ``Python.h``.
    :param numpy_include: folder that holds ``numpy/arrayobject.h``.
    """
    text = _NUMPY_INCLUDE.sub(lambda _: numpy_include, text)
    return _PYTHON_INCLUDE.sub(lambda _: python_include, text)


def relocate(prefix: Path, *, python_include: str, numpy_include: str) -> list[Path]:
    """Rewrite every exported CMake file under a prefix.

    :param prefix: root of the virtual environment.
    :returns: files that changed; empty on a second call.
    :raises ValueError: when a path of the wheel builder is left that this does not know how to replace.
    """
    changed = []
    for path in sorted((prefix / "share").glob("**/*.cmake")):
        before = path.read_text(encoding="utf-8")
        after = rewrite(before, python_include=python_include, numpy_include=numpy_include)
        if left := _FOREIGN.search(after):
            raise ValueError(f"{path} still names {left.group()}: teach {Path(__file__).name} to replace it")
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


def main() -> None:
    """Relocate the environment that runs this script."""
    changed = relocate(
        Path(sys.prefix),
        python_include=sysconfig.get_path("include"),
        numpy_include=numpy.get_include(),
    )
    print(f"relocated {len(changed)} exported CMake files of {sys.prefix}")


if __name__ == "__main__":
    main()
