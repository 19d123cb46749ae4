"""RoboReward on a server: the frames seen so far go first, then the rubric; ANSWER: 1..5 becomes progress.

Source: arXiv 2601.00675. The model scores the state at the end of a clip, progress is (s - 1) / 4 and success is
s = 5; a dense signal asks about every growing prefix. The published clip has at least two frames and an even number:
the last one is repeated where needed. ``score: expected`` takes the expectation over the five digits instead
(``remote/expectation.py``); the probability of success is then that of a 5.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dopamine_core.config import setting
from dopamine_core.reward.clips import WHOLE, ClipAnswer, ClipQuery, ClipRewardModel, WindowConfig
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.remote.chat import Clip, Question, Reply
from dopamine_core.reward.remote.clip_scorer import RemoteClipScorer, unreadable
from dopamine_core.reward.remote.expectation import expectation
from dopamine_core.reward.remote.prompts import prompt_of
from dopamine_core.reward.remote.scores import TOP_LOGPROBS
from dopamine_core.reward.remote.settings import ServerConfig
from dopamine_core.reward.session import PROBABILITY
from dopamine_core.types import CAMERAS, Status

TEXT, EXPECTED = "text", "expected"
IMAGES, VIDEO = "images", "video"
_ANSWER = re.compile(r"ANSWER\s*:\s*([1-5])(?![0-9]|\.[0-9])", re.IGNORECASE)
_LOWEST, _HIGHEST = 1, 5

_OWN = """\
These are moments of one robot at work, in order of time. The last one is where it stands now.

The task: {task}

Say how far the task is done at the last moment. Earlier moments only help to understand it; effort does not count.
1: nothing of the task is done.
2: a first part is done, most is missing.
3: about half of it is done.
4: nearly done, something small is missing or wrong.
5: done as the task says, with the right object at the right place.

Answer with one line and nothing else, for example ANSWER: 3
"""


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """The server, the clip and how the answer is read; pixel limits are 128 to 768 tokens of a frame."""

    prompt_file: str = setting("", doc="Rubric text with the place {task}; empty: our own words.")
    camera: str = setting("front", doc="Which camera's frames are shown.", choices=CAMERAS)
    frames: int = setting(16, doc="Frames of a clip, spread over the episode so far.", low=2, high=64)
    clip: str = setting(
        IMAGES,
        doc="images: frames as pictures in order; video: as one video in the form that vLLM takes.",
        choices=(IMAGES, VIDEO),
    )
    score: str = setting(
        TEXT, doc="text: the digit as it is written; expected: the mean over the digits.", choices=(TEXT, EXPECTED)
    )
    max_tokens: int = setting(32, doc="Longest answer in tokens.", low=4, high=4096)
    success_threshold: float = setting(
        0.5, doc="Probability of success that counts; with score: text it is 0 or 1.", low=0.01, high=1.0
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
        self._prompt = prompt_of(_OWN, config.prompt_file)
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
        logprobs = TOP_LOGPROBS if self._config.score == EXPECTED else 0
        return Question((*shown, *self._prompt.pieces(query.task)), self._config.max_tokens, (), logprobs)

    def answer(self, query: ClipQuery, reply: Reply) -> ClipAnswer:
        """Read the digit, or its expectation."""
        score = read_score(reply.text)
        if score is None:
            return unreadable("an answer like ANSWER: 3", reply)
        if self._config.score == TEXT:
            success = 1.0 if score == _HIGHEST else 0.0
            return ClipAnswer(Status.OK, _progress(score), success)
        return _expected(reply)


def read_score(text: str) -> int | None:
    """Read the last ``ANSWER: 1..5`` of a text; None when there is none. Case and blanks do not matter."""
    found = _ANSWER.findall(text)
    return int(found[-1]) if found else None


def _expected(reply: Reply) -> ClipAnswer:
    """Take the expectations of score and success.

    :raises RemoteError: when there are no log-probabilities.
    """
    span = [match.span(1) for match in _ANSWER.finditer(reply.text)][-1]
    score = expectation(reply, read_score, span)
    success = expectation(reply, _is_success, span)
    assert score is not None and success is not None  # the caller read it
    progress = min(1.0, max(0.0, _progress(score.mean)))
    probability = min(1.0, max(0.0, success.mean))
    deviation = score.deviation / (_HIGHEST - _LOWEST)
    return ClipAnswer(Status.OK, progress, probability, deviation if math.isfinite(deviation) else math.nan)


def _is_success(text: str) -> float | None:
    score = read_score(text)
    return None if score is None else float(score == _HIGHEST)


def _progress(score: float) -> float:
    return (score - _LOWEST) / (_HIGHEST - _LOWEST)
