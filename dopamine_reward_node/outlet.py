"""Readings, potentials, terms and successes come in from the lanes; messages go out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dopamine_msgs.msg import FramePair as FramePairMsg
from dopamine_msgs.msg import Potential, Progress, Reward, Success
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Float64
from visualization_msgs.msg import MarkerArray

from dopamine_core.errors import ImageError
from dopamine_core.frames.rate import RateGate
from dopamine_core.reward.label_lane import NO_MODEL, LabelLane, LaneOutput
from dopamine_core.reward.ledger import Answer, Transition
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.types import FramePair, ModelId, Reading
from dopamine_reward_node.annotate import annotate
from dopamine_reward_node.marker import progress_marker
from dopamine_reward_node.settings import RewardNodeConfig
from dopamine_ros import names, qos
from dopamine_ros.convert.images import frame_pair_to_msg, rgb_to_msg
from dopamine_ros.convert.reward import (
    potential_to_msg,
    progress_to_msg,
    reward_to_msg,
    success_to_msg,
)

_TWINS = (
    "progress",
    "incremental",
    "forward",
    "backward",
    "consistency",
    "potential",
    "shaping",
    "r_gold",
    "total",
    "inference_ms",
    "frame_age_ms",
)


class RewardOutlet:
    """All publishers of the reward node; its methods are called from the worker threads.

    :param node: owner of the publishers.
    :param lane: asked for model and task.
    """

    def __init__(
        self, node: Node, config: RewardNodeConfig, shaping: ShapingConfig, lane: LabelLane
    ) -> None:
        self._node = node
        self._config = config
        self._terminal_mode = shaping.terminal_mode
        self._lane = lane
        self._annotated_gate = RateGate(config.annotated_rate_hz)
        self.episode_id = ""
        self.last_progress: Reading | None = None
        self.last_age_ms = math.nan
        self._pairs = self._publisher(FramePairMsg, names.FRAME_PAIRS, qos.STREAM)
        self._progress = self._publisher(Progress, names.PROGRESS, qos.STREAM)
        self._potential = self._publisher(Potential, names.POTENTIAL, qos.STREAM)
        self._reward = self._publisher(Reward, names.REWARD, qos.STREAM)
        self._success = self._publisher(Success, names.SUCCESS, qos.STREAM)
        self._marker = node.create_publisher(MarkerArray, names.PROGRESS_MARKER, 1)
        self._annotated = node.create_publisher(Image, names.ANNOTATED_IMAGE, 1)
        self._twins = {
            name: node.create_publisher(Float64, f"{names.PLOT_PREFIX}/{name}", 10)
            for name in _TWINS
        }

    def pair(self, pair: FramePair) -> None:
        """Publish a new frame pair."""
        self._pairs.publish(frame_pair_to_msg(pair))

    def monitor(self, reading: Reading, pair: FramePair | None) -> None:
        """Publish a monitor-lane reading, and what is drawn of it where somebody looks."""
        now_ns = self._now_ns()
        self._progress.publish(
            progress_to_msg(reading, pair, self.episode_id, self._model(), now_ns)
        )
        self.last_progress = reading
        if pair is None:
            return
        self.last_age_ms = (now_ns - pair.stamp_ns) / 1e6
        self._plot(_reading_values(reading) | {"frame_age_ms": self.last_age_ms})
        self._draw(reading, pair)

    def label(self, output: LaneOutput) -> None:
        """Publish what the label lane made known."""
        if output.answer is not None:
            self._potential.publish(potential_to_msg(output.answer.potential))
            self._plot({"potential": output.answer.potential.potential})
        if output.success is not None and output.answer is not None:
            model = output.answer.potential.model
            self._success.publish(success_to_msg(output.success, output.episode_id, model))
        for transition in output.transitions:
            self._publish_terms(transition)

    def _publish_terms(self, transition: Transition) -> None:
        reached: Answer = transition.reached
        message = reward_to_msg(
            transition.left,
            reached.potential,
            transition.terms,
            terminal_mode=self._terminal_mode,
            frame_age_ns=reached.frame_age_ns,
            skew_ns=reached.skew_ns,
        )
        self._reward.publish(message)
        terms = transition.terms
        self._plot({"shaping": terms.shaping, "r_gold": terms.r_gold, "total": terms.total})

    def _plot(self, values: Mapping[str, float]) -> None:
        """Publish the std_msgs twins; a value that is not there is not plotted."""
        for name, value in values.items():
            publisher = self._twins[name]
            if not math.isnan(value) and publisher.get_subscription_count():
                publisher.publish(Float64(data=float(value)))

    def _draw(self, reading: Reading, pair: FramePair) -> None:
        config = self._config
        if self._marker.get_subscription_count():
            frame, position = config.marker_frame, config.marker_position
            self._marker.publish(progress_marker(reading, pair.stamp_ns, frame, position))
        watched = self._annotated.get_subscription_count() > 0
        if watched and self._annotated_gate.passes(pair.stamp_ns):
            self._publish_annotated(reading, pair)

    def _publish_annotated(self, reading: Reading, pair: FramePair) -> None:
        references = self._lane.references
        try:
            rgb = annotate(pair, reading, "no task" if references is None else references.task)
        except ImageError:
            return  # the reading already says BAD_IMAGE
        self._annotated.publish(rgb_to_msg(rgb, pair.stamp_ns))

    def _publisher(self, kind: Any, name: str, profile: QoSProfile) -> Publisher:
        overriding = QoSOverridingOptions.with_default_policies()
        return self._node.create_publisher(kind, name, profile, qos_overriding_options=overriding)

    def _model(self) -> ModelId:
        return NO_MODEL if self._lane.model is None else self._lane.model.model_id

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds


def _reading_values(reading: Reading) -> dict[str, float]:
    if not reading.ok:
        return {}
    incremental, forward, backward = reading.reading
    return {
        "progress": reading.progress,
        "incremental": incremental,
        "forward": forward,
        "backward": backward,
        "consistency": reading.consistency,
        "inference_ms": reading.inference_ns / 1e6,
    }
