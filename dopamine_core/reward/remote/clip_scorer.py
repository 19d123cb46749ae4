"""Clips of an episode come in, one question each goes to a server, progress per clip comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from dopamine_core.reward.clips import ClipAnswer, ClipQuery
from dopamine_core.reward.remote.chat import Question, Reply
from dopamine_core.reward.remote.client import ChatClient
from dopamine_core.reward.remote.faults import RemoteError, shortened
from dopamine_core.reward.remote.identity import identity
from dopamine_core.reward.remote.images import DataUrl, data_url
from dopamine_core.reward.remote.settings import CLIENT, ServerConfig
from dopamine_core.reward.session import PROGRESS
from dopamine_core.reward.vlm.views import camera_image
from dopamine_core.types import FramePair, Status


class RemoteClipScorer(ABC):
    """A ClipScorer on a server; a back end says what is asked and how the answer is read.

    :param name: of the back end.
    :param config: server and image settings.
    :param camera: ``front`` or ``wrist``.
    :param success_threshold: in (0, 1].
    :param prompt_sha256: of the prompt.
    :param jpeg: every frame must be JPEG.
    """

    success_signal = PROGRESS

    def __init__(
        self,
        name: str,
        config: ServerConfig,
        *,
        camera: str,
        success_threshold: float,
        prompt_sha256: str,
        jpeg: bool = False,
    ) -> None:
        self._server = config
        self._camera, self._jpeg = camera, jpeg
        self.client = ChatClient(config)
        self.model_id = identity(name, config, self.client.model, prompt_sha256)
        self.fast = config.fast
        self.success_threshold = success_threshold

    @abstractmethod
    def question(self, query: ClipQuery) -> Question:
        """Return what the server is asked about a clip."""

    @abstractmethod
    def answer(self, query: ClipQuery, reply: Reply) -> ClipAnswer:
        """Read the reply; :raises RemoteError: when it lacks what was asked for."""

    def known(self, query: ClipQuery) -> ClipAnswer | None:
        """Return the answer of a clip that needs no question; None when it does."""
        return None

    def encode(self, pair: FramePair) -> DataUrl:
        """Turn one camera's image into what a question carries.

        :raises ImageError: when the camera's bytes are missing or cannot be decoded.
        """
        config = self._server
        limits = (config.min_pixels, config.max_pixels) if config.resize == CLIENT else (0, 0)
        return data_url(camera_image(pair, self._camera), *limits, jpeg=self._jpeg)

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Ask about all clips at once; one answer each, in order. A fault of the server is an answer's status."""
        answers = [self.known(query) for query in queries]
        asked = [query for query, answer in zip(queries, answers, strict=True) if answer is None]
        replies = iter(self.client.ask([self.question(query) for query in asked]))
        return [
            self._read(query, next(replies)) if answer is None else answer
            for query, answer in zip(queries, answers, strict=True)
        ]

    def close(self) -> None:
        """Give the connections back; without it they go with the object."""
        self.client.close()

    def _read(self, query: ClipQuery, reply: Reply | RemoteError) -> ClipAnswer:
        try:
            if isinstance(reply, RemoteError):
                raise reply
            return self.answer(query, reply)
        except RemoteError as error:
            return ClipAnswer(Status.MODEL_ERROR, text=f"{type(error).__name__}: {error}")


def unreadable(expected: str, reply: Reply) -> ClipAnswer:
    """Return the answer for a text without a reading."""
    return ClipAnswer(
        Status.INVALID_HOP,
        text=f"expected {expected}, got {shortened(reply.text)}; the sample is not used",
    )
