"""A demo node that is killed, cannot write, or has nobody to ask: it says so and loses nothing."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dopamine_msgs.action import Record, Reset
from dopamine_msgs.msg import Episode

from dopamine_core.episodes.dataset import load_episode
from dopamine_core.types import Outcome
from dopamine_ros import names
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.demo_graph import Surroundings

MODULE, CONFIG = "dopamine_demo_node.demo_node", "demo_node.yaml"
ROLLOUT = Episode.KIND_ROLLOUT


@pytest.fixture
def world() -> Iterator[Surroundings]:
    with ros():
        surroundings = Surroundings(scene_service=False)
        with spinning(surroundings):
            yield surroundings


def demo_node(folder: Path, *parameters: str):  # type: ignore[no-untyped-def]
    """Start the node with a run folder."""
    extra = [part for parameter in parameters for part in ("-p", parameter)]
    return process(MODULE, CONFIG, extra=("-p", f"directory:={folder}", *extra))


def until_heard(world: Surroundings) -> None:
    world.episodes.clear()
    wait_until(lambda: bool(world.episodes), "the demo node", 30.0)
    world.until_served()


def test_a_killed_node_recovers_its_recording_at_the_next_start(
    world: Surroundings, tmp_path: Path
) -> None:
    with demo_node(tmp_path) as node:
        until_heard(world)
        world.opened(kind=Episode.KIND_DEMONSTRATION, task="t", record=True)
        world.until_decisions(20)
        path = Path(world.episode.bag_path)
        killed_ns = time.time_ns()
        node.send_signal(signal.SIGKILL)
        node.wait()
    assert not path.exists()
    with demo_node(tmp_path):
        until_heard(world)
        assert world.episode.state == Episode.IDLE
    episode = load_episode(path)
    assert episode.info.truncated and episode.info.outcome is Outcome.UNKNOWN
    assert killed_ns - episode.decisions[-1].stamp_ns < 1_100_000_000
    assert sum(pair is None for pair in episode.pairs) <= 1


def test_a_terminated_node_closes_and_saves_its_episode(
    world: Surroundings, tmp_path: Path
) -> None:
    with demo_node(tmp_path) as node:
        until_heard(world)
        world.opened(kind=ROLLOUT, task="t", record=True)
        world.until_decisions(5)
        path = Path(world.episode.bag_path)
        node.send_signal(signal.SIGINT)
        assert node.wait(timeout=15.0) == 0
    info = load_episode(path).info
    assert info.outcome is Outcome.SAFETY_ABORT and "shut down" in info.text


def test_a_restarted_node_gives_the_reward_node_its_task_again(
    world: Surroundings, tmp_path: Path
) -> None:
    with demo_node(tmp_path):
        until_heard(world)
        world.opened(kind=Episode.KIND_DEMONSTRATION, task="t", record=True)
        world.until_decisions(8)
        world.trigger(names.RECORD_KEEP)
        wait_until(lambda: len(world.tasks) == 1, "the task")
    with demo_node(tmp_path):
        wait_until(lambda: len(world.tasks) == 2, "the task again", 60.0)
    first, again = world.tasks
    assert again.task == first.task == "t"
    assert again.goal_front[0].data == first.goal_front[0].data


def test_a_nearly_full_disk_refuses_the_episode(world: Surroundings, tmp_path: Path) -> None:
    with demo_node(tmp_path, "recorder.min_free_bytes:=1000000000000000000"):
        until_heard(world)
        answer = world.open(kind=ROLLOUT, task="t", record=True)
        assert not answer.success and "MB free" in answer.message
        assert world.episode.state == Episode.IDLE
        _, result = world.goal(names.RECORD, task="t")
        assert result().code == Record.Result.FAILED
        assert world.open(kind=ROLLOUT, task="t", record=False).success


def test_an_unwritable_run_folder_refuses_the_episode(world: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with demo_node(tmp_path / "file" / "run"):
        until_heard(world)
        answer = world.open(kind=ROLLOUT, task="t", record=True)
        assert not answer.success and "to write" in answer.message


def test_a_disk_that_fills_up_truncates_the_episode(world: Surroundings, tmp_path: Path) -> None:
    with demo_node(tmp_path) as node:
        until_heard(world)
        limit = 60_000  # bytes that any file of the node may have, as if the disk were full
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (limit, limit))
        world.opened(kind=ROLLOUT, task="t", record=True)
        closed = world.until_state(Episode.CLOSED)
        assert closed.outcome == Episode.OUTCOME_SAFETY_ABORT and closed.truncated
        assert "recording failed" in closed.text and "free space" in closed.text
        wait_until(lambda: world.statuses.get("demo_node: recording", (0,))[0] == 2, "an error")
        assert not Path(closed.bag_path).exists()
        assert node.poll() is None
    with demo_node(tmp_path):
        until_heard(world)
    assert len(load_episode(closed.bag_path)) > 2


def test_messages_that_make_no_sense_cost_neither_node_nor_recording(
    world: Surroundings, tmp_path: Path
) -> None:
    with demo_node(tmp_path) as node:
        until_heard(world)
        world.opened(kind=Episode.KIND_DEMONSTRATION, task="t", record=True)
        world.until_decisions(5)
        world.send_nonsense()
        for kind in ("Command", "Decision", "Potential"):
            told = f"demo_node: dropped {kind}"
            wait_until(lambda t=told: world.statuses.get(t, (0,))[0] == 1, told)
            assert "99" in world.statuses[told][1] or "55" in world.statuses[told][1]
        world.until_decisions(12)
        assert world.trigger(names.RECORD_KEEP).success
        path = Path(world.until_state(Episode.CLOSED).bag_path)
        wait_until(path.exists, "the bag")
        assert node.poll() is None
    episode = load_episode(path)
    assert episode.info.kept and len(episode) > 10
    assert sum(pair is None for pair in episode.pairs) <= 1


def test_without_a_scene_service_the_operator_confirms(world: Surroundings, tmp_path: Path) -> None:
    with demo_node(tmp_path, "reset.confirm_timeout_s:=20.0"):
        until_heard(world)
        _, result = world.goal(names.RESET, scene=True, seed=-1)
        wait_until(lambda: world.trigger(names.RESET_CONFIRM).success, "the question")
        assert result().code == Reset.Result.OK


def test_an_operator_who_does_not_answer_is_a_timeout(world: Surroundings, tmp_path: Path) -> None:
    with demo_node(tmp_path, "reset.confirm_timeout_s:=1.0"):
        until_heard(world)
        _, result = world.goal(names.RESET, scene=True, seed=-1)
        ended = result()
        assert ended.code == Reset.Result.TIMEOUT and "confirm" in ended.message


def test_wrong_settings_end_the_node_with_a_named_error(tmp_path: Path) -> None:
    with ros(), demo_node(tmp_path, "reset.home_low_m:=[0.6, 0.0, 0.2]") as node:
        assert node.wait(timeout=30.0) == 2
        assert node.stderr is not None
        assert "home_low_m <= home_high_m" in node.stderr.read()
