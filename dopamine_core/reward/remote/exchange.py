"""One request goes out and comes back whole, or a named fault says why not; asked again while that may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from dopamine_core.reward.remote.faults import (
    RefusedError,
    RemoteError,
    ReplyError,
    UnreachableError,
    shortened,
)
from dopamine_core.reward.remote.retry import may_pass, pause_s, retry_after_s
from dopamine_core.reward.remote.settings import ServerConfig

T = TypeVar("T")
Read = Callable[[bytes, Mapping[str, str]], T]  # body and headers to a checked answer

_SUCCESS, _REDIRECTS = 200, range(300, 400)
_IDENTITY = ("", "identity")
_REMEDIES = {
    400: "look at what it says; 'resize: server', 'extra', 'greedy' and 'token_limit_field' decide about fields that "
    "not every server takes",
    401: "name the variable with a valid key in 'api_key_env'",
    403: "name the variable with a valid key in 'api_key_env'",
    404: "check 'path' (with its version) and 'model'",
    413: "lower 'max_pixels' with 'resize: client'",
    429: "lower 'in_flight', or ask for a higher limit",
}


@dataclass(frozen=True)
class Exchange:
    """One request to one address.

    :param config: timeouts and limits.
    :param resource: behind the address.
    :param body: JSON; None asks with GET.
    :param headers: of the request.
    :param secret: never repeated in a message; empty: none.
    """

    config: ServerConfig
    resource: str
    body: bytes | None
    headers: Mapping[str, str] = field(repr=False)
    secret: str = field(default="", repr=False)

    async def persist(
        self, client: httpx.AsyncClient, slots: asyncio.Semaphore, read: Read[T]
    ) -> T | RemoteError:
        """Ask until there is an answer, the fault cannot pass, or retries or time are used up.

        The deadline runs from the first sending on; pauses hold no slot.
        """
        now = asyncio.get_running_loop().time
        deadline_s, attempts = 0.0, 0
        fault: RemoteError | None = None
        while True:
            async with slots:
                deadline_s = deadline_s or now() + self.config.deadline_s
                if fault is not None and now() >= deadline_s:
                    return fault
                answer = await self._until(deadline_s, self._once(client, read))
            if not isinstance(answer, RemoteError):
                return answer
            fault, attempts = answer, attempts + 1
            pause = self._pause_s(attempts, fault)
            if not fault.again or attempts > self.config.retries or now() + pause >= deadline_s:
                return fault
            await asyncio.sleep(pause)

    def _pause_s(self, attempts: int, fault: RemoteError) -> float:
        config = self.config
        return pause_s(attempts, config.backoff_s, config.backoff_limit_s, random.random(), fault.after_s)

    async def _until(self, deadline_s: float, work: Awaitable[T]) -> T | RemoteError:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await work
        except TimeoutError:
            limit = f"an answer of {self.config.address} within {self.config.deadline_s:g} s (deadline_s)"
            return self._unreachable(limit, "none", again=False)
        except RemoteError as error:
            return error

    async def _once(self, client: httpx.AsyncClient, read: Read[T]) -> T:
        address = self.config.address
        try:
            response = await client.send(self._request(client), stream=True)
            try:
                content = await self._content(response)
            finally:
                await response.aclose()  # a reply that was not read to its end costs its connection
        except httpx.ConnectTimeout as error:
            limit = f"a connection to {address} within {self.config.connect_timeout_s:g} s"
            raise self._unreachable(limit, "none") from error
        except httpx.TimeoutException as error:
            limit = f"{address} to go on within {self.config.read_timeout_s:g} s (read_timeout_s)"
            raise self._unreachable(limit, type(error).__name__) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            text = self._without_secret(f"{type(error).__name__}: {error}")
            raise self._unreachable(f"a whole answer of {address}", shortened(text)) from error
        if response.status_code != _SUCCESS:
            raise self._refused(response, content)
        return read(content, response.headers)

    def _request(self, client: httpx.AsyncClient) -> httpx.Request:
        config = self.config
        read_s = config.read_timeout_s
        return client.build_request(
            "GET" if self.body is None else "POST",
            f"{config.address}/{self.resource}",
            content=self.body,
            headers=self.headers,
            timeout=httpx.Timeout(connect=config.connect_timeout_s, read=read_s, write=read_s, pool=None),
        )

    async def _content(self, response: httpx.Response) -> bytes:
        """Read a body within the limit.

        :raises ReplyError: when it is packed or too large.
        """
        packed = response.headers.get("content-encoding", "").strip().lower()
        if packed not in _IDENTITY:
            raise ReplyError(
                expected="a reply that is not packed",
                got=shortened(packed),
                remedy="let the server or proxy heed Accept-Encoding: identity",
            )
        content = bytearray()
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > self.config.reply_limit_bytes:
                raise ReplyError(
                    expected=f"a reply of {self.config.reply_limit_bytes} bytes at most",
                    got="more",
                    remedy="check the address, or raise 'reply_limit_bytes'",
                )
        return bytes(content)

    def _refused(self, response: httpx.Response, content: bytes) -> RefusedError:
        status = response.status_code
        said = f"status {status}: {shortened(self._without_secret(content.decode('utf-8', 'replace')))}"
        if status in _REDIRECTS:
            said = f"a redirect (status {status}), which is not followed"
        remedy = "name the final address in 'path'" if status in _REDIRECTS else "look at the server's log"
        return RefusedError(
            expected=f"an answer of {self.config.address}",
            got=said,
            remedy=_REMEDIES.get(status, remedy),
            again=may_pass(status),
            after_s=retry_after_s(response.headers),
        )

    def _unreachable(self, expected: str, got: str, again: bool = True) -> UnreachableError:
        return UnreachableError(
            expected=expected, got=got, remedy="is the server running and its network well?", again=again
        )

    def _without_secret(self, text: str) -> str:
        return text.replace(self.secret, "***") if self.secret else text
