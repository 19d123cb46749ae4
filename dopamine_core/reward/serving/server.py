"""A service comes in, a listening server goes out; it stops cleanly on a signal or when told to."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from dopamine_core.errors import ConfigError
from dopamine_core.reward.serving.app import Service, build_app
from dopamine_core.reward.serving.config import ServeConfig

_AFTER_GRACE_S = 2.0  # for replies to those who were still waiting
_STARTED_WITHIN_S = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def open_socket(config: ServeConfig) -> socket.socket:
    """Bind the address, before a model is loaded for nothing.

    :raises ConfigError: when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; else replies come 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host.strip("[]"), config.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            expected=f"to listen on {config.host}:{config.port}",
            got=str(error),
            remedy="choose another --port or --host, or stop what listens there",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(service: Service, listener: socket.socket, on_started: Callable[[], None]) -> bool:
    """Serve until a signal comes; requests under way have the grace time to end.

    :param on_started: called once clients can connect.
    :returns: whether it was Ctrl-C.
    """
    server = _server(service, on_started)
    server.run([listener])
    return server.interrupted


@contextmanager
def served(service: Service, listener: socket.socket) -> Iterator[str]:
    """Serve in a thread while the context is open.

    :returns: the server's URL.
    """
    server = _server(service)
    thread = threading.Thread(target=server.run, args=([listener],), name="serve", daemon=True)
    thread.start()
    try:
        _wait(lambda: server.started or not thread.is_alive())
        yield address_of(listener)
    finally:
        server.should_exit = True
        thread.join(service.config.grace_s + 2 * _AFTER_GRACE_S)


def _wait(ready: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _STARTED_WITHIN_S
    while not ready() and time.monotonic() < until_s:
        time.sleep(0.005)


def _server(service: Service, on_started: Callable[[], None] = lambda: None) -> _Server:
    config = uvicorn.Config(
        build_app(service),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=math.ceil(service.config.grace_s + _AFTER_GRACE_S),
    )
    return _Server(config, service, on_started)


class _Server(uvicorn.Server):
    """Answers those who wait before it goes: uvicorn alone would cut them off."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._on_started = on_started
        self.interrupted = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal and go on after it; uvicorn alone would raise it once more."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread hears signals
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        self.interrupted |= sig == signal.SIGINT
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse what is new, give what is under way its time, then fail the rest."""
        self._service.stopping = True
        stop = asyncio.ensure_future(
            asyncio.to_thread(self._service.worker.stop, self._service.config.grace_s)
        )
        await super().shutdown(sockets)
        await stop
