"""The reward node in its own process, judged by a stranger who knows only the topics."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator

import numpy as np
import pytest
from dopamine_msgs.msg import Reward

from dopamine_core.frames.codec import decode
from dopamine_core.reward.session import References
from dopamine_core.reward.shaping import EpisodeEnd, ShapingConfig, episode_rewards
from dopamine_core.types import EpisodeState, Outcome, Status
from dopamine_ros.convert.images import frame_pair_from_msg
from dopamine_ros.convert.stamps import to_ns
from tests.core.reward.toy_model import bar_pair
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.reward_graph import BAR, MODULE, PACK, PARAMETERS, Stranger

pytestmark = pytest.mark.ros
EPISODES = (f"episode_{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def graph() -> Iterator[Stranger]:
    with ros():
        stranger = Stranger()
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=BAR):
            first = stranger.until_status(Status.NO_TASK)
            assert "reward/set_task" in first.status.text
            yield stranger


@pytest.fixture
def stranger(graph: Stranger) -> Iterator[Stranger]:
    """Everything as in the beginning: task set, empty notebook, no open episode."""
    graph.encoding, graph.share = "rgb8", 0.0
    assert graph.set_task().success
    for notes in (graph.potentials, graph.rewards, graph.successes, graph.progress):
        notes.clear()
    yield graph
    graph.episode(EpisodeState.IDLE, episode_id="")


def finish(
    stranger: Stranger, episode_id: str, outcome: Outcome, transitions: int, success_ns: int = 0
) -> list[Reward]:
    stranger.episode(EpisodeState.CLOSED, outcome, episode_id=episode_id, success_ns=success_ns)
    wait_until(lambda: len(stranger.rewards) >= transitions, f"{transitions} reward terms")
    time.sleep(0.5)  # no more must follow
    return list(stranger.rewards)


def test_an_episode_that_succeeds(stranger: Stranger) -> None:
    name = next(EPISODES)
    shares = [0.0, 0.25, 0.5, 0.25, 0.75, 1.0, 1.0, 1.0, 1.0]
    decisions = stranger.run_episode(shares, name)
    answers = stranger.potentials
    assert [to_ns(a.header.stamp) for a in answers] == [d.stamp_ns for d in decisions]
    assert [a.index for a in answers] == list(range(9))
    assert [a.status.code for a in answers] == [0] * 9
    assert [a.potential for a in answers] == pytest.approx(shares, abs=0.04)
    assert [a.success for a in answers] == [False] * 7 + [True] * 2
    assert len(stranger.successes) == 1
    success = stranger.successes[0]
    assert to_ns(success.header.stamp) == decisions[7].stamp_ns
    assert (success.episode_id, success.consecutive) == (name, 3)
    assert success.threshold == pytest.approx(0.9)

    terms = finish(stranger, name, Outcome.SUCCESS, 7, to_ns(success.header.stamp))
    assert [t.index for t in terms] == list(range(7))  # the decision after success is dropped
    assert [t.r_gold for t in terms] == [0, 0, 0, 0, 0, 0, 1]
    phi = [a.potential for a in answers[:8]]
    config = ShapingConfig(0.98, "exact")
    expected = episode_rewards(phi, EpisodeEnd(success=True, terminated=True), config)
    assert [t.total for t in terms] == pytest.approx(expected.total.tolist(), abs=1e-6)
    assert [t.terminated for t in terms] == [False] * 6 + [True]
    assert terms[-1].potential_next == 0.0
    discounted = sum(0.98**k * t.shaping for k, t in enumerate(terms))
    assert discounted == pytest.approx(0.98**7 * 0.0 - phi[0], abs=1e-5)
    for term, left, reached in zip(terms, decisions, decisions[1:], strict=False):
        assert to_ns(term.header.stamp) == left.stamp_ns
        assert to_ns(term.next_stamp) == reached.stamp_ns
        assert 0 < to_ns(term.frame_age) < 10**9
        assert term.model.name == "bar"


def test_a_time_limit_keeps_the_real_potential(stranger: Stranger) -> None:
    name = next(EPISODES)
    stranger.run_episode([0.0, 0.5, 0.25], name)
    terms = finish(stranger, name, Outcome.TIME_LIMIT, 2)
    assert len(terms) == 2 and not stranger.successes
    assert terms[-1].truncated and not terms[-1].terminated
    assert terms[-1].potential_next == pytest.approx(0.25, abs=0.04)
    assert terms[-1].total == pytest.approx(
        0.98 * terms[-1].potential_next - terms[-1].potential, abs=1e-6
    )


def test_frames_that_nobody_published_are_answered_as_missing_in_order(stranger: Stranger) -> None:
    name = next(EPISODES)
    stranger.episode(EpisodeState.OPEN, episode_id=name)
    stranger.show(0.2)
    stranger.decide(0, name)
    stranger.decide(1, name, front_stamp_ns=1)
    stranger.show(0.5)
    stranger.decide(2, name)
    wait_until(lambda: len(stranger.potentials) == 3, "three answers")
    first, missing, last = stranger.potentials
    assert [a.index for a in (first, missing, last)] == [0, 1, 2]
    assert missing.status.code == Status.MISSING_FRAME
    assert "reward/frame_pairs" in missing.status.text
    assert math.isnan(missing.potential) and missing.progress == first.progress
    assert last.status.code == Status.OK
    terms = finish(stranger, name, Outcome.STOP, 2)
    assert [t.status.code for t in terms] == [Status.MISSING_FRAME] * 2
    assert all(math.isnan(t.total) for t in terms)


def test_the_monitor_follows_the_picture_and_restarts_with_the_episode(stranger: Stranger) -> None:
    stranger.show(0.0)
    stranger.episode(EpisodeState.OPEN, episode_id="watched")
    wait_until(
        lambda: [m.episode_id for m in stranger.progress[-3:]] == ["watched"] * 3,
        "progress of the new episode",
    )
    stranger.until_progress(0.0)
    stranger.share = 0.75
    message = stranger.until_progress(0.75)
    assert message.episode_id == "watched"
    assert message.reading[1] == pytest.approx(0.75, abs=0.05)
    assert to_ns(message.frame_age) > 0 and message.model.sha256 == "ba5"
    stranger.share = 0.25
    stranger.until_progress(0.25)


@pytest.mark.parametrize("encoding", list(PACK))
def test_every_encoding_reads_alike(stranger: Stranger, encoding: str) -> None:
    stranger.encoding = encoding
    stranger.show(0.5)
    stranger.set_task()
    stranger.show(0.5)
    pair = frame_pair_from_msg(stranger.pairs[-1])
    pixels = decode(pair.front)
    assert np.abs(pixels[:, :24].astype(int) - 255).max() <= 8
    assert np.abs(pixels[:, 40:].astype(int)).max() <= 8


def test_tasks_without_goal_or_with_junk_are_refused(stranger: Stranger) -> None:
    empty = stranger.set_task(goal_front=[])
    assert not empty.success and "goal_front" in empty.message
    unnamed = stranger.set_task(task=" ")
    assert not unnamed.success
    request = bar_pair(1.0)
    junk = type(request.front)(1, "jpeg", b"junk", 1, 1)
    bad = stranger.set_task(References("t", (type(request)(junk, request.wrist),)))
    assert not bad.success and "goal_front[0]" in bad.message
    stranger.until_status(Status.OK)  # the task from before still stands


def test_several_goals_and_a_goal_without_wrist_view(stranger: Stranger) -> None:
    answer = stranger.set_task(References("fill", (bar_pair(1.0), bar_pair(0.8))))
    assert answer.success and "2 goals" in answer.message
    stranger.until_status(Status.OK)
    assert stranger.set_task(goal_wrist=[]).success
    stranger.until_status(Status.OK)


def test_models_are_loaded_between_episodes_only(stranger: Stranger) -> None:
    name = next(EPISODES)
    stranger.run_episode([0.0, 0.3], name)
    refused = stranger.load_model(name="bar")
    assert not refused.success and "close the episode first" in refused.message
    finish(stranger, name, Outcome.DISCARDED, 1)
    unknown = stranger.load_model(name="grm-900b")
    assert not unknown.success and "nano" in unknown.message
    corrupt = stranger.load_model(name="nano", path="/nonexistent")
    assert not corrupt.success and "model.json" in corrupt.message
    loaded = stranger.load_model(name="bar", success_threshold=0.5)
    assert loaded.success and loaded.model.name == "bar"
    name = next(EPISODES)
    stranger.run_episode([0.0, 0.6, 0.6, 0.6], name)
    wait_until(lambda: len(stranger.successes) == 1, "a success at the new threshold")
    finish(stranger, name, Outcome.SUCCESS, 3)
    assert stranger.load_model(name="bar").success


def test_a_raising_model_is_a_status_and_the_node_lives_on(stranger: Stranger) -> None:
    assert stranger.load_model(name="failing").success
    assert "out of memory" in stranger.until_status(Status.MODEL_ERROR).status.text
    name = next(EPISODES)
    stranger.run_episode([0.0, 0.3, 0.6], name)
    assert [a.status.code for a in stranger.potentials] == [
        Status.OK,
        Status.MODEL_ERROR,
        Status.MODEL_ERROR,
    ]
    finish(stranger, name, Outcome.FAILURE, 2)
    assert stranger.load_model(name="bar").success
    stranger.until_status(Status.OK)


def test_drawings_are_made_for_lookers(stranger: Stranger) -> None:
    stranger.draw()
    stranger.show(0.0)
    name = next(EPISODES)
    stranger.run_episode([0.0, 0.4, 0.4, 0.4], name)
    wait_until(lambda: bool(stranger.markers and stranger.annotated), "marker and picture")
    text = stranger.markers[-1].markers[2].text
    assert text.endswith("%")
    picture = stranger.annotated[-1]
    assert (picture.width, picture.height, picture.encoding) == (640, 280, "rgb8")
    assert len(set(picture.data[::997])) > 3
    wait_until(lambda: all(stranger.plots.values()), "the std_msgs twins")
    assert stranger.plots["potential"][-1] == pytest.approx(0.4, abs=0.05)
    finish(stranger, name, Outcome.TIME_LIMIT, 3)


def test_diagnostics_speak_of_cameras_and_model(stranger: Stranger) -> None:
    things = ["camera front", "camera wrist", "frame pairs", "reward model", "progress"]
    wait_until(
        lambda: all(stranger.statuses.get(f"reward_node: {t}", (9,))[0] == 0 for t in things),
        "all states to be well",
    )
    values = stranger.statuses["reward_node: camera front"][2]
    assert 5.0 < float(values["rate_hz"]) < 40.0
    assert float(values["age_s"]) < 1.0 and int(values["frames"]) > 10
    assert stranger.statuses["reward_node: reward model"][2]["task"] == "fill the bar"
