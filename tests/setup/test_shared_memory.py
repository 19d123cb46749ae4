"""Shared memory: the profile fits /dev/shm, and only files of the dead are removed."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from dopamine_cli import shared_memory
from dopamine_cli.environment import default_profile

MIB = 2**20


def test_the_shipped_profile_carries_a_camera_image_in_one_message() -> None:
    text = default_profile().read_text()
    assert shared_memory.segment_mib(default_profile()) == 32
    message = int(text.partition("<maxMessageSize>")[2].partition("<")[0])
    assert message > 640 * 480 * 3 + 1024
    assert "<address>127.0.0.1</address>" in text


@pytest.mark.parametrize(
    ("free_mib", "segment_mib"),
    [(4096, 32), (413, 32), (411, 16), (211, 16), (210, 8), (110, 8), (109, 4), (64, 4), (59, None), (0, None)],
)
def test_the_largest_segment_that_fits_twelve_participants(
    tmp_path: Path, free_mib: int, segment_mib: int | None
) -> None:
    profile = shared_memory.choose_profile(default_profile(), tmp_path, free=free_mib * MIB)
    assert (None if profile is None else profile.segment_mib) == segment_mib
    if profile is not None:
        assert shared_memory.segment_mib(profile.path) == segment_mib
        assert profile.shipped == (profile.path == default_profile()) == (segment_mib == 32)


def test_only_unlocked_segments_are_abandoned_and_removed(tmp_path: Path) -> None:
    names = ["fastrtps_0123456789abcdef", "fastrtps_fedcba9876543210", "fastrtps_port7410"]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * 8192)
        (tmp_path / f"{name}_el").touch()
    (tmp_path / "sem.fastrtps_port7410_mutex").write_bytes(b"y")
    (tmp_path / "somebody_else").touch()
    with (tmp_path / f"{names[0]}_el").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert shared_memory.abandoned(folder=tmp_path) == names[1:]
        assert shared_memory.abandoned([names[0]], folder=tmp_path) == []
        freed = shared_memory.remove(shared_memory.abandoned(folder=tmp_path), folder=tmp_path)
    assert freed >= 2 * 8192
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [names[0], f"{names[0]}_el", "somebody_else"]
