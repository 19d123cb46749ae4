"""Exported CMake files: the wheel builder's paths become ours, once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts.ros_prefix import relocate, rewrite

OURS = {"python_include": "/env/include", "numpy_include": "/env/numpy"}
BUILDER = "/opt/python/cp312-cp312"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{BUILDER}/include/python3.12", "/env/include"),
        (f"{BUILDER}/lib/python3.12/site-packages/numpy/_core/include", "/env/numpy"),
        (
            '"/opt/python/cp311-cp311/include/python3.11;'
            '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include"',
            '"/env/include;/env/numpy"',
        ),
        ("/usr/include/python3.12", "/usr/include/python3.12"),
    ],
)
def test_rewrite(before: str, after: str) -> None:
    assert rewrite(before, **OURS) == after
    assert rewrite(after, **OURS) == after


def test_a_second_relocation_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "share" / "std_msgs" / "cmake" / "export.cmake"
    file.parent.mkdir(parents=True)
    file.write_text(f'set(include "{BUILDER}/include/python3.12")\n')
    assert relocate(tmp_path, **OURS) == [file]
    assert relocate(tmp_path, **OURS) == []
    assert file.read_text() == 'set(include "/env/include")\n'


def test_an_unknown_path_of_the_builder_stops_set_up(tmp_path: Path) -> None:
    file = tmp_path / "share" / "x.cmake"
    file.parent.mkdir(parents=True)
    file.write_text(f"{BUILDER}/lib/libpython.so\n")
    with pytest.raises(ValueError, match="still names /opt/python/cp312-cp312/lib/libpython.so"):
        relocate(tmp_path, **OURS)


def test_this_environment_names_no_builder() -> None:
    exports = list((Path(sys.prefix) / "share").glob("**/*.cmake"))
    assert len(exports) > 100
    assert [path for path in exports if "/opt/python/" in path.read_text("utf-8")] == []
