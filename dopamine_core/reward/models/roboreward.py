"""RoboReward in process: a score of 1 to 5 for the end of a video, by Qwen3-VL in transformers.

``path`` is a checkpoint folder or hub id. The published weights are under CC-BY-4.0, which asks for attribution
(arXiv 2601.00675). They score one clip; dense progress asks again about every growing prefix.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError
from dopamine_core.frames.codec import decode
from dopamine_core.reward.clips import (
    WHOLE,
    ClipAnswer,
    ClipQuery,
    ClipRewardModel,
    ClipSession,
    WindowConfig,
)
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.roboreward.answer import SCORES, read_score, to_progress
from dopamine_core.reward.roboreward.engine import Engine, Question, Weighed
from dopamine_core.reward.roboreward.prompt import RoboRewardPrompt, own_prompt, read_prompt
from dopamine_core.reward.roboreward.video import Video, at_rate, read_video
from dopamine_core.reward.session import PROBABILITY, References
from dopamine_core.reward.vlm.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from dopamine_core.reward.vlm.sequence import refuse_control_tokens
from dopamine_core.reward.vlm.views import camera_image
from dopamine_core.types import CAMERAS, EncodedImage, FramePair, ModelId, Status

MODEL_TYPES = ("qwen3_vl",)
PUBLISHED = "teetone/RoboReward-4B"
WRITTEN, EXPECTED = "written", "expected"
OWN, OFFICIAL, FILE = "own", "official", "file"
_SHOWN = 80  # characters of an answer that a status repeats


@dataclass(frozen=True)
class Config(CheckpointConfig):
    """Which RoboReward, shown what, read how."""

    path: str = setting(PUBLISHED, doc="Checkpoint folder or hub id.")
    prompt: str = setting(
        OWN,
        doc="own: this project's rubric; official: the published one, from prompt_file; file: any other, from it.",
        choices=(OWN, OFFICIAL, FILE),
    )
    prompt_file: str = setting(
        "", doc="Text file with the place {task}, or Robometer's evals/baselines/roboreward.py."
    )
    reading: str = setting(
        WRITTEN,
        doc="written: the greedy answer; expected: the mean over the five scores, in one pass.",
        choices=(WRITTEN, EXPECTED),
    )
    min_mass: float = setting(
        0.5,
        doc="Probability that must lie on the five answers for an expected reading; below, it is invalid.",
        low=0.0,
        high=1.0,
    )
    max_tokens: int = setting(16, doc="Tokens of a written answer.", low=4, high=1024)
    camera: str = setting(CAMERAS[0], doc="Which camera is shown.", choices=CAMERAS)
    rate_hz: float = setting(1.0, doc="Frames a second.", unit="Hz", low=0.01, high=30.0)
    frames: int = setting(
        32, doc="Most frames of a video; longer episodes are spread over them.", low=2, high=256
    )
    stored: int = setting(
        4096,
        doc="Frames kept of an episode; beyond, every other one is forgotten.",
        low=16,
        high=10**6,
    )
    min_pixels: int = setting(
        128 * 32**2, doc="Smallest frame: 128 tokens.", unit="px", low=1024, high=10**7
    )
    max_pixels: int = setting(
        768 * 32**2, doc="Largest frame: 768 tokens.", unit="px", low=1024, high=10**7
    )
    at_once: int = setting(2, doc="Videos of one pass.", low=1, high=64)
    success_threshold: float = setting(
        0.5,
        doc="Probability of the score 5 that counts as success; a written answer gives 0 or 1.",
        low=0.01,
        high=1.0,
    )
    fast: bool = setting(
        False,
        doc="The machine answers within one decision: the policy then sees the label lane's own progress.",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.prompt != OWN and not self.prompt_file:
            raise ConfigError(
                expected=f"prompt_file with prompt: {self.prompt}",
                got="none",
                remedy="name a text file with the rubric, or Robometer's evals/baselines/roboreward.py",
            )
        if self.min_pixels > self.max_pixels:
            raise ConfigError(
                expected="min_pixels at most max_pixels",
                got=f"{self.min_pixels} and {self.max_pixels}",
                remedy="correct them",
            )


def load(config: Config, fusion: FusionConfig) -> RoboRewardModel:
    """Load a RoboReward. It answers progress itself, so that there is nothing to fuse.

    :raises ModelError: when checkpoint or prompt cannot be used, or memory does not suffice.
    """
    prompt = _prompt(config)
    scorer = RoboRewardScorer(load_checkpoint(config, MODEL_TYPES), prompt, config)
    return RoboRewardModel(scorer, WindowConfig(WHOLE, config.stored, config.stored))


def _prompt(config: Config) -> RoboRewardPrompt:
    if config.prompt == OWN:
        return own_prompt()
    return read_prompt(config.prompt_file, official=config.prompt == OFFICIAL)


class RoboRewardModel(ClipRewardModel):
    """A clip model whose task sentence must be plain words."""

    scorer: RoboRewardScorer

    def open(self, references: References) -> ClipSession:
        """Open a session for one episode.

        :raises ModelError: when the task is missing or holds control tokens.
        """
        self.scorer.check_task(references.task)
        return super().open(references)


class RoboRewardScorer:
    """The clip back end; it is given every frame and shows some of them.

    :param checkpoint: loaded weights.
    :param prompt: words after the video.
    :param config: what is shown and how it is read.
    """

    success_signal = PROBABILITY

    def __init__(self, checkpoint: Checkpoint, prompt: RoboRewardPrompt, config: Config) -> None:
        self._checkpoint = checkpoint
        self._engine = Engine(checkpoint, prompt, config.at_once)
        self._config = config
        self.fast = config.fast
        self.success_threshold = config.success_threshold
        self.licence = checkpoint.files.licence
        parts = (
            checkpoint.files.sha256(),
            prompt.sha256,
            *(config.reading, config.dtype, config.quantisation, config.camera),
            *(str(config.rate_hz), str(config.frames)),
            *(str(config.min_pixels), str(config.max_pixels)),
        )
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        self.model_id = ModelId(f"roboreward+{prompt.name}", digest)

    def check_task(self, task: str) -> None:
        """Check that a task sentence can be shown.

        :raises ModelError: when it holds control tokens.
        """
        refuse_control_tokens(task, self._checkpoint.tokenizer)

    def encode(self, pair: FramePair) -> EncodedImage:
        """Check that a frame can be decoded; it is kept as it came, and decoded again when it is shown.

        :raises ImageError: when the camera's bytes are missing or cannot be decoded.
        """
        image = camera_image(pair, self._config.camera)
        decode(image)
        return image

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Answer a batch of clips, one answer each, in order."""
        questions = [Question(query.task, self._video(query.frames)) for query in queries]
        if self._config.reading == EXPECTED:
            return [self._weighed(weighed) for weighed in self._engine.weigh(questions)]
        return [_parsed(text) for text in self._engine.write(questions, self._config.max_tokens)]

    def _video(self, frames: Sequence[EncodedImage]) -> Video:
        stamps_ns = [image.stamp_ns for image in frames]
        shown = at_rate(stamps_ns, self._config.rate_hz, self._config.frames)
        return read_video(
            [frames[k] for k in shown],
            self._checkpoint.image_processor,
            rate_hz=self._config.rate_hz,
            min_pixels=self._config.min_pixels,
            max_pixels=self._config.max_pixels,
        )

    def _weighed(self, weighed: Weighed) -> ClipAnswer:
        if not weighed.mass >= self._config.min_mass:
            return ClipAnswer(
                Status.INVALID_HOP,
                text=f"expected ANSWER: 1 ... 5, got one with probability {weighed.mass:.3f} only",
            )
        pairs = list(zip(weighed.scores, SCORES, strict=True))
        mean = sum(share * score for share, score in pairs)
        variance = sum(share * (score - mean) ** 2 for share, score in pairs)
        return ClipAnswer(
            Status.OK,
            progress=min(1.0, to_progress(mean)),  # float rounding
            success_probability=weighed.scores[-1],
            uncertainty=math.sqrt(variance) / (SCORES[-1] - SCORES[0]),
        )


def _parsed(text: str) -> ClipAnswer:
    score = read_score(text)
    if score is None:
        return ClipAnswer(
            Status.INVALID_HOP, text=f"expected ANSWER: 1 ... 5, got {text[:_SHOWN]!r}"
        )
    return ClipAnswer(
        Status.OK,
        progress=to_progress(score),
        success_probability=1.0 if score == SCORES[-1] else 0.0,
    )
