"""A chat server on loopback that answers from the pixels it is sent, and goes wrong in every way on demand.

Real HTTP/1.1 over sockets. Brightness of a picture is its progress, as in ``toy_model``: what comes back for a question
can be known from its own pictures alone. Up to ``batch`` questions are in work at once, each for ``seconds``, as on a
server with continuous batching.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Event, Thread
from typing import Any

import numpy as np

from dopamine_core.frames.codec import decode
from dopamine_core.reward.grm.answer import CLOSE, write_hop
from dopamine_core.types import EncodedImage
from tests.core.reward.toy_model import hop_of

MODELS = ("grm", "roboreward", "gvl", "topreward", "vlac")
CALIBRATED = {"low": math.log(0.01), "high": 0.0}  # bounds of the served topreward
SHARE = 0.8  # probability of each token that is answered; the neighbours of a digit share the rest
_LIMIT = 1 << 26
_OTHER_ID = "chatcmpl-dopamine-" + "0" * 32


@dataclass
class Asked:
    """One question as it came."""

    body: dict[str, Any]
    headers: dict[str, str]
    images: list[EncodedImage] = field(default_factory=list)

    @property
    def shares(self) -> list[float]:
        """Brightness of every picture, 0 .. 1, in the order sent."""
        return [_share(image.data) for image in self.images]

    @property
    def text(self) -> str:
        """All words of the question."""
        parts = self.body["messages"][0]["content"]
        return "".join(part["text"] for part in parts if part["type"] == "text")


@dataclass(frozen=True)
class Fault:
    """How one question goes wrong.

    :param kind: name of a method of ``_Faults`` less its underscore.
    :param seconds: for those that take time.
    :param status: for those that refuse.
    :param headers: added to a refusal.
    :param text: for those that answer something else.
    """

    kind: str
    seconds: float = 0.0
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


class FakeServer:
    """Serve from a thread between ``with`` and its end.

    :param batch: questions in work at once.
    :param seconds: each takes.
    :param served: model names; their first letters up to ``-`` say how they answer.
    """

    def __init__(self, batch: int = 8, seconds: float = 0.0, served: tuple[str, ...] = MODELS) -> None:
        self.seconds, self.served = seconds, served
        self.asked: list[Asked] = []
        self.faults: deque[Fault | None] = deque()  # of the next questions, in order of arrival
        self.fault_of: Callable[[Asked], Fault | None] = lambda _: None
        self.write: Callable[[Asked], str] | None = None  # answers instead of the pixels
        self.echo = True
        self.leave_stop = False
        self.stop_reason = True
        self.logprobs = True
        self.key = ""
        self.most_in_work = self.in_work = self.connections = 0
        self._slots = asyncio.Semaphore(batch)
        self._ready = Event()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        assert self._ready.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10.0)
        assert not self._thread.is_alive()

    @property
    def address(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def _serve(self) -> None:
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=_LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            said = {"error": {"message": f"not a valid key: {headers.get('authorization')}"}}
            return await send(writer, json.dumps(said).encode(), 401)
        if head[0].split()[1].endswith("/models"):
            return await send(writer, json.dumps({"data": [{"id": name} for name in self.served]}).encode())
        asked = _read(content, headers)
        self.asked.append(asked)
        fault = self.fault_of(asked) or (self.faults.popleft() if self.faults else None)
        async with self._slots:
            self.in_work += 1
            self.most_in_work = max(self.most_in_work, self.in_work)
            try:
                await asyncio.sleep(self.seconds)
                if fault is not None:
                    return await getattr(_Faults(self, asked, fault, writer), f"{fault.kind}")()
                return await send(writer, json.dumps(self.reply(asked)).encode())
            finally:
                self.in_work -= 1

    def reply(self, asked: Asked) -> dict[str, Any]:
        """Return the whole answer to a question."""
        name = asked.body["model"]
        text = (self.write or _BRAINS[name.split("-")[0]])(asked)
        stop = (asked.body.get("stop") or [None])[0]
        stopped = stop is not None and stop in text
        tokens = _tokens(text)
        if stopped and not self.leave_stop:
            text = text[: text.index(stop)]
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length" if name.startswith("topreward") else "stop",
        }
        if self.stop_reason:
            choice["stop_reason"] = stop if stopped else None
        if asked.body.get("logprobs") and self.logprobs:
            alike = _true(asked) if name.startswith("topreward") else None
            choice["logprobs"] = {"content": alike or [_entry(token) for token in tokens]}
        own = asked.headers.get("x-request-id", "") if self.echo else "1"
        return {"id": f"chatcmpl-{own}", "object": "chat.completion", "model": name, "choices": [choice]}


class _Faults:
    """One method per kind of fault; each returns whether the connection goes on."""

    def __init__(self, server: FakeServer, asked: Asked, fault: Fault, writer: asyncio.StreamWriter) -> None:
        self.server, self.asked, self.fault, self.writer = server, asked, fault, writer

    async def hang(self) -> bool:
        await asyncio.sleep(3600.0)
        return False

    async def late(self) -> bool:
        await asyncio.sleep(self.fault.seconds)
        return await self._say(self._reply())

    async def refuse(self) -> bool:
        said = self.fault.text or json.dumps({"error": {"message": "not now"}})
        return await send(self.writer, said.encode(), self.fault.status, self.fault.headers)

    async def close_at_once(self) -> bool:
        return False

    async def close_in_the_middle(self) -> bool:
        body = json.dumps(self._reply()).encode()
        self.writer.write(_head(200, len(body), {}) + body[: len(body) // 2])
        await self.writer.drain()
        return False

    async def trickle(self) -> bool:
        self.writer.write(_head(200, 10_000, {}))
        while True:
            self.writer.write(b" ")
            await self.writer.drain()
            await asyncio.sleep(0.02)

    async def raw(self) -> bool:
        self.writer.write(self.fault.text.encode())
        await self.writer.drain()
        return False

    async def body(self) -> bool:
        return await send(self.writer, self.fault.text.encode(), 200, self.fault.headers)

    async def endless(self) -> bool:
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            self.writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await self.writer.drain()

    async def content(self) -> bool:
        return await self._choice(message={"role": "assistant", "content": self.fault.text})

    async def refusal(self) -> bool:
        return await self._choice(message={"role": "assistant", "content": None, "refusal": "no"})

    async def cut(self) -> bool:
        return await self._choice(finish_reason="length", stop_reason=None)

    async def filtered(self) -> bool:
        return await self._choice(finish_reason="content_filter")

    async def second_index(self) -> bool:
        return await self._choice(index=1)

    async def no_choice(self) -> bool:
        return await self._say(self._reply() | {"choices": []})

    async def two_choices(self) -> bool:
        reply = self._reply()
        return await self._say(reply | {"choices": reply["choices"] * 2})

    async def other_model(self) -> bool:
        return await self._say(self._reply() | {"model": "someone else"})

    async def other_object(self) -> bool:
        return await self._say(self._reply() | {"object": "error"})

    async def other_question(self) -> bool:
        return await self._say(self._reply() | {"id": _OTHER_ID})

    async def broken_logprobs(self) -> bool:
        return await self._choice(logprobs={"content": [{"token": "a", "logprob": "b"}]})

    def _reply(self) -> dict[str, Any]:
        return self.server.reply(self.asked)

    async def _choice(self, **changed: Any) -> bool:
        reply = self._reply()
        return await self._say(reply | {"choices": [reply["choices"][0] | changed]})

    async def _say(self, reply: dict[str, Any]) -> bool:
        return await send(self.writer, json.dumps(reply).encode())


async def send(
    writer: asyncio.StreamWriter, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> bool:
    """Send a whole reply and keep the connection."""
    writer.write(_head(status, len(body), headers or {}) + body)
    await writer.drain()
    return True


def _head(status: int, length: int, headers: Mapping[str, str]) -> bytes:
    told = {"Content-Type": "application/json", "Content-Length": str(length), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()


@lru_cache(maxsize=4096)
def _share(data: bytes) -> float:
    """Brightness of a picture; the same picture is asked about many times."""
    return float(decode(EncodedImage(1, "jpeg or png", data, 0, 0)).mean() / 255.0)


def _read(content: bytes, headers: dict[str, str]) -> Asked:
    body = json.loads(content)
    urls = [
        part[part["type"]]["url"]
        for part in body["messages"][0]["content"]
        if part["type"] in ("image_url", "video_url")
    ]
    images = [image for url in urls for image in _images(url)]
    return Asked(body, headers, images)


def _images(url: str) -> list[EncodedImage]:
    head, _, data = url.partition(",")
    assert head in ("data:image/jpeg;base64", "data:image/png;base64", "data:video/jpeg;base64")
    kind = head.split("/")[1].split(";")[0]
    return [EncodedImage(1, kind, base64.b64decode(one, validate=True), 0, 0) for one in data.split(",")]


def _grm(asked: Asked) -> str:
    shares = asked.shares
    assert len(shares) == 8
    return "<think>no</think>" + write_hop(hop_of(shares[2] / shares[1], shares[5] / shares[1]))


def _roboreward(asked: Asked) -> str:
    return f"ANSWER: {1 + round(4 * asked.shares[-1])}"


def _gvl(asked: Asked) -> str:
    return "```json\n" + json.dumps([round(100 * share, 1) for share in asked.shares[1:]]) + "\n```"


def _topreward(asked: Asked) -> str:
    return "True" if asked.shares[-1] >= 0.5 else "False"


def _true(asked: Asked) -> list[dict[str, Any]]:
    share = min(0.99, max(0.01, asked.shares[-1]))
    listed = [{"token": "True", "logprob": math.log(share)}, {"token": "False", "logprob": math.log(1 - share)}]
    listed.sort(key=lambda entry: -entry["logprob"])
    return [{**listed[0], "top_logprobs": listed}]


def _vlac(asked: Asked) -> str:
    before, after = asked.shares
    return f"<score>{100 * hop_of(before, after):+.1f}{CLOSE}"


_BRAINS: dict[str, Callable[[Asked], str]] = {
    "grm": _grm,
    "roboreward": _roboreward,
    "gvl": _gvl,
    "topreward": _topreward,
    "vlac": _vlac,
}


def _tokens(text: str) -> list[str]:
    """Tags and words whole, digits and signs alone, as Qwen's tokenizer has them."""
    return re.findall(r"</?\w+>|[A-Za-z]+|.|\n", text)


def _entry(token: str) -> dict[str, Any]:
    if not token.isdigit():
        return {"token": token, "logprob": 0.0, "top_logprobs": [{"token": token, "logprob": 0.0}]}
    beside = [str(d) for d in (int(token) - 1, int(token) + 1) if 0 <= d <= 9]
    weights = {token: SHARE} | {digit: (1 - SHARE) / len(beside) for digit in beside}
    listed = [{"token": digit, "logprob": float(np.log(weight))} for digit, weight in weights.items()]
    return {**listed[0], "top_logprobs": listed}
