"""Fast DDS's shared memory: the size of /dev/shm in, a profile that fits it out; files of the dead removed.

Standard library only, and nothing of the suite but environment.py: reaper.py runs it without packages.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SHM = Path("/dev/shm")
#: Processes of the whole graph, its client and a few tools of a person.
PARTICIPANTS = 12
_MIB = 2**20
# Measured with Fast DDS 2.14: descriptors grow with the segment, ports and a second small segment do not.
_DESCRIPTORS, _FIXED = 1.05, 3 * _MIB // 4
_FALLBACK_MIB = (16, 8, 4)
_SEGMENT = re.compile(r"<segment_size>(\d+)</segment_size>")
_NAME = re.compile(r"fastrtps_[0-9a-f]{16}|fastrtps_port\d+")
_MAPPED = re.compile(rf"/dev/shm/({_NAME.pattern})\b")


@dataclass(frozen=True)
class Profile:
    """The Fast DDS profile of a run and the size of its shared-memory segments."""

    path: Path
    segment_mib: int
    shipped: bool  # False when written for this run because /dev/shm is small


def segment_mib(profile: Path) -> int:
    """Return the segment size that a profile asks for, in MiB.

    :raises ValueError: when the profile names none.
    """
    found = _SEGMENT.search(profile.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"expected <segment_size> in {profile}, got none: restore config/fastdds.xml")
    return int(found.group(1)) // _MIB


def needed_bytes(segment: int, participants: int = PARTICIPANTS) -> int:
    """Return what a graph takes of /dev/shm; Fast DDS reserves each segment whole at start."""
    return participants * (int(segment * _MIB * _DESCRIPTORS) + _FIXED)


def free_bytes() -> int:
    """Return what is free in /dev/shm."""
    return shutil.disk_usage(SHM).free


def choose_profile(shipped: Path, run_dir: Path, *, free: int, participants: int = PARTICIPANTS) -> Profile | None:
    """Take the shipped profile, or write one with the largest smaller segments that fit.

    :param free: bytes free in /dev/shm.
    :returns: None when not even the smallest fits: images would be lost without a word.
    """
    wanted = segment_mib(shipped)
    if needed_bytes(wanted, participants) <= free:
        return Profile(shipped, wanted, shipped=True)
    for size in _FALLBACK_MIB:
        if size < wanted and needed_bytes(size, participants) <= free:
            path = run_dir / "fastdds.xml"
            text = shipped.read_text(encoding="utf-8")
            text = _SEGMENT.sub(f"<segment_size>{size * _MIB}</segment_size>", text)
            path.write_text(text, encoding="utf-8")
            return Profile(path, size, shipped=False)
    return None


def mapped_by(pid: int) -> frozenset[str]:
    """Return the names of Fast DDS files that a process maps; empty when it is gone."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return frozenset(_MAPPED.findall(maps))


def abandoned(names: Iterable[str] | None = None, folder: Path = SHM) -> list[str]:
    """Return segments and ports that nobody uses: no process maps them and nobody holds their lock.

    Either alone is not enough: a file is unlocked for a moment while it is made, and a process of another container
    is not seen in /proc.

    :param names: look only at these; None looks at all.
    """
    if names is None:
        names = [path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    free = [name for name in names if (folder / name).exists() and _unlocked(folder / f"{name}_el")]
    used = frozenset[str]().union(*map(mapped_by, _processes())) if free else frozenset()
    return sorted(set(free) - used)


def remove(names: Iterable[str], folder: Path = SHM) -> int:
    """Remove segments or ports with their locks.

    :returns: bytes given back.
    """
    freed = 0
    for name in names:
        for path in (folder / name, folder / f"{name}_el", folder / f"{name}_sl", folder / f"sem.{name}_mutex"):
            try:
                freed += path.stat().st_blocks * 512
                path.unlink()
            except OSError:
                continue
    return freed


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _unlocked(lock: Path) -> bool:
    """Say whether nobody holds a Fast DDS lock file; a missing one belongs to nobody."""
    try:
        fd = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
