"""Real-time priority: all threads get it, or it is said why not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dopamine_ros import priority
from tests.ros.command_graph import ROOT

SCRIPT = """
import os, threading, time
from dopamine_ros.priority import take_realtime
threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
problem = take_realtime(3)
policies = [os.sched_getscheduler(int(task)) for task in os.listdir("/proc/self/task")]
print(problem or f"{len(policies)} threads, all in real time: {set(policies) == {os.SCHED_RR}}")
"""


def test_every_thread_gets_it_or_the_refusal_says_what_to_do() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "all in real time: True" in run.stdout or "rtprio" in run.stdout


def test_zero_leaves_the_process_alone() -> None:
    assert priority.take_realtime(0) == ""
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_refusal_is_said_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert "rtprio" in priority.take_realtime(10)
