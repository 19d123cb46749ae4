"""The demo node in its own process, judged by a stranger who knows only the topics and the bags."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from dopamine_msgs.action import Practice, Record, Reset
from dopamine_msgs.msg import Command, Episode

from dopamine_core.control.teleop import Button
from dopamine_core.episodes.bag import read_bag
from dopamine_core.episodes.dataset import load_demonstration, load_episode
from dopamine_core.types import Outcome, OutcomeSource
from dopamine_ros import names
from dopamine_ros.convert.stamps import to_ns
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.demo_graph import Surroundings

DEMO, ROLLOUT = Episode.KIND_DEMONSTRATION, Episode.KIND_ROLLOUT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def graph(folder: Path) -> Iterator[Surroundings]:
    with ros():
        world = Surroundings()
        extra = ("-p", f"directory:={folder}")
        node = process("dopamine_demo_node.demo_node", "demo_node.yaml", extra=extra)
        with spinning(world), node:
            wait_until(lambda: bool(world.episodes), "the demo node")
            world.until_served()
            yield world


@pytest.fixture
def world(graph: Surroundings) -> Iterator[Surroundings]:
    """Everything well, no episode open."""
    graph.speak_images = graph.speak_joints = graph.obey_reset = True
    graph.source, graph.move_m, graph.success_at = Command.SOURCE_HOLD, 0.0, -1
    graph.late_label_s, graph.refuse_scene = 0.02, ""
    yield graph
    if graph.episode.state == Episode.OPEN:
        graph.close(outcome=Episode.OUTCOME_STOP)
        graph.until_state(Episode.CLOSED)


def recorded(world: Surroundings, decisions: int = 12) -> Episode:
    """Record a demonstration and keep it; give the closed episode."""
    _, result = world.goal(names.RECORD, task="insert the peg", time_limit_s=0.0)
    world.until_state(Episode.OPEN, DEMO)
    world.source, world.move_m = Command.SOURCE_HUMAN, 0.002
    world.until_decisions(decisions)
    assert world.trigger(names.RECORD_KEEP).success
    assert result().code == Record.Result.OK
    return world.episode


def test_a_kept_demonstration_is_recorded_with_the_bytes_that_were_sent(
    world: Surroundings,
) -> None:
    closed = recorded(world)
    assert closed.outcome == Episode.OUTCOME_SUCCESS and closed.kept and closed.terminated
    assert closed.outcome_source == Episode.SOURCE_OPERATOR
    episode = load_episode(closed.bag_path)
    assert len(episode) >= 12
    for pair in episode.pairs:
        assert pair is not None
        assert pair.front.data == world.sent_frames[pair.front.stamp_ns]
    assert all(potential is not None for potential in episode.potentials)
    assert all(sample is not None for sample in episode.joints)
    stamps = [decision.stamp_ns for decision in episode.decisions]
    moved = [
        sum(metres for at, metres in world.sent_ticks if start < at <= stop)
        for start, stop in pairwise(stamps)
    ]
    known = np.isfinite(episode.actions[:-1, 0])
    assert known.mean() > 0.5  # a busy machine may delay ticks for so long that they count as lost
    np.testing.assert_allclose(episode.actions[:-1, 0][known], np.array(moved)[known], atol=1e-9)
    assert np.median(np.diff(stamps)) / 1e9 == pytest.approx(0.1, abs=0.02)
    assert load_demonstration(closed.bag_path).task == "insert the peg"


def test_kept_demonstrations_give_the_reward_node_its_task_and_goals(
    world: Surroundings,
) -> None:
    world.tasks.clear()
    first = load_demonstration(recorded(world).bag_path)
    [request] = world.tasks
    assert request.task == "insert the peg"
    assert bytes(request.goal_front[-1].data) == first.pairs[-1].front.data
    assert request.start_front.data
    recorded(world, 6)
    assert len(world.tasks[-1].goal_front) == len(request.goal_front) + 1


def test_feedback_counts_decisions_and_bytes(world: Surroundings) -> None:
    _, result = world.goal(names.RECORD, task="t", time_limit_s=0.0)
    world.until_state(Episode.OPEN)
    world.until_decisions(8)
    assert world.trigger(names.MARK_KEYFRAME).message.startswith("1 ")
    wait_until(lambda: bool(world.feedback) and world.feedback[-1].keyframes == 1, "the mark")
    wait_until(lambda: world.feedback[-1].bytes_written > 0, "bytes")
    assert world.trigger(names.RECORD_DISCARD).success
    ended = result()
    assert ended.code == Record.Result.DISCARDED and ended.decisions >= 8
    assert world.episode.truncated and not world.episode.kept


def test_a_cancel_discards(world: Surroundings) -> None:
    handle, result = world.goal(names.RECORD, task="t", time_limit_s=0.0)
    world.until_state(Episode.OPEN)
    handle.cancel_goal_async()
    assert result().code == Record.Result.DISCARDED


def test_a_demonstration_ends_at_its_time_limit(world: Surroundings) -> None:
    _, result = world.goal(names.RECORD, task="t", time_limit_s=0.6)
    assert result().code == Record.Result.TIME_LIMIT
    assert world.episode.outcome_source == Episode.SOURCE_TIMER


def test_a_second_recording_is_refused(world: Surroundings) -> None:
    _, first = world.goal(names.RECORD, task="t", time_limit_s=0.0)
    world.until_state(Episode.OPEN)
    _, second = world.goal(names.RECORD, task="t", time_limit_s=0.0)
    refused = second()
    assert refused.code == Record.Result.REFUSED and refused.message
    world.trigger(names.RECORD_DISCARD)
    first()


def test_buttons_record_mark_and_keep(world: Surroundings) -> None:
    world.press(Button.DEAD_MAN)
    world.press(Button.RECORD)
    opened = world.until_state(Episode.OPEN, DEMO)
    assert opened.task == "insert_peg"
    world.until_decisions(6)
    world.press(Button.KEEP)
    assert world.until_state(Episode.CLOSED).kept


def test_success_from_the_reward_node_ends_a_rollout_at_its_decision(
    world: Surroundings,
) -> None:
    world.success_at = 5
    world.opened(kind=ROLLOUT, task="t", time_limit_s=10.0, record=True)
    closed = world.until_state(Episode.CLOSED)
    assert (closed.outcome, closed.outcome_source) == (
        Episode.OUTCOME_SUCCESS,
        Episode.SOURCE_REWARD_NODE,
    )
    seen = [d for d in world.decisions if d.episode_id == closed.episode_id and d.index == 5]
    assert to_ns(closed.success_stamp) == to_ns(seen[0].header.stamp)
    wait_until(Path(closed.bag_path).exists, "the bag")
    episode = load_episode(closed.bag_path)
    assert len(episode) == 6 and episode.info.success_ns == to_ns(closed.success_stamp)


def test_the_recorder_waits_for_a_late_label(world: Surroundings) -> None:
    world.late_label_s = 1.0
    world.opened(kind=ROLLOUT, task="t", time_limit_s=0.5, record=True)
    closed = world.until_state(Episode.CLOSED)
    wait_until(Path(closed.bag_path).exists, "the bag")
    potentials = load_episode(closed.bag_path).potentials
    assert potentials and all(potential is not None for potential in potentials)


@pytest.mark.parametrize(
    ("spoil", "outcome", "source"),
    [
        ({"speak_images": False}, Episode.OUTCOME_CAMERA_LOSS, Episode.SOURCE_SAFETY),
        ({"speak_joints": False}, Episode.OUTCOME_SAFETY_ABORT, Episode.SOURCE_SAFETY),
        ({"source": Command.SOURCE_STOP}, Episode.OUTCOME_STOP, Episode.SOURCE_OPERATOR),
    ],
)
def test_what_goes_wrong_truncates(
    world: Surroundings, spoil: dict[str, object], outcome: int, source: int
) -> None:
    world.opened(kind=ROLLOUT, task="t", time_limit_s=20.0, record=True)
    world.until_decisions(2)
    for name, value in spoil.items():
        setattr(world, name, value)
    closed = world.until_state(Episode.CLOSED)
    assert (closed.outcome, closed.outcome_source) == (outcome, source)
    assert closed.truncated and not closed.terminated and closed.text


def test_no_episode_opens_while_stopped(world: Surroundings) -> None:
    world.source = Command.SOURCE_STOP
    wait_until(lambda: "latched stop" in world.open(kind=ROLLOUT, task="t").message, "a refusal")


def test_a_takeover_counts_and_does_not_end(world: Surroundings) -> None:
    world.opened(kind=ROLLOUT, task="t", time_limit_s=20.0, record=False)
    world.until_decisions(2)
    world.source = Command.SOURCE_HUMAN
    wait_until(lambda: world.episode.takeovers == 1, "the takeover")
    assert world.episode.state == Episode.OPEN


def test_an_operator_corrects_an_outcome_also_in_the_bag(world: Surroundings) -> None:
    world.opened(kind=ROLLOUT, task="t", time_limit_s=0.5, record=True)
    closed = world.until_state(Episode.CLOSED)
    wait_until(Path(closed.bag_path).exists, "the bag")
    assert world.label(outcome=Episode.OUTCOME_SUCCESS).success
    wait_until(lambda: world.episode.outcome == Episode.OUTCOME_SUCCESS, "the correction")
    assert world.episode.outcome_source == Episode.SOURCE_OPERATOR

    def info():  # type: ignore[no-untyped-def]
        return load_episode(closed.bag_path).info

    wait_until(lambda: info().outcome is Outcome.SUCCESS, "the correction in the bag")
    assert info().outcome_source is OutcomeSource.OPERATOR
    assert "TIME_LIMIT" in info().text
    messages = read_bag(Path(closed.bag_path)).messages
    assert [m.channel.topic for m in messages[-2:]] == [names.EPISODE, names.REWARD]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": 9, "task": "t"}, "9"),
        ({"kind": ROLLOUT, "task": " "}, "task"),
        ({"kind": 0, "task": "t"}, "kind"),
    ],
)
def test_bad_requests_are_answered(
    world: Surroundings, fields: dict[str, object], said: str
) -> None:
    answer = world.open(**fields)
    assert not answer.success and said in answer.message


def test_closing_nothing_is_answered(world: Surroundings) -> None:
    assert "open episode" in world.close(outcome=Episode.OUTCOME_FAILURE).message
    assert "open" in world.trigger(names.RECORD_KEEP).message
    assert not world.trigger(names.RESET_CONFIRM).success


def test_reset_brings_the_arm_home_and_restores_the_scene(world: Surroundings) -> None:
    world.scenes.clear()
    world.q = world.q + 0.2
    _, result = world.goal(names.RESET, scene=True, task="stack", seed=7, shift=True)
    ended = result()
    assert (ended.code, ended.message) == (Reset.Result.OK, "ready")
    assert ended.joint_error_rad < 0.03
    assert math.isnan(world.homes[-1].gripper)  # no task's file was given: it stays as it is
    [scene] = world.scenes
    assert (scene.task, scene.seed, scene.shift) == ("stack", 7, True)
    assert {"arm", "scene", "ready"} <= {feedback.phase for feedback in world.feedback}


def test_a_reset_that_fails_says_why(world: Surroundings) -> None:
    world.obey_reset = False
    _, result = world.goal(names.RESET, scene=False)
    ended = result()
    assert ended.code == Reset.Result.JOINT_TOLERANCE and "taken over" in ended.message


def test_a_scene_that_cannot_be_restored_is_said(world: Surroundings) -> None:
    world.refuse_scene = "unknown task"
    _, result = world.goal(names.RESET, scene=True, seed=-1)
    ended = result()
    assert ended.code == Reset.Result.SCENE and "unknown task" in ended.message


def test_no_reset_while_an_episode_is_open(world: Surroundings) -> None:
    world.opened(kind=ROLLOUT, task="t", time_limit_s=20.0)
    _, result = world.goal(names.RESET, scene=False)
    assert result().code == Reset.Result.REFUSED


def test_practice_resets_opens_and_counts(world: Surroundings) -> None:
    world.send_policy()
    world.scenes.clear()
    world.success_at = 4
    _, result = world.goal(
        names.PRACTICE, task="t", episodes=2, kind=ROLLOUT, time_limit_s=5.0, shift=True, seed=11
    )
    ended = result(60.0)
    assert (ended.code, ended.episodes, ended.successes) == (Practice.Result.OK, 2, 2)
    assert [scene.seed for scene in world.scenes] == [11, 12]
    assert {"waiting", "episode", "closed"} <= {feedback.phase for feedback in world.feedback}


def test_a_stop_ends_practice(world: Surroundings) -> None:
    world.send_policy()
    _, result = world.goal(names.PRACTICE, task="t", episodes=3, kind=ROLLOUT, time_limit_s=20.0)
    world.until_state(Episode.OPEN)
    world.until_decisions(2)
    world.source = Command.SOURCE_STOP
    ended = result()
    assert ended.code == Practice.Result.STOPPED and ended.episodes == 1


def test_a_cancelled_practice_closes_its_episode(world: Surroundings) -> None:
    world.send_policy()
    handle, result = world.goal(
        names.PRACTICE, task="t", episodes=3, kind=ROLLOUT, time_limit_s=20.0
    )
    world.until_state(Episode.OPEN)
    handle.cancel_goal_async()
    assert result().code == Practice.Result.CANCELLED
    assert world.episode.outcome == Episode.OUTCOME_STOP


def test_demonstrations_are_not_practised(world: Surroundings) -> None:
    _, result = world.goal(names.PRACTICE, task="t", episodes=1, kind=DEMO)
    ended = result()
    assert ended.code == Practice.Result.FAILED and "rollout" in ended.message
