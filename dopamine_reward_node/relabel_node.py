"""Closed episodes and the recordings of a run come in; whole episodes' potentials of a better, slower model go out.

A process of its own: the robot goes on meanwhile, with the reward node's live model.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_msgs.msg import Episode, EpisodePotentials
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from dopamine_core.config import check, setting
from dopamine_core.episodes.potential_set import PotentialSet
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.guarded import GuardedModel
from dopamine_core.reward.label_lane import NO_MODEL
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.relabelling import Relabeller
from dopamine_core.reward.success import SuccessConfig
from dopamine_core.types import EpisodeInfo
from dopamine_reward_node.relabel_worker import RelabelConfig, RelabelWorker
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_from_msg
from dopamine_ros.convert.reward import no_potentials_to_msg, potential_set_to_msg
from dopamine_ros.diagnostics import ERROR, OK, WARN, Diagnostics
from dopamine_ros.parameters import declare
from dopamine_ros.run import run_node
from dopamine_ros.tolerance import tolerant


@dataclass(frozen=True)
class RelabelNodeConfig:
    """Which model answers, and where the recordings are."""

    directory: str = setting(
        "runs/default", doc="Run folder, the demo node's: recordings lie in its 'episodes'."
    )
    model_name: str = setting("nano", doc="Registered name of the reward model.")
    model_path: str = setting(
        "",
        doc="Where the model is: weights or adaptation folder, hub id, address of a server, or a .yaml file of the "
        "back end's settings; empty: its default.",
    )
    inference_timeout_s: float = setting(
        120.0,
        doc="Longest time that one inference may take.",
        unit="s",
        low=0.05,
        high=3600.0,
    )
    max_goals: int = setting(
        3, doc="Goal images that the model is shown; must equal the demo node's.", low=1, high=16
    )
    batch: int = setting(
        8, doc="Decisions that a model which can is asked for in one go.", low=1, high=256
    )
    niceness: int = setting(
        5, doc="Niceness of the process, if it was started with less.", low=0, high=19
    )

    def __post_init__(self) -> None:
        check(self)


class RelabelNode(Node):
    """The relabel node."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("relabel_node", **node_arguments)
        self._config = declare(self, RelabelNodeConfig)
        self._fusion = declare(self, FusionConfig, "fusion")
        self._success = declare(self, SuccessConfig, "success")
        relabelling = declare(self, RelabelConfig)
        self._guard: GuardedModel | None = None
        self._sets = self.create_publisher(EpisodePotentials, names.RELABELLED, qos.RELABELLED)
        self._diagnostics = Diagnostics(self)
        folder = Path(self._config.directory).absolute() / "episodes"
        self._worker = RelabelWorker(relabelling, self._make, folder, self, self._complain)
        guarded = tolerant(self._on_episode, lambda _, text: self._complain(text))
        self.create_subscription(Episode, names.EPISODE, guarded, qos.LATCHED)
        self.create_timer(1.0, self._tell, clock=Clock(clock_type=ClockType.STEADY_TIME))
        os.nice(max(0, self._config.niceness - os.nice(0)))
        self._worker.start()
        self.get_logger().info("ready")

    @property
    def computing(self) -> bool:
        """Whether the model still computes, which nobody can cut short."""
        return self._guard is not None and self._guard.running_s > 0

    def destroy_node(self) -> None:
        """Stop the worker before the publishers go."""
        self._worker.stop(self._release)
        super().destroy_node()

    def whole(self, potentials: PotentialSet) -> None:
        """Publish an episode's potentials; called from the worker's thread."""
        if self.context.ok():
            self._sets.publish(potential_set_to_msg(potentials, self._now_ns()))

    def left_out(self, info: EpisodeInfo, text: str) -> None:
        """Publish that an episode cannot be relabelled; called from the worker's thread."""
        model = NO_MODEL if self._guard is None else self._guard.model_id
        if self.context.ok():
            self._sets.publish(no_potentials_to_msg(info, text, model, self._now_ns()))

    def _make(self) -> Relabeller:
        config = self._config
        model = load_reward_model(config.model_name, config.model_path, self._fusion)
        self._guard = GuardedModel(model, config.inference_timeout_s)
        return Relabeller(
            self._guard,
            fusion=self._fusion,
            success=self._success,
            max_goals=config.max_goals,
            batch=config.batch,
        )

    def _release(self) -> None:
        if self._guard is not None:
            self._guard.stop()

    def _on_episode(self, message: Episode) -> None:
        self._worker.put(episode_from_msg(message))

    def _tell(self) -> None:
        progress, fault, backlog = self._worker.progress, self._worker.fault, self._worker.backlog
        values = {
            "backlog": backlog,
            "episode": progress.episode,
            "answered": f"{progress.done} of {progress.count}" if progress.episode else "",
            "relabelled": progress.relabelled,
            "read": progress.read,
            "left_out": progress.left_out,
            "answer_s": round(progress.answer_s, 3),
        }
        if fault:
            self._diagnostics.set("relabelling", ERROR, fault, values)
            return
        overdue = "" if self._guard is None else self._guard.overdue
        if overdue or progress.failed:
            self._diagnostics.set("relabelling", WARN, overdue or progress.failed, values)
            return
        text = f"{progress.episode}, {backlog} wait" if progress.episode else "all relabelled"
        self._diagnostics.set("relabelling", OK, text, values)

    def _complain(self, text: str) -> None:
        if self.context.ok():
            self.get_logger().warning(text)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main(args: list[str] | None = None) -> int:
    """Run the relabel node until it is interrupted; return the exit code."""
    made: list[RelabelNode] = []

    def relabel_node() -> RelabelNode:
        made.append(RelabelNode())
        return made[0]

    code = run_node(relabel_node, args)
    if made and made[0].computing:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # a library must not be taken down under a thread that computes in it
    return code


if __name__ == "__main__":
    sys.exit(main())
