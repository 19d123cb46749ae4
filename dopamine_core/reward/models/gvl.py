"""GVL: shuffled frames of the episode go to an API model, which says of each how far the task is, in percent.

Source: arXiv 2411.04549. The first frame is shown in its place as 0 %; the others are shuffled, so that the model
cannot answer by counting. The published method scores a finished clip; here every sample asks about the frames so far
and takes the value of the newest. The same seed and number of frames always give the same order.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from dopamine_core.config import setting
from dopamine_core.reward.clips import WHOLE, ClipAnswer, ClipQuery, ClipRewardModel, WindowConfig
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.remote.chat import Part, Question, Reply
from dopamine_core.reward.remote.clip_scorer import RemoteClipScorer, unreadable
from dopamine_core.reward.remote.prompts import prompt_of
from dopamine_core.reward.remote.settings import ServerConfig
from dopamine_core.types import CAMERAS, Status

_LIST = re.compile(r"\[[^\[\]]*\]")
_LARGEST = 100.0

_OWN = """\
A robot works on this task: {task}

The first picture shows the beginning: 0 percent of the task is done there. The pictures after it are moments of the \
same work in random order, numbered. For each of them say how many percent of the task are done, 0 to 100, where 100 \
means done completely. Judge each by what it shows: its place in the row means nothing, and work may also be undone.

Answer with one JSON list of numbers and nothing else: the percentages of the numbered pictures in the order of their \
numbers, for example [35, 80, 10].
"""
_FIRST = "Beginning, 0 percent: "


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """The server, the frames and their order."""

    prompt_file: str = setting("", doc="Text before the frames, with the place {task}; empty: our own words.")
    camera: str = setting("front", doc="Which camera's frames are shown.", choices=CAMERAS)
    frames: int = setting(
        16, doc="Frames of a question, spread over the episode so far, the first included.", low=2, high=64
    )
    seed: int = setting(0, doc="Of the order in which frames are shown.", low=0, high=2**31)
    max_tokens: int = setting(512, doc="Longest answer in tokens.", low=16, high=8192)
    success_threshold: float = setting(
        0.95, doc="Progress that counts as success; calibrate it on your own episodes.", low=0.01, high=1.0
    )


def load(config: Config, fusion: FusionConfig) -> ClipRewardModel:
    """Reach for the served model; a server is asked here only when ``model`` is empty. Nothing is fused.

    :raises ModelError: when the prompt cannot be read, or the server names no single model.
    """
    return ClipRewardModel(Gvl(config), WindowConfig(WHOLE, config.frames))


class Gvl(RemoteClipScorer):
    """The clip back end on a server.

    :raises ConfigError: when the API key is not there.
    :raises ModelError: as ``load``.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._prompt = prompt_of(_OWN, config.prompt_file)
        super().__init__(
            "gvl",
            config,
            camera=config.camera,
            success_threshold=config.success_threshold,
            prompt_sha256=self._prompt.sha256,
        )

    def known(self, query: ClipQuery) -> ClipAnswer | None:
        """The first frame of an episode is 0 % by definition."""
        return ClipAnswer(Status.OK, 0.0) if len(query.frames) == 1 else None

    def question(self, query: ClipQuery) -> Question:
        """Text, the first frame, then the others shuffled and numbered from 1."""
        first, others = query.frames[0], query.frames[1:]
        parts: list[Part] = [*self._prompt.pieces(query.task), _FIRST, first]
        for number, k in enumerate(order(len(others), self._config.seed), start=1):
            parts += [f"Picture {number}: ", others[k]]
        return Question(tuple(parts), self._config.max_tokens)

    def answer(self, query: ClipQuery, reply: Reply) -> ClipAnswer:
        """Read the list and take the newest frame's number."""
        count = len(query.frames) - 1
        values = read_percentages(reply.text, count)
        if values is None:
            return unreadable(f"one JSON list of {count} numbers in [0, 100]", reply)
        newest = order(count, self._config.seed).index(count - 1)
        return ClipAnswer(Status.OK, values[newest] / _LARGEST)


def order(count: int, seed: int) -> list[int]:
    """Return the shuffled indices of so many frames; always the same for the same seed."""
    return [int(k) for k in np.random.default_rng((seed, count)).permutation(count)]


def read_percentages(text: str, count: int) -> list[float] | None:
    """Read the only list of so many percentages in a text, whatever stands around it.

    :param count: numbers expected, >= 1.
    :returns: each in [0, 100]; None when no list or more than one fits.
    """
    fitting = [values for found in _LIST.findall(text) if (values := _numbers(found, count)) is not None]
    return fitting[0] if len(fitting) == 1 else None


def _numbers(text: str, count: int) -> list[float] | None:
    try:
        values: Any = json.loads(text)
    except ValueError:
        return None
    good = len(values) == count and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _LARGEST
        for value in values
    )
    return [float(value) for value in values] if good and all(map(math.isfinite, values)) else None
