"""How a node's process ends: Ctrl-C under a callback is an end like any other, a defect is not."""

from __future__ import annotations

import pytest
import rclpy
from rclpy.node import Node

from dopamine_ros.run import run_node

pytestmark = pytest.mark.ros


class Worker(Node):
    """Raises in its first callback, after the context has ended or before."""

    destroyed = False

    def __init__(self, end_first: bool) -> None:
        super().__init__("worker")
        self._end_first = end_first
        self.create_timer(0.01, self._work)

    def _work(self) -> None:
        if self._end_first:
            rclpy.shutdown()
        raise RuntimeError("publisher's context is invalid")

    def destroy_node(self) -> None:
        """Note that what must be saved could be."""
        Worker.destroyed = True
        super().destroy_node()


def test_an_end_under_a_callback_is_an_end() -> None:
    Worker.destroyed = False
    assert run_node(lambda: Worker(end_first=True), []) == 0
    assert Worker.destroyed


def test_a_defect_is_raised() -> None:
    Worker.destroyed = False
    with pytest.raises(RuntimeError, match="invalid"):
        run_node(lambda: Worker(end_first=False), [])
    assert Worker.destroyed and not rclpy.ok()
