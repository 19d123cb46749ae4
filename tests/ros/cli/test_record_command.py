"""``dopamine record`` as a process of its own: keys of a terminal, and what its end does to the goal."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest

from tests.ros.cli.fake_graph import FakeGraph
from tests.ros.command_graph import wait_until


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_takes_its_goal_back(how):
    """A recording without a time limit would otherwise stay open for ever."""
    graph = FakeGraph(slow_record=True)
    command = [sys.executable, "-m", "dopamine_cli.main", "record", "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: "record" in graph.names(), "the goal")
        time.sleep(0.5)  # its acceptance is on the way
        child.send_signal(how)
        assert child.wait(timeout=20.0) == 130
        wait_until(lambda: "cancelled" in graph.names(), "the cancel", 10.0)
    finally:
        child.kill()
        child.communicate()
        graph.close()


def test_a_key_keeps_the_demonstration():
    graph = FakeGraph(slow_record=True)
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-m", "dopamine_cli.main", "record"]
    child = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: "record" in graph.names(), "the goal")
        time.sleep(0.5)
        os.write(ours, b"xk")
        said, _ = child.communicate(timeout=20.0)
        assert child.returncode == 0 and "e1 kept" in said and "/bag/1" in said
        assert termios.tcgetattr(theirs) == before
    finally:
        child.kill()
        graph.close()
        os.close(ours)
        os.close(theirs)
