"""Commands of a person in, action goals and service calls on a running graph out; waits end in named errors."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import rclpy
from action_msgs.msg import GoalStatus
from rclpy._rclpy_pybind11 import InvalidHandle
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from dopamine_core.errors import GraphError

POLL_S = 0.05
LOST_S = 3.0  # after an action has ended, its result is asked for again
REPLY_S = 30.0  # a server that is up answers a request within this, even on a busy machine


T = TypeVar("T")
ENDED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED)


class Client:
    """A node that spins in its own thread, with blocking calls that keep an eye on the graph.

    :param name: node name.
    :param namespace: robot namespace, empty for none.
    :param use_sim_time: follow ``/clock``.
    :param watch: called while waiting; raises when the graph is broken.
    """

    def __init__(
        self,
        name: str = "dopamine_client",
        *,
        namespace: str = "",
        use_sim_time: bool = False,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        # Our own Ctrl-C handling: ROS's would tear the context down before the goals are cancelled.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        overrides = [Parameter("use_sim_time", value=use_sim_time)]
        self.node = Node(name, namespace=namespace or None, parameter_overrides=overrides)
        self._watch = watch
        self._closing = False
        self._actions: dict[str, ActionClient] = {}
        self._services: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop spinning and leave the graph."""
        self._closing = True
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=3.0)
        self.node.destroy_node()
        rclpy.try_shutdown()

    def wait_until(
        self, ready: Callable[[], bool], timeout_s: float, what: str, remedy: str
    ) -> None:
        """Wait for a condition.

        :raises GraphError: after ``timeout_s`` of wall time.
        """
        start = time.monotonic()
        while not ready():
            if time.monotonic() - start > timeout_s:
                raise GraphError(expected=what, got=f"nothing for {timeout_s:g} s", remedy=remedy)
            self._watch()
            time.sleep(POLL_S)

    def call(self, kind: type, name: str, request: Any, timeout_s: float = REPLY_S) -> Any:
        """Call a service.

        :raises GraphError: when it does not answer in time.
        """
        client = self._services.setdefault(name, self.node.create_client(kind, name))
        self.wait_until(
            client.service_is_ready, timeout_s, f"service '{name}'", "is its node running?"
        )
        future = client.call_async(request)
        self.wait_until(
            future.done, timeout_s, f"an answer of service '{name}'", "see its node's log"
        )
        return future.result()

    def wait_for_action(self, kind: type, name: str, timeout_s: float) -> None:
        """Wait until an action server is there."""
        client = self._action(kind, name)
        self.wait_until(
            client.server_is_ready,
            timeout_s,
            f"action '{name}'",
            "start the graph first (`dopamine demo`, or launch/)",
        )

    def run_action(
        self,
        kind: type,
        name: str,
        goal: Any,
        *,
        timeout_s: float,
        on_feedback: Callable[[Any], None] = lambda feedback: None,
        should_cancel: Callable[[], bool] = lambda: False,
    ) -> Any:
        """Run an action to its result; cancel it on Ctrl-C, on time-out or when asked.

        :param timeout_s: wall time for the whole action.
        :param should_cancel: asked while waiting; a cancelled action still gives its result.
        :returns: the result message.
        :raises GraphError: when the goal is refused or no result comes.
        """
        self.wait_for_action(kind, name, REPLY_S)
        client = self._action(kind, name)
        future = self._spinning(
            lambda: client.send_goal_async(goal, lambda message: on_feedback(message.feedback))
        )
        self.wait_until(future.done, REPLY_S, f"an answer of action '{name}'", "see its node's log")
        handle = future.result()
        if not handle.accepted:
            raise GraphError(
                expected=f"action '{name}' to accept the goal",
                got="a refusal",
                remedy="another goal may be running, or an episode open: see the node's log",
            )
        try:
            return self._await_result(handle, name, timeout_s, should_cancel)
        except BaseException:
            with contextlib.suppress(GraphError):
                self._spinning(handle.cancel_goal_async)
            raise

    def _await_result(
        self, handle: Any, name: str, timeout_s: float, should_cancel: Callable[[], bool]
    ) -> Any:
        start, cancelled, ended_s = time.monotonic(), False, math.inf
        result = self._spinning(handle.get_result_async)
        while not result.done():
            self._watch()
            now = time.monotonic()
            if not cancelled and should_cancel():
                cancelled = True
                self._spinning(handle.cancel_goal_async)
            if handle.status in ENDED:
                ended_s = min(ended_s, now)
            if now - ended_s > LOST_S:
                # A starved machine can lose an answer; the server keeps the result for some seconds.
                result, ended_s = self._spinning(handle.get_result_async), now
            if now - start > timeout_s:
                raise GraphError(
                    expected=f"a result of action '{name}' within {timeout_s:g} s",
                    got="none",
                    remedy="see the logs of the run",
                )
            time.sleep(POLL_S)
        return result.result().result

    def _spinning(self, act: Callable[[], T]) -> T:
        """Run something in the thread that spins.

        rclpy notes a request after sending it: an answer that a spinning thread takes in between is dropped.

        :raises GraphError: when that thread does not come to it.
        """
        task = self._executor.create_task(act)
        start = time.monotonic()
        while not task.done():
            if time.monotonic() - start > REPLY_S:
                raise GraphError(
                    expected="this process to have some time to run",
                    got=f"none for {REPLY_S:g} s",
                    remedy="end other programs, or slow the run down with --speed 0.5",
                )
            time.sleep(POLL_S / 10)
        return task.result()

    def _action(self, kind: type, name: str) -> ActionClient:
        if name not in self._actions:
            self._actions[name] = ActionClient(self.node, kind, name)
        return self._actions[name]

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except (ExternalShutdownException, InvalidHandle):
            # Entities may vanish under a spin that is being shut down; while running it is an error.
            if not self._closing:
                raise


def interrupt_on_terminate() -> None:
    """Let SIGTERM end a command as Ctrl-C does: orderly; also where a shell started it with Ctrl-C ignored."""

    def raise_interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, raise_interrupt)
