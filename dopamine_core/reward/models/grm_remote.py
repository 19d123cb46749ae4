"""GRM on a server: frame pairs come in, eight-image questions go to an OpenAI-compatible API, hops come out.

The weights may be the published GRM or any vision-language model; the question is that of ``reward/grm``. The three
readings of a decision are asked at once. ``reading: expected`` takes the expectation over the alternatives of the
number's tokens (``remote/expectation.py``) instead of the number itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dopamine_core.config import setting
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.grm.answer import CLOSE, OPEN, read_hop
from dopamine_core.reward.grm.prompt import GrmPrompt, own_prompt, read_prompt
from dopamine_core.reward.grm.views import three_views
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.remote.chat import Part, Question, Reply
from dopamine_core.reward.remote.client import ChatClient
from dopamine_core.reward.remote.expectation import expectation, thin
from dopamine_core.reward.remote.faults import RemoteError, shortened
from dopamine_core.reward.remote.identity import identity
from dopamine_core.reward.remote.images import DataUrl, data_url
from dopamine_core.reward.remote.scores import TOP_LOGPROBS, with_end
from dopamine_core.reward.remote.settings import SERVER, ServerConfig
from dopamine_core.reward.session import HopAnswer, HopQuery
from dopamine_core.types import FramePair, Status

OWN, OFFICIAL, FILE = "own", "official", "file"
WRITTEN, EXPECTED = "written", "expected"

Views = tuple[DataUrl, DataUrl, DataUrl]  # front, left wrist, right wrist


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """The server, the prompt and how its answer is read; pixel limits are those of the published GRM."""

    prompt: str = setting(
        OWN,
        doc="own: our words; official: the published ones, read from prompt_file; file: any text there.",
        choices=(OWN, OFFICIAL, FILE),
    )
    prompt_file: str = setting("", doc="The official inference.py, or a text file.")
    reading: str = setting(
        WRITTEN,
        doc="written: the number as it stands; expected: the mean over its tokens' alternatives.",
        choices=(WRITTEN, EXPECTED),
    )
    min_mass: float = setting(
        0.5,
        doc="Probability that must lie on readable alternatives for an expected reading; below, it is invalid.",
        low=0.0,
        high=1.0,
    )
    max_tokens: int = setting(24, doc="Longest answer in tokens.", low=8, high=4096)
    success_threshold: float = setting(
        0.95, doc="Progress that counts as success; calibrate it on your own episodes.", low=0.01, high=1.0
    )
    resize: str = setting(
        SERVER,
        doc="Who brings images to the pixel limits; server: images go as they came and vLLM is told the limits.",
        choices=("client", SERVER),
    )
    min_pixels: int = setting(12_544, doc="Fewest pixels of an image; 0: no limit.", low=0, high=10**8)
    max_pixels: int = setting(76_800, doc="Most pixels of an image; 0: no limit.", low=0, high=10**8)


def load(config: Config, fusion: FusionConfig) -> PairwiseModel:
    """Reach for the served model; a server is asked here only when ``model`` is empty.

    :raises ModelError: when the prompt cannot be read, or the server names no single model.
    """
    return PairwiseModel(RemoteGrm(config), fusion)


class RemoteGrm:
    """The pairwise back end on a server.

    :raises ConfigError: when the API key is not there.
    :raises ModelError: as ``load``.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._prompt = _prompt(config)
        self.client = ChatClient(config)
        self.model_id = identity("grm_remote", config, self.client.model, self._prompt.sha256)
        self.fast = config.fast
        self.success_threshold = config.success_threshold

    def encode(self, pair: FramePair) -> Views:
        """Turn a pair into the three views of a question, missing ones filled.

        :raises ImageError: when the bytes cannot be decoded.
        """
        front, left, right = three_views(pair)
        limits = (
            (self._config.min_pixels, self._config.max_pixels) if self._config.resize != SERVER else (0, 0)
        )
        urls = {id(image): data_url(image, *limits) for image in (front, left, right)}
        return urls[id(front)], urls[id(left)], urls[id(right)]

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Ask all queries at once; one answer each, in order. A fault of the server is an answer's status."""
        replies = self.client.ask([self._question(query) for query in queries])
        return [self._answer(reply) for reply in replies]

    def close(self) -> None:
        """Give the connections back; without it they go with the object."""
        self.client.close()

    def _question(self, query: HopQuery) -> Question:
        images = (query.start[0], query.goal[0], *query.before, *query.after)  # order of grm.views.SLOTS
        words = self._prompt.parts(query.task)
        parts: list[Part] = [words[0]]
        for image, text in zip(images, words[1:], strict=True):
            parts += [image, text]
        logprobs = TOP_LOGPROBS if self._config.reading == EXPECTED else 0
        said = tuple(part for part in parts if part != "")
        return Question(said, self._config.max_tokens, stop=(CLOSE,), top_logprobs=logprobs)

    def _answer(self, reply: Reply | RemoteError) -> HopAnswer:
        if isinstance(reply, RemoteError):
            return HopAnswer(Status.MODEL_ERROR, text=f"{type(reply).__name__}: {reply}")
        text = with_end(reply, CLOSE)
        hop = read_hop(text)
        if hop is None:
            wanted = f"{OPEN}+12.5%{CLOSE}"
            said = f"expected an answer like {wanted}, got {shortened(reply.text)}; the sample is not used"
            return HopAnswer(Status.INVALID_HOP, text=said)
        written = self._config.reading == WRITTEN
        return HopAnswer(Status.OK, hop) if written else _expected(reply, self._config.min_mass)


def _expected(reply: Reply, min_mass: float) -> HopAnswer:
    """Take the expectation of an answer that can be read."""
    start = reply.text.rindex(OPEN) + len(OPEN)
    end = reply.text.find(CLOSE, start)
    span = start, len(reply.text) if end < 0 else end
    try:
        found = expectation(reply, _closed_hop, span)
    except RemoteError as error:
        return HopAnswer(Status.MODEL_ERROR, text=f"{type(error).__name__}: {error}")
    assert found is not None  # the caller read it
    if found.mass < min_mass:
        return HopAnswer(Status.INVALID_HOP, text=thin(found, min_mass))
    return HopAnswer(Status.OK, min(1.0, max(-1.0, found.mean)), found.deviation)


def _closed_hop(text: str) -> float | None:
    return read_hop(text if CLOSE in text else text + CLOSE)


def _prompt(config: Config) -> GrmPrompt:
    if config.prompt == OWN:
        return own_prompt()
    return read_prompt(config.prompt_file, official=config.prompt == OFFICIAL)
