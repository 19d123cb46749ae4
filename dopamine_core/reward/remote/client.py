"""Questions go to an OpenAI-compatible server all at once, answers or named faults come back in their order."""

from __future__ import annotations

import asyncio
import uuid
import weakref
from collections.abc import Mapping, Sequence

import httpx

from dopamine_core.reward.remote.chat import (
    Question,
    Reply,
    body_of,
    read_json,
    read_reply,
    request_id,
)
from dopamine_core.reward.remote.exchange import Exchange
from dopamine_core.reward.remote.faults import ClosedError, RemoteError, ReplyError, shortened
from dopamine_core.reward.remote.line import Line, Work, closed, open_line
from dopamine_core.reward.remote.settings import ServerConfig


class ChatClient:
    """A model's client; several may share a server, also in one process, and ask from several threads.

    :param config: where and how patiently.
    :raises ConfigError: when the API key is asked for and not there.
    :raises RemoteError: when the server is asked for the model's name and gives none.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._key = config.api_key()
        self._line = open_line(config.address, config.in_flight)
        self._release = weakref.finalize(self, Line.release, self._line)
        try:
            self.model = config.model or self._only_model()
        except BaseException:
            self.close()
            raise

    def ask(self, questions: Sequence[Question]) -> list[Reply | RemoteError]:
        """Ask all questions at once, within the bound of the process.

        Requests are written in the caller's thread. A question that fails does not touch the others.

        :returns: for each question, in order, its reply or the fault that is left after the retries.
        """
        if not self._release.alive:
            return [closed()] * len(questions)
        works = [self._work(body_of(question, self.model, self._config)) for question in questions]
        try:
            return self._line.run(works)
        except ClosedError as error:
            return [error] * len(questions)

    def close(self) -> None:
        """Give the connections back; questions under way that nobody else's model shares end with ``ClosedError``."""
        last = self._release()
        if last is not None and last.result():
            self._line.join()

    def _work(self, body: bytes) -> Work[Reply | RemoteError]:
        asked = request_id(uuid.uuid4().int)
        headers = {**self._headers(), "Content-Type": "application/json", "X-Request-Id": asked}
        exchange = Exchange(self._config, "chat/completions", body, headers, self._key)
        model = self._config.reply_model or self.model
        require_id = self._config.require_request_id

        async def work(client: httpx.AsyncClient, slots: asyncio.Semaphore) -> Reply | RemoteError:
            return await exchange.persist(
                client,
                slots,
                lambda content, told: read_reply(content, told, asked, model, require_id=require_id),
            )

        return work

    def _only_model(self) -> str:
        """Return the name of the only model that the server lists."""
        exchange = Exchange(self._config, "models", None, self._headers(), self._key)

        async def work(client: httpx.AsyncClient, slots: asyncio.Semaphore) -> list[str] | RemoteError:
            return await exchange.persist(client, slots, _names)

        listed = self._line.run([work])[0]
        if isinstance(listed, RemoteError):
            raise listed
        if len(listed) != 1:
            raise ReplyError(
                expected="exactly one served model, or its name in the settings",
                got=shortened(", ".join(listed) or "none"),
                remedy="set 'model' to one of them",
            )
        return listed[0]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}


def _names(content: bytes, headers: Mapping[str, str]) -> list[str]:
    """Read the answer to ``GET models``."""
    entries = read_json(content, headers).get("data")
    names = [entry.get("id") for entry in entries or () if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [name for name in names if isinstance(name, str)]
