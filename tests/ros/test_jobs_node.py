"""The demo node's serving half: a callback that raises is told, and the next request is answered."""

from __future__ import annotations

from typing import Any

import rclpy
from std_srvs.srv import Trigger

from dopamine_demo_node.jobs import JobsNode
from tests.ros.command_graph import ros, spinning, wait_until


def test_a_callback_that_raises_does_not_end_the_service() -> None:
    asked: list[int] = []

    def answer(_: Any, response: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            raise RuntimeError("a defect")
        response.success = True
        return response

    with ros():
        jobs, client_node = JobsNode("jobs"), rclpy.create_node("asker")
        jobs.create_service(Trigger, "work", answer)
        jobs.start()
        with spinning(client_node):
            client = client_node.create_client(Trigger, "work")
            assert client.wait_for_service(30.0)
            client.call_async(Trigger.Request())
            wait_until(lambda: bool(asked), "the first request", 10.0)
            again = client.call_async(Trigger.Request())
            wait_until(again.done, "an answer to the second", 10.0)
            assert again.result().success
        jobs.destroy_node()
