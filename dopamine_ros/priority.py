"""Real-time priority of a node's process, as ros2_control's controller manager takes it."""

from __future__ import annotations

import os
from pathlib import Path

_TASKS = Path("/proc/self/task")


def take_realtime(priority: int) -> str:
    """Schedule every thread of this process in real time (round robin), ahead of all ordinary processes.

    Call it when the node is made: the middleware's threads exist by then.

    :param priority: 1 ... 99; 0 leaves the process as it is.
    :return: why it could not be done and what to do; empty when it was done or not asked for.
    """
    if priority == 0:
        return ""
    parameters = os.sched_param(priority)
    try:
        for task in _TASKS.iterdir():
            _schedule(int(task.name), parameters)
    except PermissionError:
        return (
            f"expected permission for real-time priority {priority}, got none: periods depend on the other "
            "processes; allow it with 'rtprio' in /etc/security/limits.d, or set realtime_priority to 0"
        )
    return ""


def _schedule(task: int, parameters: os.sched_param) -> None:
    try:
        os.sched_setscheduler(task, os.SCHED_RR, parameters)
    except ProcessLookupError:
        pass  # that thread has just ended
