"""The command node in its own process, judged by a stranger who knows only the topics."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from dopamine_msgs.msg import Command
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from dopamine_core.control.teleop import Button
from dopamine_ros import names, qos
from dopamine_ros.convert.stamps import to_ns
from tests.ros.command_graph import (
    CONFIG,
    PARAMETERS,
    ROOT,
    Stranger,
    last_words,
    process,
    ros,
    spinning,
    wait_until,
)

FORWARD = [0.01, 0.0, 0.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def graph() -> Iterator[Stranger]:
    with ros():
        stranger = Stranger()
        with spinning(stranger), process("dopamine_rl_node.command_node", *PARAMETERS):
            wait_until(lambda: len(stranger.commands) > 10, "the command node")
            yield stranger


@pytest.fixture
def stranger(graph: Stranger) -> Iterator[Stranger]:
    """Everything as in the beginning: fresh joints and images, nobody asks for anything."""
    graph.speak_joints = graph.speak_images = True
    graph.spoil = lambda message: None
    graph.joy = None
    graph.call(names.CLEAR_STOP)
    graph.until_source(Command.SOURCE_HOLD)
    graph.commands.clear()
    graph.trajectories.clear()
    yield graph


def test_it_holds_from_the_start_where_the_arm_is(stranger: Stranger) -> None:
    command = stranger.until_source(Command.SOURCE_HOLD)
    np.testing.assert_allclose(command.joint_positions, stranger.q, atol=0.02)
    assert list(command.joint_names) == stranger.joint_names


def test_trajectories_obey_the_controllers_rules(stranger: Stranger) -> None:
    stranger.act_for(0.5, FORWARD)
    wait_until(lambda: len(stranger.trajectories) > 15, "trajectories")
    for message in stranger.trajectories:
        times = [
            point.time_from_start.sec * 10**9 + point.time_from_start.nanosec
            for point in message.points
        ]
        assert times == [20_000_000, 40_000_000]
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (
            0,
            0,
        )  # start on arrival
        assert all(
            len(point.positions) == len(message.joint_names) == 6 for point in message.points
        )
        assert all(not point.velocities for point in message.points)


def test_a_policy_action_is_executed_and_told(stranger: Stranger) -> None:
    x = stranger.position()[0]
    stranger.act_for(1.0, FORWARD)
    wait_until(
        lambda: stranger.commands[-1].source == Command.SOURCE_HOLD, "the end of the actions"
    )
    moved = [command for command in stranger.commands if command.source == Command.SOURCE_POLICY]
    executed: dict[int, float] = {}
    for command in moved:
        stamp = to_ns(command.decision_stamp)
        executed[stamp] = executed.get(stamp, 0.0) + command.executed[0]
    whole = [share for share in executed.values() if share == pytest.approx(0.01, abs=2e-4)]
    assert len(whole) >= 5  # a busy machine may cut one short: then its ticks say why
    total = np.sum([command.executed for command in stranger.commands], axis=0)
    assert stranger.position()[0] - x == pytest.approx(total[0], abs=4e-3)
    assert stranger.gripper[-1] == 1.0


def test_a_silent_policy_becomes_a_hold_that_is_latched(stranger: Stranger) -> None:
    stranger.act_for(0.3, FORWARD)
    silent = stranger.now_ns()
    stranger.rests(silent, within_s=0.25)
    last = stranger.commands[-1]
    assert last.source == Command.SOURCE_HOLD
    assert last.limit_reasons & Command.LIMIT_STALE_POLICY and "policy" in last.text


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nothing_that_is_not_finite_gets_out(stranger: Stranger, bad: float) -> None:
    for _ in range(5):
        stranger.act([bad, 0.0, 0.0, 0.0, 0.0, 0.0])
        stranger.act(FORWARD, gripper=bad)
        time.sleep(0.05)
    wait_until(
        lambda: any(c.limit_reasons & Command.LIMIT_NON_FINITE for c in stranger.commands),
        "the named reason",
    )
    assert all(np.all(np.isfinite(p.positions)) for m in stranger.trajectories for p in m.points)
    assert all(math.isfinite(level) for level in stranger.gripper)


def test_stale_images_hold_the_policy(stranger: Stranger) -> None:
    stranger.speak_images = False
    time.sleep(0.7)
    stranger.commands.clear()
    stranger.act_for(0.5, FORWARD)
    assert not any(command.source == Command.SOURCE_POLICY for command in stranger.commands)
    assert any(command.limit_reasons & Command.LIMIT_STALE_IMAGES for command in stranger.commands)


def test_stale_joint_states_mean_silence(stranger: Stranger) -> None:
    stranger.speak_joints = False
    command = stranger.until_source(Command.SOURCE_NONE)
    assert command.limit_reasons & Command.LIMIT_STALE_JOINT_STATES
    assert not command.joint_names and not command.joint_positions
    time.sleep(0.5)
    stranger.trajectories.clear()
    stranger.act_for(0.3, FORWARD)
    assert stranger.trajectories == []
    stranger.speak_joints = True
    command = stranger.until_source(Command.SOURCE_HOLD)
    np.testing.assert_allclose(command.joint_positions, stranger.q, atol=1e-6)


def nan_joint(message: JointState) -> None:
    message.position[2] = math.nan


def no_names(message: JointState) -> None:
    message.name = []


def other_names(message: JointState) -> None:
    message.name = [f"other_{name}" for name in message.name]


def zero_stamp(message: JointState) -> None:
    message.header.stamp.sec = message.header.stamp.nanosec = 0


def future_stamp(message: JointState) -> None:
    message.header.stamp.sec += 5


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (nan_joint, "joint_3"),
        (no_names, "names"),
        (other_names, "other_"),
        (zero_stamp, "zero"),
        (future_stamp, "in the future"),
    ],
)
def test_broken_joint_states_are_named_in_a_diagnostic(
    stranger: Stranger, spoil, word: str
) -> None:
    stranger.spoil = spoil
    stranger.until_source(Command.SOURCE_NONE)
    status = "command_node: joint states"
    wait_until(
        lambda: word in stranger.statuses.get(status, (0, ""))[1], f"a diagnostic with {word!r}"
    )
    assert stranger.statuses[status][0] > 0
    stranger.spoil = lambda message: None
    stranger.until_source(Command.SOURCE_HOLD)
    wait_until(lambda: stranger.statuses[status][0] == 0, "the diagnostic to be well again")


def test_a_latched_stop_beats_everybody_until_it_is_cleared(stranger: Stranger) -> None:
    assert stranger.call(names.STOP).success
    stranger.until_source(Command.SOURCE_STOP)
    stranger.commands.clear()
    stranger.joy = ([0.0, 1.0, 0.0, 0.0, 0.0], {Button.DEAD_MAN})
    stranger.act_for(0.5, FORWARD)
    stranger.go_home()
    time.sleep(0.2)
    assert {command.source for command in stranger.commands} == {Command.SOURCE_STOP}
    assert stranger.commands[-1].reset_state == Command.RESET_FAILED
    wait_until(
        lambda: stranger.statuses.get("command_node: command", (0, ""))[0] == 1, "a diagnostic"
    )
    stranger.joy = None
    assert stranger.call(names.CLEAR_STOP).success
    stranger.until_source(Command.SOURCE_HOLD)


def test_the_joysticks_stop_button_stops(stranger: Stranger) -> None:
    stranger.joy = ([0.0] * 5, set())
    time.sleep(0.2)
    stranger.joy = ([0.0] * 5, {Button.STOP})
    stranger.until_source(Command.SOURCE_STOP)


def test_a_person_takes_over_without_a_jump(stranger: Stranger) -> None:
    stranger.act_for(0.4, FORWARD)
    stranger.joy = ([0.0, 0.0, 0.0, 0.0, 1.0], {Button.DEAD_MAN})
    for _ in range(200):
        stranger.act_for(0.1, FORWARD)
        human = [c for c in stranger.commands if c.source == Command.SOURCE_HUMAN]
        taken = any(c.limit_reasons & Command.LIMIT_TAKEN_OVER for c in human)
        if taken and sum(c.executed[2] for c in human) > 0.03:
            break
    assert taken and sum(c.executed[2] for c in human) > 0.03
    stranger.joy = ([0.0, 0.0, 0.0, 0.0, 1.0], set())
    stranger.until_source(Command.SOURCE_HOLD)
    positions = np.array([m.points[0].positions for m in stranger.trajectories])
    assert (
        np.max(np.abs(np.diff(positions, axis=0))) <= 2.5 * 0.02 * 1.01
    )  # fastest joint, one tick


def test_twists_stamped_or_not_drive_the_arm(stranger: Stranger) -> None:
    from geometry_msgs.msg import Twist, TwistStamped

    for topic, kind in ((names.TELEOP_TWIST, TwistStamped), (names.TELEOP_TWIST_UNSTAMPED, Twist)):
        publisher = stranger.create_publisher(kind, topic, 5)
        wait_until(lambda p=publisher: p.get_subscription_count() > 0, topic)
        stranger.commands.clear()
        for _ in range(10):
            message = kind()
            twist = message.twist if kind is TwistStamped else message
            twist.linear.z = 0.05
            if kind is TwistStamped:
                message.header.stamp = stranger.stamp()
            publisher.publish(message)
            time.sleep(0.05)
        human = [c for c in stranger.commands if c.source == Command.SOURCE_HUMAN]
        assert sum(c.executed[2] for c in human) > 0.01, topic
        wait_until(lambda: stranger.commands[-1].source == Command.SOURCE_HOLD, "the rest")


def test_a_reset_goes_home_and_says_so(stranger: Stranger) -> None:
    stranger.act_for(0.5, [0.0, 0.015, -0.01, 0.0, 0.0, 0.0])
    stranger.go_home()
    stranger.until_source(Command.SOURCE_RESET)
    wait_until(lambda: stranger.commands[-1].reset_state == Command.RESET_DONE, "home")
    np.testing.assert_allclose(stranger.q, stranger.home, atol=0.03)
    assert stranger.gripper[-1] == 0.0


def test_an_unknown_joint_in_a_reset_is_refused(stranger: Stranger) -> None:
    stranger.go_home(joint_names=["elbow"] * 6)
    wait_until(lambda: any("elbow" in c.text for c in stranger.commands), "the named joint")
    assert stranger.commands[-1].reset_state == Command.RESET_FAILED
    assert stranger.commands[-1].source == Command.SOURCE_HOLD


@pytest.mark.parametrize(
    ("kind", "topic"),
    [(JointTrajectory, names.JOINT_TRAJECTORY), (Float64MultiArray, names.GRIPPER_COMMANDS)],
)
def test_a_second_publisher_on_a_command_topic_is_named(
    stranger: Stranger, kind: type, topic: str
) -> None:
    intruder = rclpy.create_node("intruder")  # not spun: it can be destroyed at any time
    intruder.create_publisher(kind, topic, qos.COMMANDS)
    status = f"command_node: publishers of /{topic}"
    wait_until(
        lambda: "/intruder" in stranger.statuses.get(status, (0, ""))[1], "the intruder's name"
    )
    assert stranger.statuses[status][0] == 2
    intruder.destroy_node()
    wait_until(lambda: stranger.statuses[status][0] == 0, "the diagnostic to be well again")


def test_ticks_keep_their_period(stranger: Stranger) -> None:
    time.sleep(3.0)
    stamps = np.array(
        [c.header.stamp.sec + 1e-9 * c.header.stamp.nanosec for c in stranger.commands]
    )
    assert np.median(np.abs(np.diff(stamps) - 0.02)) < 0.002


def limits_without(tmp_path: Path, line: str) -> Path:
    text = (CONFIG / "limits.yaml").read_text()
    path = tmp_path / "limits.yaml"
    path.write_text("\n".join(row for row in text.splitlines() if not row.strip().startswith(line)))
    return path


@pytest.mark.parametrize(
    "missing", ["", "workspace_low_m", "max_step_m", "max_joint_velocity_rad_s"]
)
def test_without_limits_it_refuses_and_says_which(tmp_path: Path, missing: str) -> None:
    files = ["command_node.yaml"] + ([limits_without(tmp_path, missing)] if missing else [])
    with process("dopamine_rl_node.command_node", *files) as child:
        stderr = last_words(child)
    assert child.returncode == 2
    assert "LimitsError" in stderr and (missing or "workspace_low_m") in stderr
    assert "ready" not in stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("workspace_low_m: [0.25,", "workspace_low_m: [.nan,"),
        ("workspace_low_m: [0.25,", "workspace_low_m: [0.95,"),
        ("max_step_m: 0.02", "max_step_m: -0.02"),
        ("joint_names: [joint_1,", "joint_names: [shoulder,"),
        ("max_step_m: 0.02", "max_step_m: far"),
    ],
)
def test_limits_that_contradict_are_refused(tmp_path: Path, old: str, new: str) -> None:
    text = (CONFIG / "limits.yaml").read_text()
    assert old in text
    path = tmp_path / "limits.yaml"
    path.write_text(text.replace(old, new))
    with process("dopamine_rl_node.command_node", "command_node.yaml", path) as child:
        stderr = last_words(child)
    assert child.returncode == 2, stderr
    assert "ready" not in stderr


def test_torch_is_never_in_the_command_nodes_process() -> None:
    script = (
        "import sys; from dopamine_rl_node.command_node import main; code = main(sys.argv[1:]);"
        "heavy = sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'd3rlpy', 'onnxruntime', 'mujoco'});"
        "print(f'code {code} heavy {heavy} pinocchio {\"pinocchio\" in sys.modules}')"
    )
    arguments = ["--ros-args"]
    for name in PARAMETERS:
        arguments += ["--params-file", str(CONFIG / name)]
    child = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    while "ready" not in (line := child.stderr.readline()):
        assert line, "it ended before it was ready"
    time.sleep(1.0)  # some ticks
    libraries = Path(f"/proc/{child.pid}/maps").read_text()
    child.send_signal(signal.SIGINT)
    stdout, _ = child.communicate(timeout=60.0)
    assert "libtorch" not in libraries
    assert "code 0 heavy [] pinocchio True" in stdout
