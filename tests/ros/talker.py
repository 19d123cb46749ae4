"""A node that says a Decision ten times a second; with an argument it also says how many it hears of each other one."""

import json
import sys

import rclpy
from dopamine_msgs.msg import Decision
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node


class Talker(Node):
    """Publishes under its own name and listens to everybody."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._heard: set[str] = set()
        self._outlet = self.create_publisher(Decision, "decision", 10)
        self.create_subscription(Decision, "decision", self._hear, 10)
        self.create_timer(0.1, self._say)
        print("ready", flush=True)

    def _say(self) -> None:
        message = Decision()
        message.header.frame_id = self.get_name()
        self._outlet.publish(message)

    def _hear(self, message: Decision) -> None:
        if message.header.frame_id not in self._heard:
            self._heard.add(message.header.frame_id)
            print("HEARD", json.dumps(sorted(self._heard)), flush=True)


def main() -> None:
    """Talk until told to stop."""
    rclpy.init()
    node = Talker(sys.argv[1])
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
