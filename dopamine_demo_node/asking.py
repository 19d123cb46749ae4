"""Requests of a job's own thread come in, answers of other nodes' services go out, in bounded time."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from dopamine_core.errors import GraphError


class Asking:
    """Service clients of a node; calls block their thread, never a callback.

    :param node: it must be spun by other threads than the caller's.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._group = ReentrantCallbackGroup()
        self._clients: dict[str, Any] = {}

    def add(self, kind: type, name: str) -> None:
        """Declare a service that will be called."""
        self._clients[name] = self._node.create_client(kind, name, callback_group=self._group)

    def there(self, name: str, timeout_s: float) -> bool:
        """Whether a service is there, waiting a little for it."""
        return bool(self._clients[name].wait_for_service(timeout_sec=timeout_s))

    def call(self, name: str, request: Any, timeout_s: float) -> Any:
        """Call a service.

        :raises GraphError: when it is not there or does not answer in time.
        """
        if not self.there(name, min(timeout_s, 2.0)):
            raise self._error(name, "no such service")
        done = threading.Event()
        future = self._clients[name].call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout_s):
            self._clients[name].remove_pending_request(future)
            raise self._error(name, f"no answer within {timeout_s:g} s")
        return future.result()

    def _error(self, name: str, got: str) -> GraphError:
        return GraphError(
            expected=f"service '{name}' to answer", got=got, remedy="is its node running?"
        )
