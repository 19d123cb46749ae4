"""Frames, progress and reward of a running graph in, a rerun recording out (optional package ``rerun-sdk``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dopamine_msgs.msg import Episode, FramePair, Progress, Reward, RewardStatus
from rclpy.node import Node

from dopamine_core.errors import MissingPackageError
from dopamine_ros import names, qos
from dopamine_ros.convert.stamps import to_ns

FRAME_EVERY = 3  # of the pairs: a viewer needs no 30 Hz


class RerunStream:
    """Feeds a rerun viewer where there is a screen, and ``run.rrd`` where there is none.

    :param node: node whose executor runs the callbacks.
    :param run_dir: where ``run.rrd`` goes.
    :raises MissingPackageError: when rerun is not installed.
    """

    def __init__(self, node: Node, run_dir: Path) -> None:
        self._rr = _import_rerun()
        self._pairs = 0
        self._rr.init("robo_dopamine")
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            self._rr.spawn()
        else:
            self._rr.save(run_dir / "run.rrd")
        node.create_subscription(FramePair, names.FRAME_PAIRS, self._on_pair, qos.IMAGES)
        node.create_subscription(Progress, names.PROGRESS, self._on_progress, qos.STREAM)
        node.create_subscription(Reward, names.REWARD, self._on_reward, qos.STREAM)
        node.create_subscription(Episode, names.EPISODE, self._on_episode, qos.LATCHED)

    def _on_pair(self, message: FramePair) -> None:
        self._pairs += 1
        if self._pairs % FRAME_EVERY == 0:
            self._at(message)
            for name, image in (("front", message.front), ("wrist", message.wrist)):
                encoded = self._rr.EncodedImage(contents=bytes(image.data), media_type="image/jpeg")
                self._rr.log(f"camera/{name}", encoded)

    def _on_progress(self, message: Progress) -> None:
        if message.status.code == RewardStatus.OK:
            self._at(message)
            self._rr.log("progress/fused", self._rr.Scalars(message.progress))
            for name, value in zip(
                ("incremental", "forward", "backward"), message.reading, strict=True
            ):
                self._rr.log(f"progress/{name}", self._rr.Scalars(float(value)))

    def _on_reward(self, message: Reward) -> None:
        if message.status.code == RewardStatus.OK:
            self._at(message)
            self._rr.log("reward/total", self._rr.Scalars(message.total))

    def _on_episode(self, message: Episode) -> None:
        self._at(message)
        self._rr.log(
            "episode",
            self._rr.TextLog(f"{message.episode_id} state {message.state} {message.text}"),
        )

    def _at(self, message: Any) -> None:
        self._rr.set_time("stream", timestamp=to_ns(message.header.stamp) / 1e9)


def _import_rerun() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise MissingPackageError(
            expected="the package rerun-sdk",
            got=str(error),
            remedy="pip install rerun-sdk, or leave out --rerun",
        ) from error
    return rerun
