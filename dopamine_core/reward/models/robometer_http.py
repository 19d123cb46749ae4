"""Robometer on a server: windows of frames go out in its HTTP wire format, progress and success probability come back.

``path`` is the address of Robometer's own server, of its baseline server or of ``dopamine serve``. Published results
show eight frames spread over everything seen so far, with a short edge of 240 pixels, and count a success probability
of 0.65 as success (``scripts/example_libero_robometer_wrapper.py`` of the authors' repository; the scale differs from
view to view, so calibrate it).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import ImageError, ModelError, WireError
from dopamine_core.frames.codec import decode
from dopamine_core.reward.clips import (
    TRAILING,
    WHOLE,
    ClipAnswer,
    ClipQuery,
    ClipRewardModel,
    WindowConfig,
    window_of,
)
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.remote.exchange import Exchange, Read
from dopamine_core.reward.remote.faults import RemoteError, ReplyError
from dopamine_core.reward.remote.line import Line, Work, open_line
from dopamine_core.reward.remote.settings import ServerConfig
from dopamine_core.reward.session import PROBABILITY, PROGRESS, References
from dopamine_core.reward.wire import reply as replies
from dopamine_core.reward.wire.request import to_form
from dopamine_core.reward.wire.values import (
    Batch,
    FrameAnswer,
    Frames,
    PreferenceSample,
    ProgressSample,
    Reply,
    Sample,
    Trajectory,
)
from dopamine_core.types import CAMERAS, EncodedImage, FramePair, ModelId, Status

T = TypeVar("T")
View = NDArray[np.uint8]  # (h, w, 3)
Views = dict[str, View]  # by camera
BOTH = "both"
_REMEMBERED = 16  # goal and start views


@dataclass(frozen=True)
class Config:
    """Where Robometer is served, what it is shown and how patiently it is asked."""

    path: str = setting("http://127.0.0.1:8000", doc="Address of the server.")
    api_key_env: str = setting(
        "",
        doc="Name of the environment variable that holds the server's token; empty: none is sent.",
    )
    camera: str = setting(
        CAMERAS[0], doc="What is shown; both: the mean of two answers.", choices=(*CAMERAS, BOTH)
    )
    window: str = setting(
        WHOLE,
        doc="whole: frames spread over everything seen so far; trailing: the newest ones.",
        choices=(WHOLE, TRAILING),
    )
    frames: int = setting(8, doc="Frames of a clip.", low=1, high=64)
    pad: bool = setting(
        True, doc="Fill clips that are shorter with their last frame, as in training."
    )
    stored: int = setting(
        512,
        doc="Frames kept of an episode, as pixels; beyond, every other one is forgotten.",
        low=16,
        high=10**6,
    )
    short_edge: int = setting(
        240, doc="Short edge of a frame as it is sent; 0: as it comes.", unit="px", low=0, high=4096
    )
    use_frame_steps: bool = setting(
        False, doc="Let the server expand clips into growing prefixes; published results do not."
    )
    extensions: bool = setting(
        False,
        doc="Send wrist frames, goal and start too, which `dopamine serve` uses and others ignore.",
    )
    at_once: int = setting(8, doc="Clips of one request.", low=1, high=64)
    in_flight: int = setting(
        4, doc="Requests that one process has under way at one server at most.", low=1, high=64
    )
    connect_timeout_s: float = setting(
        5.0, doc="How long a connection may take.", unit="s", low=0.01, high=600.0
    )
    deadline_s: float = setting(
        120.0,
        doc="How long one request may take, retries included.",
        unit="s",
        low=0.01,
        high=3600.0,
    )
    retries: int = setting(4, doc="Further attempts after faults that may pass.", low=0, high=100)
    backoff_s: float = setting(
        0.25,
        doc="Pause after the first fault; doubled after each further one.",
        unit="s",
        low=0.0,
        high=60.0,
    )
    reply_limit_bytes: int = setting(
        1_000_000, doc="Largest reply that is read.", low=1000, high=10**9
    )
    success_signal: str = setting(
        PROBABILITY,
        doc="What the threshold is compared with; servers without a success head need progress.",
        choices=(PROBABILITY, PROGRESS),
    )
    success_threshold: float = setting(
        0.65, doc="Success probability, or progress, that counts as success.", low=0.01, high=1.0
    )
    fast: bool = setting(
        False,
        doc="Answers come within one decision period, so that the policy may see the same progress.",
    )

    def __post_init__(self) -> None:
        check(self)
        _ = self.server

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that are asked about, one clip each."""
        return CAMERAS if self.camera == BOTH else (self.camera,)

    @property
    def server(self) -> ServerConfig:
        """How the server is reached.

        :raises ConfigError: when address or variable are no such thing.
        """
        return ServerConfig(
            path=self.path,
            api_key_env=self.api_key_env,
            connect_timeout_s=self.connect_timeout_s,
            read_timeout_s=self.deadline_s,
            deadline_s=self.deadline_s,
            retries=self.retries,
            backoff_s=self.backoff_s,
            in_flight=self.in_flight,
            reply_limit_bytes=self.reply_limit_bytes,
        )


def load(config: Config, fusion: FusionConfig) -> RobometerHttp:
    """Reach for the server and ask which model it holds. It answers progress itself: nothing is fused.

    :raises ConfigError: when the token is not there.
    :raises ModelError: when the server does not say what it is.
    """
    return RobometerHttp(HttpScorer(config), config)


class RobometerHttp(ClipRewardModel):
    """A clip model on a server, which can also compare two episodes."""

    scorer: HttpScorer

    def __init__(self, scorer: HttpScorer, config: Config) -> None:
        super().__init__(scorer, WindowConfig(config.window, config.frames, config.stored))

    def preference(
        self, task: str, chosen: Sequence[FramePair], rejected: Sequence[FramePair]
    ) -> float:
        """Probability in [0, 1] that the chosen episode does the task better than the rejected one.

        :param chosen: pairs of an episode in order of time, at least one.
        :param rejected: of the other one.
        :raises ImageError: when bytes cannot be decoded.
        :raises ModelError: when an episode is empty, or the server gives no answer.
        """
        if not chosen or not rejected:
            raise ModelError(
                expected="two episodes of at least one frame pair",
                got=f"{len(chosen)} and {len(rejected)} pairs",
                remedy="leave out empty episodes",
            )
        clips = [
            [self.scorer.encode(pair) for pair in window_of(pairs, self.window)]
            for pairs in (chosen, rejected)
        ]
        return self.scorer.prefer(task, *clips)

    def close(self) -> None:
        """Give the connections back; without it they go with the object."""
        self.scorer.close()


class HttpScorer:
    """The clip back end on a server.

    :param config: settings.
    :raises ConfigError: when the token is not there.
    :raises ModelError: when the server does not say what it is.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._server = config.server
        self._key = self._server.api_key()
        self._headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self.fast = config.fast
        self.success_threshold = config.success_threshold
        self.success_signal = config.success_signal
        self._views = lru_cache(_REMEMBERED)(self._view)
        self._line = open_line(self._server.address, config.in_flight)
        self._release = weakref.finalize(self, Line.release, self._line)
        try:
            self.model_id = ModelId("robometer_http", self._identity(self._info()))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connections back."""
        self._release()

    def encode(self, pair: FramePair) -> Views:
        """Bring a pair's frames to the size that is sent.

        :raises ImageError: when a camera that is asked about has no bytes, or bytes cannot be decoded.
        """
        views = {camera: self._view(_image(pair, camera)) for camera in self._config.cameras}
        for camera in CAMERAS if self._config.extensions else ():
            if camera not in views and getattr(pair, camera).data:
                views[camera] = self._view(getattr(pair, camera))
        return views

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Answer a batch of clips, one answer each, in order. A fault of the server is an answer's status."""
        cameras = self._config.cameras
        asked = [
            self._trajectory(query.task, query.frames, camera, query.references)
            for query in queries
            for camera in cameras
        ]
        answers = self._last_answers(asked)
        rows = [answers[k : k + len(cameras)] for k in range(0, len(answers), len(cameras))]
        return [self._clip_answer(row) for row in rows]

    def prefer(self, task: str, chosen: Sequence[Views], rejected: Sequence[Views]) -> float:
        """Probability that the chosen clip is the better one: the mean over cameras.

        :raises ModelError: when the server gives no answer.
        """
        samples = [
            PreferenceSample(
                self._trajectory(task, chosen, camera), self._trajectory(task, rejected, camera)
            )
            for camera in self._config.cameras
        ]
        total = 0.0
        for reply in self._line.run([self._work([sample]) for sample in samples]):
            if isinstance(reply, RemoteError):
                raise reply
            [answer] = reply.preferences
            if math.isnan(answer.probability):
                raise _no_reply(answer.text)
            total += answer.probability
        return total / len(samples)

    def _last_answers(self, asked: Sequence[Trajectory]) -> list[FrameAnswer | RemoteError]:
        """What is said of each clip's last frame. Clips of one request are equally long and large."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for k, trajectory in enumerate(asked):
            groups.setdefault(trajectory.frames.shape, []).append(k)
        step = self._config.at_once
        parts = [g[k : k + step] for g in groups.values() for k in range(0, len(g), step)]
        works = [self._work([ProgressSample(asked[k]) for k in part]) for part in parts]
        answers: dict[int, FrameAnswer | RemoteError] = {}
        for part, reply in zip(parts, self._line.run(works) if works else [], strict=True):
            fault = isinstance(reply, RemoteError)
            rows = [reply] * len(part) if fault else [row[-1] for row in reply.progress]
            answers.update(zip(part, rows, strict=True))
        return [answers[k] for k in range(len(asked))]

    def _clip_answer(self, row: Sequence[FrameAnswer | RemoteError]) -> ClipAnswer:
        """Mean over cameras (the authors' wrapper does the same), unless one of them has no answer."""
        answers = [answer for answer in row if isinstance(answer, FrameAnswer)]
        if len(answers) < len(row):
            fault = next(answer for answer in row if isinstance(answer, RemoteError))
            return ClipAnswer(Status.MODEL_ERROR, text=str(fault))
        text = next((answer.text for answer in answers if answer.text), "")
        success = sum(answer.success for answer in answers) / len(answers)
        if not text and self.success_signal == PROBABILITY and math.isnan(success):
            text = (
                "expected success probabilities, got none from this server; "
                "set success_signal: progress with a threshold for it"
            )
        if text:
            return ClipAnswer(Status.INVALID_HOP, text=text)
        progress = sum(answer.progress for answer in answers) / len(answers)
        spread = sum(answer.uncertainty for answer in answers) / len(answers)
        return ClipAnswer(Status.OK, progress, success, spread)

    def _trajectory(
        self,
        task: str,
        clip: Sequence[Views],
        camera: str,
        references: References | None = None,
    ) -> Trajectory:
        missing = max(0, self._config.frames - len(clip)) if self._config.pad else 0
        shown = [*clip, *clip[-1:] * missing]
        frames = np.stack([views[camera] for views in shown])
        more = self._extensions(shown, references) if self._config.extensions else {}
        return Trajectory(frames, task, last_only=True, **more)

    def _extensions(
        self, clip: Sequence[Views], references: References | None
    ) -> dict[str, Frames]:
        """Wrist frames, goals and start, as far as they are there."""
        wrist = CAMERAS[1]
        arrays: dict[str, Frames] = {}
        if all(wrist in views for views in clip):
            arrays["wrist_frames"] = np.stack([views[wrist] for views in clip])
        if references is not None:
            arrays |= self._seen("goal", references.goals)
            arrays |= self._seen("start", (references.start,) if references.start else ())
        return arrays

    def _seen(self, name: str, pairs: Sequence[FramePair]) -> dict[str, Frames]:
        arrays = {}
        for camera, array in zip(CAMERAS, (f"{name}_frames", f"{name}_wrist_frames"), strict=True):
            images = [getattr(pair, camera) for pair in pairs]
            if images and all(image.data for image in images):
                arrays[array] = np.stack([self._views(image) for image in images])
        return arrays

    def _view(self, image: EncodedImage) -> View:
        edge, short = self._config.short_edge, max(1, min(image.width, image.height))
        if not edge or short == edge:
            return decode(image)
        scale = edge / short
        return decode(image, (round(image.width * scale), round(image.height * scale)))

    def _work(self, samples: Sequence[Sample]) -> Work[Reply | RemoteError]:
        fields, files = to_form(Batch(tuple(samples), self._config.use_frame_steps))
        form = httpx.Request("POST", self._server.address, data=fields, files=files)
        headers = {**self._headers, "Content-Type": form.headers["Content-Type"]}
        exchange = Exchange(self._server, "evaluate_batch_npy", form.read(), headers, self._key)
        lengths = [len(s.trajectory.frames) for s in samples if isinstance(s, ProgressSample)]

        def read(content: bytes, _: Mapping[str, str]) -> Reply:
            try:
                return replies.from_json(_json(content), lengths, len(samples) - len(lengths))
            except WireError as error:
                raise ReplyError(
                    expected=error.expected, got=error.got, remedy=error.remedy
                ) from error

        return _persistent(exchange, read)

    def _info(self) -> bytes:
        """Ask which model is served.

        :raises RemoteError: when there is no answer.
        """
        exchange = Exchange(self._server, "model_info", None, self._headers, self._key)
        info = self._line.run([_persistent(exchange, lambda content, _: _json(content))])[0]
        if isinstance(info, RemoteError):
            raise info
        return json.dumps(info, sort_keys=True).encode()

    def _identity(self, info: bytes) -> str:
        """Hash over the served model and what it is shown."""
        config = self._config
        shown = (config.camera, config.window, config.frames, config.pad, config.short_edge)
        more = (config.use_frame_steps, config.extensions)
        return hashlib.sha256(info + repr((*shown, *more)).encode()).hexdigest()


def _image(pair: FramePair, camera: str) -> EncodedImage:
    image: EncodedImage = getattr(pair, camera)
    if not image.data:
        raise ImageError(
            expected=f"a {camera} image",
            got="no bytes",
            remedy=f"is the {camera} camera publishing? Else choose another one (setting camera)",
        )
    return image


def _persistent(exchange: Exchange, read: Read[T]) -> Work[T | RemoteError]:
    async def work(client: httpx.AsyncClient, slots: asyncio.Semaphore) -> T | RemoteError:
        return await exchange.persist(client, slots, read)

    return work


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _no_reply(f"{len(content)} bytes that are no JSON ({error})") from error


def _no_reply(got: str) -> ReplyError:
    return ReplyError(
        expected="an answer in Robometer's wire format",
        got=got,
        remedy="is this a Robometer server? Look at its log",
    )
