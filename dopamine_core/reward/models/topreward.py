"""TOPReward: the log-probability that a vision-language model gives to the claim that the task is done.

Source: arXiv 2602.19313. The frames so far go first, then the claim; the answer is one word, and the log-probability L
of "True" is the signal. The published method stretches L between its least and largest value of the episode, which
nobody knows while it runs; here the bounds are fixed:

    progress = (L - low) / (high - low), limited to [0, 1].

Calibrate them with ``bounds`` on an episode that succeeded: they belong to model, prompt, task and camera, and have no
defaults. The published text is a plain continuation; a chat adds the server's template around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dopamine_core.config import setting
from dopamine_core.errors import ConfigError, ModelError
from dopamine_core.reward.clips import (
    WHOLE,
    ClipAnswer,
    ClipQuery,
    ClipRewardModel,
    WindowConfig,
    window_of,
)
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.remote.chat import Question, Reply
from dopamine_core.reward.remote.clip_scorer import RemoteClipScorer
from dopamine_core.reward.remote.faults import RemoteError, ReplyError, shortened
from dopamine_core.reward.remote.prompts import prompt_of
from dopamine_core.reward.remote.scores import TOP_LOGPROBS
from dopamine_core.reward.remote.settings import ServerConfig
from dopamine_core.reward.session import References
from dopamine_core.types import CAMERAS, FramePair, Status

_TRUE = "True"

_OWN = """\
These are moments of one robot at work, in order of time. The last one is where it stands now.

Claim: at the last moment this task is done completely: {task}

Is the claim true? Answer with one word, True or False.
"""


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """The server, the clip and the bounds of the log-probability."""

    low: float = setting(doc="Log-probability of True that is progress 0.", low=-1000.0, high=0.0)
    high: float = setting(doc="Log-probability of True that is progress 1.", low=-1000.0, high=0.0)
    prompt_file: str = setting("", doc="Claim with the place {task}; empty: our own words.")
    camera: str = setting("front", doc="Which camera's frames are shown.", choices=CAMERAS)
    frames: int = setting(16, doc="Frames of a clip, spread over the episode so far.", low=1, high=64)
    top_logprobs: int = setting(
        TOP_LOGPROBS, doc="Alternatives that the server is asked for.", low=2, high=100
    )
    success_threshold: float = setting(
        0.95, doc="Progress that counts as success; calibrate it on your own episodes.", low=0.01, high=1.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise ConfigError(
                expected="low below high",
                got=f"{self.low} and {self.high}",
                remedy="calibrate them on an episode that succeeded",
            )


def load(config: Config, fusion: FusionConfig) -> ClipRewardModel:
    """Reach for the served model; a server is asked here only when ``model`` is empty. Nothing is fused.

    :raises ModelError: when the prompt cannot be read, or the server names no single model.
    """
    return ClipRewardModel(TopReward(config), WindowConfig(WHOLE, config.frames))


class TopReward(RemoteClipScorer):
    """The clip back end on a server that gives log-probabilities.

    :raises ConfigError: when the API key is not there.
    :raises ModelError: as ``load``.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._prompt = prompt_of(_OWN, config.prompt_file)
        super().__init__(
            "topreward",
            config,
            camera=config.camera,
            success_threshold=config.success_threshold,
            prompt_sha256=self._prompt.sha256,
        )

    def question(self, query: ClipQuery) -> Question:
        """Frames first, then the claim; one token is answered."""
        parts = (*query.frames, *self._prompt.pieces(query.task))
        return Question(parts, max_tokens=1, top_logprobs=self._config.top_logprobs)

    def answer(self, query: ClipQuery, reply: Reply) -> ClipAnswer:
        """Stretch the log-probability between the bounds."""
        truth, exact = true_logprob(reply)
        if not exact and truth > self._config.low:
            text = f"expected True among {self._config.top_logprobs} alternatives, got {shortened(reply.text)}"
            return ClipAnswer(Status.INVALID_HOP, text=f"{text}; the sample is not used")
        share = (truth - self._config.low) / (self._config.high - self._config.low)
        probability = math.exp(truth) if exact else math.nan
        return ClipAnswer(Status.OK, min(1.0, max(0.0, share)), probability)

    def bounds(self, pairs: Sequence[FramePair], references: References) -> tuple[float, float]:
        """Return the least and the largest log-probability over an episode that succeeded: ``low`` and ``high``.

        :param pairs: its frames in order of time, at least two.
        :raises ModelError: when an answer lacks the log-probability, or all are alike.
        """
        frames = [self.encode(pair) for pair in pairs]
        window = WindowConfig(WHOLE, self._config.frames)
        clips = [window_of(frames[: k + 1], window) for k in range(len(frames))]
        queries = [ClipQuery(references.task, clip, references) for clip in clips]
        found = [_exact(reply) for reply in self.client.ask([self.question(query) for query in queries])]
        if len(set(found)) < 2:
            raise ModelError(
                expected="log-probabilities that differ over the episode",
                got=f"{len(set(found))} value in {len(pairs)} frames",
                remedy="take an episode that goes from the beginning to success",
            )
        return min(found), max(found)


def true_logprob(reply: Reply) -> tuple[float, bool]:
    """Read the log-probability of "True" as the first token, blanks around it aside.

    :returns: the log-probability, and True; where "True" is not listed, that of the least likely listed token, which
        is more than that of "True", and False.
    :raises ReplyError: when the reply has no log-probabilities.
    """
    if not reply.tokens or len(reply.tokens[0].alternatives) < 2:
        raise ReplyError(
            expected="log-probabilities of the first token's alternatives",
            got="none",
            remedy="take a server that gives top_logprobs; this reward is made of them",
        )
    listed = reply.tokens[0].alternatives
    true = [math.exp(logprob) for text, logprob in listed if text.strip() == _TRUE]
    if not true:
        return min(logprob for _, logprob in listed), False
    total = min(1.0, sum(true))
    return (math.log(total) if total > 0.0 else -math.inf), True


def _exact(reply: Reply | RemoteError) -> float:
    if isinstance(reply, RemoteError):
        raise reply
    truth, exact = true_logprob(reply)
    if not exact:
        raise ReplyError(
            expected="True among the alternatives",
            got=shortened(reply.text),
            remedy="ask for more 'top_logprobs', or word the claim so that True or False is answered",
        )
    return truth
