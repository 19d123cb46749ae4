"""The last one out: hears of process groups over a pipe and ends them when the pipe breaks.

A graph's parent may be killed without a chance to clean up. Every graph therefore starts this small process,
in a session of its own; each line it reads is a process group, ``done`` ends it in peace. When the pipe closes
without that, the parent is dead: interrupt the groups, kill what is left, remove their shared memory.
Standard library only, run as a file by ``python -I -S``.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dopamine_cli import shared_memory  # noqa: E402  (found only by the line above)

POLL_S = 0.05
LOOK_S = 2.0  # between two looks at the graph's shared memory


def members(group: int) -> list[int]:
    """Return the processes of a group that still run; zombies are over."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # state, parent and group follow the command's name, which may hold spaces and brackets
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state not in "ZX":
                found.append(int(entry.name))
    return found


def end_groups(groups: Iterable[int], *, grace_s: float) -> set[str]:
    """Interrupt process groups, then terminate, then kill; returns when none has a member left.

    :param grace_s: how long a group may take to end by itself; the last half after SIGTERM.
    :returns: names of the Fast DDS files they had mapped.
    """
    left, files = list(groups), set()
    stages = ((signal.SIGINT, grace_s / 2), (signal.SIGTERM, grace_s / 2), (signal.SIGKILL, 5.0))
    for number, patience_s in stages:
        left = [group for group in left if members(group)]
        for group in left:
            files.update(*(shared_memory.mapped_by(pid) for pid in members(group)))
            _signal(group, number)
        until = time.monotonic() + patience_s
        while left and time.monotonic() < until:
            time.sleep(POLL_S)
            left = [group for group in left if members(group)]
    return files


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def listen(fd: int, parent: int) -> tuple[list[int], bool, set[str]]:
    """Collect process groups from a pipe until it closes or says ``done``.

    :param parent: process at the other end; its Fast DDS files and its groups' are remembered meanwhile, because one
        that is gone cannot name them any more.
    :returns: groups, whether the parent said ``done``, and the names of the files.
    """
    text, files = b"", set()
    while not text.endswith(b"done\n"):
        if select.select([fd], [], [], LOOK_S)[0]:
            words = os.read(fd, 4096)
            if not words:
                break
            text += words
        else:
            files.update(*map(shared_memory.mapped_by, (parent, *_numbers(text))))
    return _numbers(text), text.endswith(b"done\n"), files


def _numbers(text: bytes) -> list[int]:
    return [int(line) for line in text.split() if line != b"done"]


def main() -> None:
    """Wait for the end of the process that started this one."""
    grace_s, parent = float(sys.argv[1]), os.getppid()
    groups, done, files = listen(sys.stdin.fileno(), parent)
    if not done:
        files |= end_groups(groups, grace_s=grace_s)
        shared_memory.remove(shared_memory.abandoned(files))


if __name__ == "__main__":
    main()
