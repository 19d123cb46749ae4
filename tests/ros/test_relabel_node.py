"""The relabel node in its own process, and a learner that waits for it, judged by their topics."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.action import Train
from dopamine_msgs.msg import Episode, EpisodePotentials, LearnerStatus
from rclpy.action import ActionClient
from rclpy.node import Node

from dopamine_core.types import EpisodeInfo, EpisodeKind, Outcome, Status
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_to_msg
from tests.core.episodes.hand_made import START
from tests.core.reward.recorded import closed, write_bar_episode
from tests.core.rl.constant_policy import mean_colour_encoder
from tests.ros.command_graph import process, ros, spinning, wait_until

pytestmark = pytest.mark.ros
DAY = 86_400 * 10**9
SHARES = [0.0, 0.2, 0.4, 0.6, 0.5, 0.7, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


class Around(Node):
    """Says which episodes closed, and notes sets and statuses."""

    def __init__(self) -> None:
        super().__init__("around_the_relabel_node")
        self.sets: list[EpisodePotentials] = []
        self.figures: dict[str, dict[str, str]] = {}
        self.learner: list[LearnerStatus] = []
        self.listen()
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self.create_subscription(LearnerStatus, names.LEARNER_STATUS, self.learner.append, 10)
        self._episodes = self.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self.train = ActionClient(self, Train, names.TRAIN)

    def listen(self) -> None:
        """Join now: what was published before must come, too."""
        self.create_subscription(
            EpisodePotentials, names.RELABELLED, self.sets.append, qos.RELABELLED
        )

    def close_episode(self, info: EpisodeInfo) -> None:
        """Publish the close of an episode."""
        self._episodes.publish(episode_to_msg(info))

    def of(self, episode_id: str) -> EpisodePotentials | None:
        """The newest set of an episode."""
        found = [one for one in self.sets if one.episode.episode_id == episode_id]
        return found[-1] if found else None

    def until_set(self, episode_id: str) -> EpisodePotentials:
        """Wait for the set of an episode."""
        wait_until(lambda: self.of(episode_id) is not None, f"potentials of {episode_id}", 20.0)
        found = self.of(episode_id)
        assert found is not None
        return found

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            self.figures[status.name] = values | {"message": status.message}


@contextmanager
def around() -> Iterator[Around]:
    with ros():
        node = Around()
        with spinning(node):
            yield node


def relabel(run: Path, *more: str, seconds: float = 0.0):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """The relabel node's process."""
    settings = {
        "directory": run,
        "model_name": "better",
        "model_path": f"'{seconds}'",
        "scan_s": 0.5,
        "bag_wait_s": 1.5,
        "attempts": 2,
    }
    extra = [part for k, v in settings.items() for part in ("-p", f"{k}:={v}")]
    return process(
        "tests.ros.relabel_node_with_bar", "relabel_node.yaml", extra=(*extra, *more)
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a demonstration and a rollout that closed while no relabel node was up."""
    episodes = tmp_path / "episodes"
    success = {"kind": EpisodeKind.DEMONSTRATION, "outcome": Outcome.SUCCESS}
    write_bar_episode(episodes, "2026a_demo", SHARES, **success)  # type: ignore[arg-type]
    write_bar_episode(episodes, "2026b_roll", SHARES, start_ns=START + DAY)
    return tmp_path


def test_episodes_are_relabelled_whole_kept_and_not_computed_twice(run: Path) -> None:
    episodes = run / "episodes"
    with around() as node:
        with relabel(run):
            old = node.until_set("2026b_roll")  # closed while the node was down
            assert (old.status.code, old.model.name) == (Status.OK, "better")
            assert [p.index for p in old.potentials] == list(range(len(SHARES)))
            assert [p.reading[1] for p in old.potentials] == pytest.approx(SHARES, abs=0.04)
            assert {p.model.sha256 for p in old.potentials} == {"be77e2"}

            late = closed("2026c_roll", START + 2 * DAY, 12, bag=episodes / "2026c_roll.mcap")
            node.close_episode(late)  # its recording is not finished yet
            write_bar_episode(episodes, "2026c_roll", SHARES, start_ns=START + 2 * DAY)
            assert len(node.until_set("2026c_roll").potentials) == len(SHARES)

            lost = closed("2026d_roll", START + 3 * DAY, 12, bag=episodes / "2026d_roll.mcap")
            node.close_episode(lost)
            refusal = node.until_set("2026d_roll")
            assert refusal.status.code != Status.OK and not refusal.potentials
            assert "2026d_roll.mcap" in refusal.status.text

            write_bar_episode(episodes, "2026e_roll", [0.0, 0.85], start_ns=START + 4 * DAY)
            broken = node.until_set("2026e_roll")
            assert "out of memory" in broken.status.text and not broken.potentials

            (episodes / "2026f_roll.mcap").write_bytes(b"not a bag")
            assert "2026f_roll.mcap" in node.until_set("2026f_roll").status.text

            before = len(node.sets)
            node.listen()  # a late joiner gets what was published before
            wait_until(lambda: len(node.sets) >= 2 * before, "the sets again")
        node.sets.clear()
        (episodes / "2026e_roll.mcap").unlink()
        (episodes / "2026f_roll.mcap").unlink()
        with relabel(run, seconds=60.0):  # it could not compute one of them in time
            assert len(node.until_set("2026c_roll").potentials) == len(SHARES)
            name = "relabel_node: relabelling"
            wait_until(lambda: node.figures.get(name, {}).get("read") == "3", "three read")
            assert node.figures[name]["relabelled"] == "0"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGKILL, -9)])
def test_an_end_in_mid_episode_leaves_nothing_half_and_the_next_start_goes_on(
    run: Path, number: int, code: int
) -> None:
    with around() as node:
        with relabel(run, seconds=30.0) as child:
            name = "relabel_node: relabelling"
            wait_until(
                lambda: "of" in node.figures.get(name, {}).get("answered", ""), "work on an episode"
            )
            assert node.figures[name]["backlog"] == "1"
            child.send_signal(number)
            assert child.wait(timeout=8.0) == code  # it does not wait for the inference
            left = [path for path in (run / "episodes").iterdir() if path.suffix != ".mcap"]
            assert left == [] and node.sets == []
        with relabel(run):
            for episode_id in ("2026a_demo", "2026b_roll"):
                assert len(node.until_set(episode_id).potentials) == len(SHARES)


def test_a_learner_takes_only_whole_relabelled_episodes_and_says_what_it_waits_for(
    run: Path,
) -> None:
    encoder = run / "encoder.onnx"
    encoder.write_bytes(mean_colour_encoder())
    settings = {
        "directory": run,
        "labels": "relabelled",
        "encoder_path": encoder,
        "encoder_name": "mean_colour",
        "agent.hidden": "[16, 16]",
        "learner.batch_size": 16,
        "learner.offline_steps": 20,
        "observation.proprioception": "[position, contact]",
        "worker.publish_updates": 1000,
    }
    extra = tuple(part for k, v in settings.items() for part in ("-p", f"{k}:={v}"))
    episodes = run / "episodes"

    def until(words: str, **counts: int) -> LearnerStatus:
        def fits(status: LearnerStatus) -> bool:
            right = all(getattr(status, name) == value for name, value in counts.items())
            return right and words in status.waiting_for

        wait_until(lambda: any(map(fits, node.learner[-2:])), f"{words!r} {counts}", 30.0)
        return next(filter(fits, reversed(node.learner)))

    with (
        around() as node,
        process("dopamine_rl_node.learner_node", "learner_node.yaml", extra=extra),
    ):
        assert node.train.wait_for_server(40.0)
        goal = Train.Goal(bag_paths=[str(episodes / "2026a_demo.mcap")], then_online=True)
        sent = node.train.send_goal_async(goal)
        until("relabelled potentials of 2026a_demo.mcap", offline_episodes=0)
        taken_back = sent.result().get_result_async()
        sent.result().cancel_goal_async()
        wait_until(taken_back.done, "the cancellation", 20.0)
        assert taken_back.result().result.code == Train.Result.CANCELLED
        sent = node.train.send_goal_async(goal)
        with relabel(run):
            wait_until(sent.done, "the goal to be taken")
            ended = sent.result().get_result_async()
            wait_until(ended.done, "training to end", 40.0)
            assert ended.result().result.code == Train.Result.OK
            # The rollout that closed before anybody was up is practice, too.
            until("", offline_episodes=1, online_episodes=1, dropped_transitions=0)
        late = closed("2026c_roll", START + 2 * DAY, 12, bag=episodes / "2026c_roll.mcap")
        node.close_episode(late)
        write_bar_episode(episodes, "2026c_roll", SHARES, start_ns=START + 2 * DAY)
        until("relabelled potentials of 1 episode(s), 2026c_roll closed", online_episodes=1)
        with relabel(run):
            until("", online_episodes=2)
            assert "2026c_roll" not in until("practice", online_episodes=2).waiting_for
