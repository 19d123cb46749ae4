"""Robometer in process: progress, success and preference heads on Qwen3-VL, by transformers.

``path`` is a checkpoint folder or hub id, in the authors' or in LeRobot's layout. The published weights were trained
with the words of the authors' repository: name its ``rbm_heads.py`` to use them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError, ModelError
from dopamine_core.reward.clips import (
    TRAILING,
    WHOLE,
    ClipAnswer,
    ClipQuery,
    ClipRewardModel,
    ClipSession,
    WindowConfig,
    window_of,
)
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.robometer.engine import Engine
from dopamine_core.reward.robometer.images import read_frame
from dopamine_core.reward.robometer.load import Robometer, load_robometer
from dopamine_core.reward.robometer.prompt import RobometerPrompt, own_prompt, read_official
from dopamine_core.reward.session import PROBABILITY, References
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig
from dopamine_core.reward.vlm.sequence import refuse_control_tokens
from dopamine_core.reward.vlm.views import camera_image
from dopamine_core.types import CAMERAS, FramePair, ModelId, Status

PUBLISHED = "robometer/Robometer-4B"
OWN, OFFICIAL = "own", "official"
FRONT, WRIST, BOTH = *CAMERAS, "both"

View = NDArray[np.uint8]  # (h, w, 3), sides multiples of 32


@dataclass(frozen=True)
class Config(CheckpointConfig):
    """Which Robometer, shown what."""

    path: str = setting(PUBLISHED, doc="Checkpoint folder or hub id.")
    base: str = setting(
        "",
        doc="Folder or hub id of the base model, for tokenizer and image processor; empty: the checkpoint's own "
        "files where it has them, else the published base model's.",
    )
    prompt: str = setting(
        OWN,
        doc="own: this project's words; official: those of training, from prompt_file.",
        choices=(OWN, OFFICIAL),
    )
    prompt_file: str = setting("", doc="The authors' robometer/data/collators/rbm_heads.py.")
    camera: str = setting(
        FRONT, doc="What is shown; both: the mean of two answers.", choices=(FRONT, WRIST, BOTH)
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
        1024,
        doc="Frames kept of an episode; beyond, every other one is forgotten.",
        low=16,
        high=10**6,
    )
    short_edge: int = setting(
        240,
        doc="Short edge of a frame before rounding; 0: as it comes.",
        unit="px",
        low=0,
        high=4096,
    )
    min_pixels: int = setting(4096, doc="Smallest image shown.", unit="px", low=1024, high=10**7)
    max_pixels: int = setting(2**24, doc="Largest image shown.", unit="px", low=1024, high=10**8)
    at_once: int = setting(4, doc="Clips of one pass.", low=1, high=256)
    success_threshold: float = setting(
        0.65, doc="Success probability that counts as success.", low=0.01, high=1.0
    )
    fast: bool = setting(
        False,
        doc="The machine answers within one decision: the policy then sees the label lane's own progress.",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.prompt == OFFICIAL and not self.prompt_file:
            raise ConfigError(
                expected="prompt_file with prompt: official",
                got="none",
                remedy="name robometer/data/collators/rbm_heads.py of a checkout of the authors' repository",
            )

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras that are shown, one clip each."""
        return CAMERAS if self.camera == BOTH else (self.camera,)


def load(config: Config, fusion: FusionConfig) -> RobometerModel:
    """Load a Robometer. It answers progress itself, so that there is nothing to fuse.

    :raises ModelError: when checkpoint, tokenizer or prompt cannot be used, or memory does not suffice.
    """
    words = own_prompt() if config.prompt == OWN else read_official(config.prompt_file)
    return RobometerModel(
        RobometerScorer(load_robometer(config, config.base), words, config), config
    )


class RobometerModel(ClipRewardModel):
    """A clip model that can also compare two episodes."""

    scorer: RobometerScorer

    def __init__(self, scorer: RobometerScorer, config: Config) -> None:
        super().__init__(scorer, WindowConfig(config.window, config.frames, config.stored))

    def open(self, references: References) -> ClipSession:
        """Open a session for one episode.

        :raises ModelError: when the task is missing or holds control tokens.
        """
        self.scorer.check_task(references.task)
        return super().open(references)

    def preference(
        self, task: str, chosen: Sequence[FramePair], rejected: Sequence[FramePair]
    ) -> float:
        """Probability in [0, 1] that the chosen episode comes further with the task than the rejected one.

        The model is not symmetric: ask it both ways to rank.

        :param chosen: pairs of an episode in order of time, at least one.
        :param rejected: of the other one.
        :raises ImageError: when bytes cannot be decoded.
        :raises ModelError: when an episode is empty, the task holds control tokens, or the answer is no number.
        """
        self.scorer.check_task(task)
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
        return self.scorer.prefer(task, clips[0], clips[1])


class RobometerScorer:
    """The clip back end.

    :param robometer: loaded weights.
    :param prompt: words around the pictures.
    :param config: what is shown.
    """

    success_signal = PROBABILITY

    def __init__(self, robometer: Robometer, prompt: RobometerPrompt, config: Config) -> None:
        self._engine = Engine(robometer, prompt, config.at_once)
        self._tokenizer = robometer.tokenizer
        self._config = config
        self.fast = config.fast
        self.success_threshold = config.success_threshold
        self.processors = robometer.processors
        self.licence = robometer.found.files.licence
        parts = (
            robometer.found.files.sha256(),
            robometer.processors_sha256,
            prompt.sha256,
            *(config.dtype, config.quantisation, config.camera, str(config.pad)),
            *(str(config.short_edge), str(config.min_pixels), str(config.max_pixels)),
            *(config.window, str(config.frames)),
        )
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        self.model_id = ModelId(f"robometer+{prompt.name}", digest)

    def check_task(self, task: str) -> None:
        """Check that a task sentence can be shown.

        :raises ModelError: when it holds control tokens.
        """
        refuse_control_tokens(task, self._tokenizer)

    def encode(self, pair: FramePair) -> tuple[View, ...]:
        """Bring a pair's frames to the size that is shown, one for each camera.

        :raises ImageError: when a camera's bytes are missing or cannot be decoded.
        """
        limits = self._config.short_edge, self._config.min_pixels, self._config.max_pixels
        images = [camera_image(pair, camera) for camera in self._config.cameras]
        return tuple(read_frame(image, *limits) for image in images)

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Answer a batch of clips, one answer each, in order."""
        cameras = len(self._config.cameras)
        asked = [
            (query.task, self._clip(query.frames, k)) for query in queries for k in range(cameras)
        ]
        judged = self._engine.judge(asked)
        last = [
            (float(j.progress[-1]), float(j.variance[-1]), float(j.success[-1])) for j in judged
        ]
        return [_mean(last[k : k + cameras]) for k in range(0, len(last), cameras)]

    def prefer(
        self, task: str, chosen: Sequence[tuple[View, ...]], rejected: Sequence[tuple[View, ...]]
    ) -> float:
        """Probability that the chosen clip is the better one: the mean over cameras.

        :raises ModelError: when the model answers no number.
        """
        answers = [
            self._engine.prefer(task, self._clip(chosen, k), self._clip(rejected, k))
            for k in range(len(self._config.cameras))
        ]
        answer = sum(answers) / len(answers)
        if not 0.0 <= answer <= 1.0:
            raise ModelError(
                expected="a preference in [0, 1]",
                got=str(answer),
                remedy="check the checkpoint, or set dtype: float32",
            )
        return answer

    def _clip(self, frames: Sequence[tuple[View, ...]], camera: int) -> list[View]:
        """One camera's frames, filled up to the length of training."""
        clip = [views[camera] for views in frames]
        missing = self._config.frames - len(clip) if self._config.pad else 0
        return clip + clip[-1:] * missing


def _mean(answers: Sequence[tuple[float, float, float]]) -> ClipAnswer:
    """Mean over cameras; the spread is that of the mixture of their distributions."""
    progress, variance, success = (sum(part) / len(answers) for part in zip(*answers, strict=True))
    between = sum(answer[0] ** 2 for answer in answers) / len(answers) - progress**2
    return ClipAnswer(
        Status.OK,
        progress=progress,
        success_probability=success,
        uncertainty=math.sqrt(max(0.0, variance + between)),
    )
