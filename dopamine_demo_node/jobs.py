"""The node that serves what operators ask for: its threads may be parked in long jobs."""

from __future__ import annotations

import contextlib
import threading
import traceback

from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node

_THREADS = 8  # four goals may be parked, each in one
_STOP_S = 2.0


class JobsNode(Node):
    """Carries services, actions and clients, spun by threads of its own.

    Apart from the streams because an executor looks at all entities of a node for every message:
    together they cost twice as much, and a parked goal must not hold up a frame.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._executor = MultiThreadedExecutor(num_threads=_THREADS)
        self._thread = threading.Thread(target=self._spin, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._executor.add_node(self)
        self._thread.start()

    def destroy_node(self) -> None:
        """Stop serving and leave the graph."""
        self._executor.shutdown(timeout_sec=_STOP_S)
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_S)
        super().destroy_node()

    def _spin(self) -> None:
        """Serve until the node ends: a callback that raises is told, and the others go on."""
        with contextlib.suppress(ExternalShutdownException):
            while not self._spun():
                pass

    def _spun(self) -> bool:
        """Spin; say whether it came to its end."""
        try:
            self._executor.spin()
        except ExternalShutdownException:
            raise
        except Exception as error:
            self.get_logger().error("".join(traceback.format_exception(error)))
            return not self.context.ok()
        return True
