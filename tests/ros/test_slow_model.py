"""The reward node with a model slower than its decisions: every one is answered, and the monitor stays fresh."""

from __future__ import annotations

import signal
import time

import pytest

from dopamine_core.types import EpisodeState, Outcome, Status
from dopamine_ros.convert.stamps import to_ns
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.reward_graph import MODULE, PARAMETERS, Stranger

pytestmark = pytest.mark.ros
INFERENCE_S = 0.3
EPSILON_S = 0.15  # one camera period, encoding and transport, on a busy machine
SHARES = [0.0, 0.1, 0.3, 0.5, 0.4, 0.2, 0.6, 0.8, 0.7, 0.5, 0.9, 1.0]


def model(name: str, path: object, *more: str) -> tuple[str, ...]:
    """Parameters of a test model."""
    return ("-p", f"model_name:={name}", "-p", f"model_path:='{path}'", *more)


def test_every_decision_is_answered_late_and_in_order_while_the_monitor_stays_fresh() -> None:
    # Frames wait half a second for a decision: an answer takes up to ten seconds, so they must be held.
    extra = model("slow", INFERENCE_S, "-p", "buffer_s:=0.5")
    with ros():
        stranger = Stranger()
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=extra):
            stranger.until_status(Status.NO_TASK)
            assert stranger.set_task().success
            stranger.until_status(Status.OK)
            stranger.progress.clear()
            stranger.episode(EpisodeState.OPEN)
            decisions = []
            for index, share in enumerate(SHARES):
                stranger.show(share)
                decisions.append(stranger.decide(index))
            assert len(stranger.potentials) < len(SHARES) - 2  # the model is behind
            stranger.episode(EpisodeState.CLOSED, Outcome.TIME_LIMIT)

            refused = stranger.load_model(name="bar")
            assert not refused.success and "answers still due, about" in refused.message

            wait_until(lambda: len(stranger.potentials) == len(SHARES), "all potentials", 30.0)
            wait_until(lambda: len(stranger.rewards) == len(SHARES) - 1, "all terms")
            answers = stranger.potentials
            assert [to_ns(a.header.stamp) for a in answers] == [d.stamp_ns for d in decisions]
            assert [a.status.code for a in answers] == [Status.OK] * len(SHARES)
            # The forward reading depends on the frame alone: it tells which one was looked at.
            assert [a.reading[1] for a in answers] == pytest.approx(SHARES, abs=0.04)

            seen = [p for p in stranger.progress if p.status.code == Status.OK]
            ages_s = [(to_ns(p.frame_age) - to_ns(p.inference_time)) / 1e9 for p in seen]
            assert len(seen) >= len(SHARES) / 2  # it had its turn after each label
            assert max(ages_s) < EPSILON_S, sorted(ages_s)[-3:]
            assert stranger.load_model(name="bar").success


def test_stopping_takes_no_inference() -> None:
    with ros():
        stranger = Stranger()
        with (
            spinning(stranger),
            process(MODULE, *PARAMETERS, extra=model("slow", 60.0)) as node,
        ):
            stranger.until_status(Status.NO_TASK)
            assert stranger.set_task().success
            stranger.show(0.0)
            for index in range(3):
                stranger.decide(index)
            time.sleep(1.0)  # it computes the first answer now
            began_s = time.monotonic()
            node.send_signal(signal.SIGINT)
            assert node.wait(timeout=10.0) == 0
            assert time.monotonic() - began_s < 4.0
            assert node.stderr is not None and "2 answers due" in node.stderr.read()


def test_a_model_loads_beside_the_node_and_the_seconds_are_told() -> None:
    with ros():
        stranger = Stranger()
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=model("slow_to_load", 6.0)):
            first = stranger.until_status(Status.MODEL_ERROR, "loading 'slow_to_load'")
            assert stranger.set_task().success  # services answer meanwhile
            later = stranger.until_status(Status.MODEL_ERROR, "for 5 s")
            assert first.status.text != later.status.text
            stranger.show(0.0)
            stranger.decide(0, "early")
            wait_until(lambda: bool(stranger.potentials), "an answer without a model")
            assert "loading" in stranger.potentials[0].status.text
            stranger.until_status(Status.MODEL_ERROR, "once the open episode is over")
            stranger.episode(EpisodeState.CLOSED, Outcome.STOP, episode_id="early")
            stranger.until_status(Status.OK)


def test_memory_for_waiting_frames_is_bounded_and_said() -> None:
    extra = model("slow", 0.2, "-p", "label.held_mb:=0.005")
    with ros():
        stranger = Stranger()
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=extra):
            stranger.until_status(Status.NO_TASK)
            assert stranger.set_task().success
            stranger.until_status(Status.OK)
            stranger.run_episode([0.2] * 10, "flood", period_s=0.0)
            codes = [a.status.code for a in stranger.potentials]
            assert [a.index for a in stranger.potentials] == list(range(10))
            assert set(codes) == {Status.OK, Status.MISSING_FRAME}
            text = next(a.status.text for a in stranger.potentials if a.status.code)
            assert "label.held_mb" in text
            told = stranger.statuses
            wait_until(
                lambda: int(told["reward_node: labels"][2]["refused_frames"]) > 0,
                "refused frames in diagnostics",
            )
