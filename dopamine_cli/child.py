"""First code of every node process: takes its priority, ties its life to its parent, becomes the node.

Run as ``python -m dopamine_cli.child PARENT_PID NICE MODULE [ARGUMENT ...]`` by graph.py.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent_pid: int, number: int = signal.SIGTERM) -> None:
    """Ask the kernel for a signal when the parent's thread that started us ends.

    :raises SystemExit: when the parent is gone already.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the kernel was asked
        raise SystemExit(128 + number)


def main() -> None:
    """Become the module named on the command line."""
    parent_pid, nice, module, *arguments = sys.argv[1:]
    die_with(int(parent_pid))
    os.nice(int(nice))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
