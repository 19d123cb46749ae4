"""Processes around the command path die, freeze or flood: the arm stops softly and goes on without a jump."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from dopamine_msgs.msg import Command
from rosgraph_msgs.msg import Clock

from dopamine_core.control.teleop import Button
from tests.ros.command_graph import (
    PARAMETERS,
    ROOT,
    Stranger,
    process,
    ros,
    spinning,
    stamp_ns,
    wait_until,
)

FASTEST_RAD = 2.5 * 0.02 * 1.01  # fastest joint of config/limits.yaml in one tick
POLICY_PROCESS = """
import time, rclpy
from builtin_interfaces.msg import Duration
from dopamine_msgs.msg import PolicyAction
from dopamine_ros import names, qos
rclpy.init()
node = rclpy.create_node("some_policy")
publisher = node.create_publisher(PolicyAction, names.POLICY_ACTION, qos.COMMANDS)
while True:
    message = PolicyAction(displacement=[0.0, 0.0, 0.005, 0.0, 0.0, 0.0], gripper=1.0, period=Duration(nanosec=10**8))
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    with ros():
        stranger = Stranger()
        with spinning(stranger):
            yield stranger


@contextmanager
def command_node(stranger: Stranger) -> Iterator[subprocess.Popen[str]]:
    with process("dopamine_rl_node.command_node", *PARAMETERS) as child:
        count = len(stranger.commands)
        wait_until(lambda: len(stranger.commands) > count + 10, "the command node")
        stranger.trajectories.clear()
        yield child


@contextmanager
def policy_process(stranger: Stranger) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", POLICY_PROCESS], cwd=ROOT)
    try:
        stranger.until_source(Command.SOURCE_POLICY)
        yield child
    finally:
        child.send_signal(signal.SIGCONT)
        child.kill()
        child.wait()


def no_jump(stranger: Stranger) -> None:
    """No step between trajectories is longer than the fastest joint may go in a tick."""
    wait_until(lambda: len(stranger.trajectories) > 5, "trajectories")
    positions = np.array([m.points[0].positions for m in stranger.trajectories])
    assert np.max(np.abs(np.diff(positions, axis=0))) <= FASTEST_RAD


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_policy_that_dies_or_freezes_becomes_a_hold(
    stranger: Stranger, how: signal.Signals
) -> None:
    with command_node(stranger), policy_process(stranger) as policy:
        policy.send_signal(how)
        stranger.rests(stranger.now_ns(), within_s=0.25)
        last = stranger.commands[-1]
        assert (
            last.source == Command.SOURCE_HOLD and last.limit_reasons & Command.LIMIT_STALE_POLICY
        )
        if how == signal.SIGSTOP:
            policy.send_signal(signal.SIGCONT)
            stranger.until_source(Command.SOURCE_POLICY)
            time.sleep(0.5)
        no_jump(stranger)


def test_a_command_node_that_is_killed_leaves_a_trajectory_that_ends(stranger: Stranger) -> None:
    with command_node(stranger) as child, policy_process(stranger):
        time.sleep(0.5)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        time.sleep(0.3)
        last = stranger.trajectories[-1]
        end = last.points[-1].time_from_start
        assert (end.sec, end.nanosec) == (0, 40_000_000)
        step = np.abs(np.array(last.points[1].positions) - last.points[0].positions)
        assert np.max(step) <= FASTEST_RAD
    stranger.q = stranger.q + 0.05  # moved while nobody watched
    with command_node(stranger):
        command = stranger.until_source(Command.SOURCE_HOLD)
        np.testing.assert_allclose(command.joint_positions, stranger.q, atol=1e-3)
        no_jump(stranger)


def test_a_joystick_that_dies_while_driving_releases_the_dead_man(stranger: Stranger) -> None:
    with command_node(stranger):
        stranger.joy = ([0.0, 0.0, 0.0, 0.0, 0.5], {Button.DEAD_MAN})
        stranger.until_source(Command.SOURCE_HUMAN)
        stranger.joy = None
        stranger.rests(stranger.now_ns(), within_s=0.45)
        stranger.until_source(Command.SOURCE_HOLD)
        no_jump(stranger)


def test_a_flood_of_actions_moves_no_faster_than_the_limits(stranger: Stranger) -> None:
    with command_node(stranger):
        start = stranger.position()
        begun = time.monotonic()
        for _ in range(300):
            stranger.act([0.0, 0.0, -1.0, 0.0, 0.0, 0.0])
            time.sleep(0.002)
        moved = np.linalg.norm(stranger.position() - start)
        assert moved <= 0.2 * (time.monotonic() - begun) + 0.02  # max_step_m in a decision period
        no_jump(stranger)


def test_joint_states_that_come_and_go_never_make_it_jump(stranger: Stranger) -> None:
    with command_node(stranger), policy_process(stranger):
        for _ in range(3):
            stranger.speak_joints = False
            stranger.until_source(Command.SOURCE_NONE)
            assert stranger.commands[-1].limit_reasons & Command.LIMIT_STALE_JOINT_STATES
            stranger.speak_joints = True
            stranger.until_source(Command.SOURCE_POLICY)
        no_jump(stranger)


def test_simulated_time_is_obeyed(stranger: Stranger) -> None:
    extra = ("-p", "use_sim_time:=true")
    with process("dopamine_rl_node.command_node", *PARAMETERS, extra=extra):
        clock = stranger.create_publisher(Clock, "/clock", 5)
        wait_until(lambda: clock.get_subscription_count() > 0, "the node's clock")
        time.sleep(0.5)
        stranger.commands.clear()
        for step in range(200):  # 2 s of simulated time in about 0.6 s
            message = Clock()
            message.clock.sec, message.clock.nanosec = 100 + step // 100, step % 100 * 10_000_000
            clock.publish(message)
            time.sleep(0.003)
        wait_until(lambda: stamp_ns(stranger.commands[-1]) >= 101_900_000_000, "the last ticks")
        time.sleep(0.5)  # the clock stands: so does the arm
        stamps = [stamp_ns(command) for command in stranger.commands]
        assert 70 <= len(stamps) <= 101
        assert 100_000_000_000 <= min(stamps) and max(stamps) <= 102_000_000_000
