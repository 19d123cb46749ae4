"""A stranger around the reward node: two cameras, decisions, the episodes' authority and a
notebook.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.msg import Decision as DecisionMsg
from dopamine_msgs.msg import Episode, FramePair, Potential, Progress, Reward, Success
from dopamine_msgs.srv import LoadModel, SetTask
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Float64
from visualization_msgs.msg import MarkerArray

from dopamine_core.reward.session import References
from dopamine_core.types import (
    Decision,
    DecisionOwner,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    Outcome,
)
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_to_msg
from dopamine_ros.convert.images import encoded_to_msg, references_to_request
from dopamine_ros.convert.reward import decision_to_msg
from dopamine_ros.convert.stamps import from_ns, to_ns
from tests.core.reward.toy_model import HEIGHT, WIDTH, bar_image, bar_pair
from tests.ros.command_graph import wait_until

MODULE = "tests.ros.reward_node_with_bar"
PARAMETERS = ("reward_node.yaml",)
BAR = ("-p", "model_name:=bar", "-p", "success.threshold:=0.9")
PACK: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rgb8": lambda rgb: rgb,
    "bgr8": lambda rgb: rgb[..., ::-1],
    "rgba8": lambda rgb: np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]),
    "mono8": lambda rgb: rgb[..., :1],
    "yuv422": lambda rgb: _grey_yuv(rgb, luma_first=False),
    "yuv422_yuy2": lambda rgb: _grey_yuv(rgb, luma_first=True),
}


def _grey_yuv(rgb: np.ndarray, luma_first: bool) -> np.ndarray:
    luma = (16 + rgb[..., 0].astype(np.int32) * 219 // 255).astype(np.uint8)
    chroma = np.full_like(luma, 128)
    return np.dstack([luma, chroma] if luma_first else [chroma, luma])


def image_msg(rgb: np.ndarray, stamp_ns: int, encoding: str = "rgb8") -> Image:
    """Pack a picture as a camera driver would."""
    packed = np.ascontiguousarray(PACK[encoding](rgb))
    height, width = packed.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, step=packed[0].size)
    message.header.stamp = from_ns(stamp_ns)
    message.data = array("B", packed.tobytes())
    return message


class Stranger(Node):
    """Two cameras at 30 Hz that show a bar, and everything the reward node says."""

    def __init__(self, compressed: bool = False) -> None:
        super().__init__("stranger")
        self.share = 0.0
        self.encoding = "rgb8"
        self.size = (WIDTH, HEIGHT)
        self.skew_ns = 0
        self.spoil: Callable[[str, Image], Image | None] = lambda camera, message: message
        self.pairs: list[FramePair] = []
        self.progress: list[Progress] = []
        self.potentials: list[Potential] = []
        self.rewards: list[Reward] = []
        self.successes: list[Success] = []
        self.markers: list[MarkerArray] = []
        self.annotated: list[Image] = []
        self.plots: dict[str, list[float]] = {}
        self.statuses: dict[str, tuple[int, str, dict[str, str]]] = {}
        self._compressed = compressed
        kind, suffix = (CompressedImage, "/compressed") if compressed else (Image, "")
        self._cameras = {
            "front": self.create_publisher(kind, names.FRONT_IMAGE + suffix, qos.IMAGES),
            "wrist": self.create_publisher(kind, names.WRIST_IMAGE + suffix, qos.IMAGES),
        }
        self._decisions = self.create_publisher(DecisionMsg, names.DECISION, qos.STREAM)
        self._episodes = self.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self._listen()
        self._set_task = self.create_client(SetTask, names.SET_TASK)
        self._load_model = self.create_client(LoadModel, names.LOAD_MODEL)
        self.create_timer(1.0 / 30.0, self._show)

    def draw(self) -> None:
        """Begin to look at what is only made for lookers."""
        self.create_subscription(MarkerArray, names.PROGRESS_MARKER, self.markers.append, 1)
        self.create_subscription(Image, names.ANNOTATED_IMAGE, self.annotated.append, 1)
        for name in ("progress", "potential", "total"):
            values = self.plots.setdefault(name, [])
            self.create_subscription(
                Float64, f"{names.PLOT_PREFIX}/{name}", lambda m, v=values: v.append(m.data), 10
            )

    def now_ns(self) -> int:
        """Present time."""
        return self.get_clock().now().nanoseconds

    def set_task(self, references: References | None = None, **changes: Any) -> SetTask.Response:
        """Call the service; by default the goal is the full bar."""
        references = references or References("fill the bar", (bar_pair(1.0),))
        request = references_to_request(references)
        for name, value in changes.items():
            setattr(request, name, value)
        return self._call(self._set_task, request)

    def load_model(self, **fields: Any) -> LoadModel.Response:
        """Call the service."""
        return self._call(self._load_model, LoadModel.Request(**fields))

    def episode(
        self, state: EpisodeState, outcome: Outcome = Outcome.UNKNOWN, **fields: Any
    ) -> None:
        """Publish an episode state."""
        info = EpisodeInfo(
            fields.pop("episode_id", "e1"),
            state,
            EpisodeKind.ROLLOUT,
            "fill the bar",
            self.now_ns(),
            self.now_ns(),
            outcome=outcome,
            **fields,
        )
        self._episodes.publish(episode_to_msg(info))

    def decide(self, index: int, episode_id: str = "e1", **changes: Any) -> Decision:
        """Publish a decision about the newest frame pair."""
        pair = self.pairs[-1]
        values: dict[str, Any] = {
            "stamp_ns": self.now_ns(),
            "front_stamp_ns": to_ns(pair.front.header.stamp),
            "wrist_stamp_ns": to_ns(pair.wrist.header.stamp),
        } | changes
        decision = Decision(
            episode_id=episode_id,
            index=index,
            owner=DecisionOwner.AGENT,
            joint_stamp_ns=values["stamp_ns"],
            **values,
        )
        self._decisions.publish(decision_to_msg(decision))
        return decision

    def show(self, share: float) -> None:
        """Show a bar and wait until a pair of it has been made."""
        self.share = share
        shown_ns = self.now_ns()
        wait_until(
            lambda: bool(self.pairs) and to_ns(self.pairs[-1].front.header.stamp) > shown_ns,
            "a pair of the new picture",
        )

    def until_status(self, code: int, words: str = "", timeout_s: float = 60.0) -> Progress:
        """Wait for the next progress message of a status whose text contains the words."""
        start = len(self.progress)

        def fits(message: Progress) -> bool:
            return message.status.code == code and words in message.status.text

        last = self.progress[-1].status if self.progress else None
        what = f"status {code} {words!r}, last {last}"
        wait_until(lambda: any(map(fits, self.progress[start:])), what, timeout_s)
        return next(filter(fits, self.progress[start:]))

    def until_progress(self, value: float) -> Progress:
        """Wait until the monitor shows a value."""
        wait_until(
            lambda: (
                bool(self.progress)
                and self.progress[-1].status.code == 0
                and abs(self.progress[-1].progress - value) < 0.05
            ),
            f"progress {value}",
        )
        return self.progress[-1]

    def run_episode(
        self, shares: list[float], episode_id: str = "e1", period_s: float = 0.05
    ) -> list[Decision]:
        """Open an episode and decide on each share; all answers have come when it returns."""
        before = len(self.potentials)
        self.episode(EpisodeState.OPEN, episode_id=episode_id)
        decisions = []
        for index, share in enumerate(shares):
            self.show(share)
            decisions.append(self.decide(index, episode_id))
            time.sleep(period_s)
        wait_until(lambda: len(self.potentials) - before >= len(shares), "all potentials")
        return decisions

    def _call(self, client: Any, request: Any) -> Any:
        assert client.wait_for_service(60.0), client.srv_name
        future = client.call_async(request)
        wait_until(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def _listen(self) -> None:
        for kind, topic, notes in (
            (FramePair, names.FRAME_PAIRS, self.pairs),
            (Progress, names.PROGRESS, self.progress),
            (Potential, names.POTENTIAL, self.potentials),
            (Reward, names.REWARD, self.rewards),
            (Success, names.SUCCESS, self.successes),
        ):
            self.create_subscription(kind, topic, notes.append, qos.STREAM)
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            self.statuses[status.name] = (status.level[0], status.message, values)

    def _show(self) -> None:
        stamp_ns = self.now_ns()
        rgb = bar_image(self.share, *self.size)
        if self._compressed:
            pair = bar_pair(self.share, stamp_ns)
            self._cameras["front"].publish(encoded_to_msg(pair.front))
            self._cameras["wrist"].publish(encoded_to_msg(pair.wrist))
            return
        for camera, publisher in self._cameras.items():
            late_ns = self.skew_ns if camera == "wrist" else 0
            message = self.spoil(camera, image_msg(rgb, stamp_ns - late_ns, self.encoding))
            if message is not None:
                publisher.publish(message)
