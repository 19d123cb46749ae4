"""One process's way to one server: a thread with an event loop, a pool of connections, a bound on questions under way.

All models of a process that name the same address share it, and the one loaded last sets the bound; it ends with the
last of them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, Future
from threading import Lock, Thread
from typing import TypeVar

import httpx

from dopamine_core.reward.remote.faults import ClosedError

T = TypeVar("T")
Work = Callable[[httpx.AsyncClient, asyncio.Semaphore], Awaitable[T]]

_KEPT_S = 30.0  # an idle connection is kept so long
_lock = Lock()
_lines: dict[tuple[int, str], Line] = {}  # by process and address: a forked child has no threads


class Line:
    """Made by ``open_line``, given back by ``release``.

    :param key: process and address.
    """

    def __init__(self, key: tuple[int, str]) -> None:
        self.key = key
        self.users = 0
        self._in_flight = 0
        self._open = True
        self._gate = Lock()  # nothing is handed to a loop that is about to end
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(keepalive_expiry=_KEPT_S),  # the slots bound them
            follow_redirects=False,  # neither key nor images go where nobody sent them
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._thread = Thread(target=self._run, name="remote reward model", daemon=True)
        self._thread.start()

    def bound(self, in_flight: int) -> None:
        """Set how many questions are under way at most; those that already wait keep the old bound."""
        if in_flight != self._in_flight:
            self._in_flight, self._slots = in_flight, asyncio.Semaphore(in_flight)

    def run(self, works: Sequence[Work[T]]) -> list[T]:
        """Do several pieces of work at once and wait for all; results in the order of the work.

        :param works: take the connections and the bound; their errors are raised here.
        :raises ClosedError: when the line ends before they do, or belongs to another process.
        """
        with self._gate:
            if not self._open or self.key[0] != os.getpid():
                raise closed()
            future = asyncio.run_coroutine_threadsafe(self._all(works), self._loop)
        try:
            return future.result()
        except CancelledError as error:
            raise closed() from error
        except BaseException:
            future.cancel()
            raise

    def release(self) -> Future[bool]:
        """Give the line back; the last one who does ends it. Takes no lock: the garbage collector calls it too.

        :returns: whether it was the last one.
        """
        last: Future[bool] = Future()
        if self.key[0] == os.getpid():
            self._loop.call_soon_threadsafe(self._drop, last)
        else:
            last.set_result(False)
        return last

    def join(self) -> None:
        """Wait until the connections of a line that nobody uses are closed."""
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _all(self, works: Sequence[Work[T]]) -> list[T]:
        return list(await asyncio.gather(*(work(self._client, self._slots) for work in works)))

    def _drop(self, last: Future[bool]) -> None:
        with _lock:
            self.users -= 1
            if not self.users:
                del _lines[self.key]
        last.set_result(not self.users)
        if not self.users:
            with self._gate:
                self._open = False
            self._ending = self._loop.create_task(self._end())

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {self._ending}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()
        self._loop.stop()


def open_line(address: str, in_flight: int) -> Line:
    """Return the process's line to a server, made when there is none.

    :param in_flight: questions under way at most, from now on for all who share the line.
    """
    key = os.getpid(), address
    with _lock:
        line = _lines.get(key) or Line(key)
        line.bound(in_flight)
        line.users += 1
        _lines[key] = line
        return line


def closed() -> ClosedError:
    """Return the fault of a question that nobody waits for any more."""
    return ClosedError(
        expected="an answer", got="the end of the client before it", remedy="load the model again"
    )
