"""RoboReward on a server: the frames seen so far go first, then the rubric; ANSWER: 1..5 becomes progress.

Source: arXiv 2601.00675. The model scores the state at the end of a clip, progress is (s - 1) / 4 and success is
s = 5; a dense signal asks about every growing prefix. The published clip has at least two frames and an even number:
the last one is repeated where needed. ``reading: expected`` takes the expectation over the five digits instead
(``remote/expectation.py``); the probability of success is then that of a 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dopamine_core.config import setting
from dopamine_core.reward.clips import WHOLE, ClipAnswer, ClipQuery, ClipRewardModel, WindowConfig
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.remote.chat import Clip, Question, Reply
from dopamine_core.reward.remote.clip_scorer import RemoteClipScorer, unreadable
from dopamine_core.reward.remote.expectation import expectation, thin
from dopamine_core.reward.remote.scores import TOP_LOGPROBS
from dopamine_core.reward.remote.settings import ServerConfig
from dopamine_core.reward.roboreward.answer import SCORES, read_score, to_progress
from dopamine_core.reward.roboreward.prompt import RoboRewardPrompt, own_prompt, read_prompt
from dopamine_core.reward.session import PROBABILITY
from dopamine_core.types import CAMERAS, Status

OWN, OFFICIAL, FILE = "own", "official", "file"
WRITTEN, EXPECTED = "written", "expected"
IMAGES, VIDEO = "images", "video"
_DIGIT = re.compile(r"ANSWER:\s*([1-5])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """The server, the clip and how the answer is read; pixel limits are 128 to 768 tokens of a frame."""

    prompt: str = setting(
        OWN,
        doc="own: our rubric; official: the published one, read from prompt_file; file: any text there.",
        choices=(OWN, OFFICIAL, FILE),
    )
    prompt_file: str = setting(
        "", doc="Text file with the place {task}, or Robometer's evals/baselines/roboreward.py."
    )
    camera: str = setting("front", doc="Which camera's frames are shown.", choices=CAMERAS)
    frames: int = setting(16, doc="Frames of a clip, spread over the episode so far.", low=2, high=64)
    clip: str = setting(
        IMAGES,
        doc="images: frames as pictures in order; video: as one video in the form that vLLM takes.",
        choices=(IMAGES, VIDEO),
    )
    reading: str = setting(
        WRITTEN,
        doc="written: the digit as it stands; expected: the mean over the five digits.",
        choices=(WRITTEN, EXPECTED),
    )
    min_mass: float = setting(
        0.5,
        doc="Probability that must lie on the five digits for an expected reading; below, it is invalid.",
        low=0.0,
        high=1.0,
    )
    max_tokens: int = setting(32, doc="Longest answer in tokens.", low=4, high=4096)
    success_threshold: float = setting(
        0.5, doc="Probability of success that counts; a written answer gives 0 or 1.", low=0.01, high=1.0
    )
    min_pixels: int = setting(131_072, doc="Fewest pixels of an image; 0: no limit.", low=0, high=10**8)
    max_pixels: int = setting(786_432, doc="Most pixels of an image; 0: no limit.", low=0, high=10**8)


def load(config: Config, fusion: FusionConfig) -> ClipRewardModel:
    """Reach for the served model; a server is asked here only when ``model`` is empty. Nothing is fused.

    :raises ModelError: when the prompt cannot be read, or the server names no single model.
    """
    return ClipRewardModel(RemoteRoboReward(config), WindowConfig(WHOLE, config.frames))


class RemoteRoboReward(RemoteClipScorer):
    """The clip back end on a server.

    :raises ConfigError: when the API key is not there.
    :raises ModelError: as ``load``.
    """

    success_signal = PROBABILITY

    def __init__(self, config: Config) -> None:
        self._config = config
        self._prompt = _prompt(config)
        super().__init__(
            "roboreward_remote",
            config,
            camera=config.camera,
            success_threshold=config.success_threshold,
            prompt_sha256=self._prompt.sha256,
            jpeg=config.clip == VIDEO,
        )

    def question(self, query: ClipQuery) -> Question:
        """Frames first, then the text: the order that the model was trained with."""
        frames = query.frames + query.frames[-1:] * (len(query.frames) % 2)
        shown = (Clip(frames),) if self._config.clip == VIDEO else frames
        logprobs = TOP_LOGPROBS if self._config.reading == EXPECTED else 0
        return Question((*shown, self._prompt.words(query.task)), self._config.max_tokens, (), logprobs)

    def answer(self, query: ClipQuery, reply: Reply) -> ClipAnswer:
        """Read the digit, or its expectation."""
        score = read_score(reply.text)
        if score is None:
            return unreadable("an answer like ANSWER: 3", reply)
        if self._config.reading == EXPECTED:
            return _expected(reply, self._config.min_mass)
        return ClipAnswer(Status.OK, to_progress(score), _success(score))


def _expected(reply: Reply, min_mass: float) -> ClipAnswer:
    """Take the expectations of score and success of an answer that can be read.

    :raises RemoteError: when there are no log-probabilities.
    """
    span = [match.span(1) for match in _DIGIT.finditer(reply.text)][-1]
    score = expectation(reply, read_score, span)
    success = expectation(reply, _success_of, span)
    assert score is not None and success is not None  # the caller read it
    if score.mass < min_mass:
        return ClipAnswer(Status.INVALID_HOP, text=thin(score, min_mass))
    progress = min(1.0, max(0.0, to_progress(score.mean)))
    probability = min(1.0, max(0.0, success.mean))
    return ClipAnswer(Status.OK, progress, probability, score.deviation / (SCORES[-1] - SCORES[0]))


def _success_of(text: str) -> float | None:
    score = read_score(text)
    return None if score is None else _success(score)


def _success(score: int) -> float:
    return float(score == SCORES[-1])


def _prompt(config: Config) -> RoboRewardPrompt:
    if config.prompt == OWN:
        return own_prompt()
    return read_prompt(config.prompt_file, official=config.prompt == OFFICIAL)
