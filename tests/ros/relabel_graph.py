"""A stranger around the relabel node: says which episodes closed; notes sets of potentials and what nodes say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.action import Train
from dopamine_msgs.msg import Episode, EpisodePotentials, LearnerStatus
from rclpy.action import ActionClient
from rclpy.node import Node

from dopamine_core.types import EpisodeInfo, EpisodeKind, Outcome
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_to_msg
from tests.core.episodes.hand_made import START
from tests.core.reward.recorded import write_bar_episode
from tests.ros.command_graph import process, ros, spinning, wait_until

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


def write_run(folder: Path) -> Path:
    """Make a run folder with a demonstration and a rollout that closed while no relabel node was up."""
    episodes = folder / "episodes"
    success = {"kind": EpisodeKind.DEMONSTRATION, "outcome": Outcome.SUCCESS}
    write_bar_episode(episodes, "2026a_demo", SHARES, **success)  # type: ignore[arg-type]
    write_bar_episode(episodes, "2026b_roll", SHARES, start_ns=START + DAY)
    return folder
