"""Reward nodes of their own: compressed cameras, simulated time, no weights."""

from __future__ import annotations

import signal

import pytest
from rosgraph_msgs.msg import Clock

from dopamine_core.types import EpisodeState, Outcome, Status
from dopamine_ros.convert.images import frame_pair_from_msg
from dopamine_ros.convert.stamps import from_ns, to_ns
from tests.core.reward.toy_model import bar_pair
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.reward_graph import BAR, MODULE, PARAMETERS, Stranger

pytestmark = pytest.mark.ros


def test_compressed_cameras_and_a_clean_end() -> None:
    extra = (*BAR, "-p", "front_transport:=compressed", "-p", "wrist_transport:=compressed")
    with ros():
        stranger = Stranger(compressed=True)
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=extra) as node:
            stranger.until_status(Status.NO_TASK)
            assert stranger.set_task().success
            stranger.show(0.0)
            stranger.until_status(Status.OK)
            stranger.share = 0.5
            stranger.until_progress(0.5)
            pair = frame_pair_from_msg(stranger.pairs[-1])
            sent = bar_pair(0.5).front.data
            assert pair.front.data == sent  # the camera's own bytes, untouched
            node.send_signal(signal.SIGINT)
            assert node.wait(timeout=10.0) == 0


def test_missing_weights_are_told_and_repaired_by_a_service() -> None:
    extra = ("-p", "model_path:=/nonexistent")
    with ros():
        stranger = Stranger()
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=extra):
            message = stranger.until_status(Status.MODEL_ERROR)
            assert "model.json in /nonexistent" in message.status.text
            assert stranger.set_task().success
            stranger.run_episode([0.0, 0.5])
            assert {a.status.code for a in stranger.potentials} == {Status.MODEL_ERROR}
            stranger.episode(EpisodeState.CLOSED, Outcome.STOP)
            wait_until(lambda: len(stranger.rewards) == 1, "the last terms")
            assert stranger.load_model(name="bar").success
            stranger.until_status(Status.OK)


def test_simulated_time_may_run_faster_than_the_wall() -> None:
    extra = (*BAR, "-p", "use_sim_time:=true")
    with ros():
        stranger = Stranger()
        clock = stranger.create_publisher(Clock, "/clock", 10)
        time_ns = [5 * 10**9]

        def tick() -> None:
            time_ns[0] += 30_000_000  # three times as fast as the timer
            clock.publish(Clock(clock=from_ns(time_ns[0])))

        stranger.now_ns = lambda: time_ns[0]  # type: ignore[method-assign]
        stranger.create_timer(0.01, tick)
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=extra):
            stranger.until_status(Status.NO_TASK)
            assert stranger.set_task().success
            stranger.share = 0.0
            stranger.until_status(Status.OK)
            decisions = stranger.run_episode([0.0, 0.5, 0.75])
            assert [a.status.code for a in stranger.potentials] == [0, 0, 0]
            stamps = [to_ns(a.header.stamp) for a in stranger.potentials]
            assert stamps == [d.stamp_ns for d in decisions]
            assert all(abs(to_ns(m.frame_age)) < 2 * 10**9 for m in stranger.progress)
            stranger.episode(EpisodeState.CLOSED, Outcome.TIME_LIMIT)
            wait_until(lambda: len(stranger.rewards) == 2, "all terms")
