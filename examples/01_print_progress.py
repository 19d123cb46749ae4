"""Topics of a running graph in, one line per second out: all a stranger needs is rclpy and dopamine_msgs.

Start the graph (`make demo` or a launch file) with the same ROS_DOMAIN_ID, then: python examples/01_print_progress.py
"""

import rclpy
from dopamine_msgs.msg import Episode, Progress, RewardStatus
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class PrintProgress(Node):
    """Remembers the newest message of two topics and prints them once a second."""

    def __init__(self) -> None:
        super().__init__("print_progress")
        self._progress: Progress | None = None
        self._episode: Episode | None = None
        self.create_subscription(Progress, "reward/progress", self._on_progress, 10)
        self.create_subscription(Episode, "episode", self._on_episode, LATCHED)
        self.create_timer(1.0, self._print)

    def _on_progress(self, message: Progress) -> None:
        self._progress = message

    def _on_episode(self, message: Episode) -> None:
        self._episode = message

    def _print(self) -> None:
        if self._progress is None:
            print("no progress yet: is the reward node running on this ROS_DOMAIN_ID?")
            return
        progress, status = self._progress, self._progress.status
        episode = self._episode.episode_id if self._episode else "-"
        if status.code == RewardStatus.OK:
            readings = " ".join(f"{value:.2f}" for value in progress.reading)
            print(f"episode {episode}  progress {progress.progress:.2f}  readings {readings}")
        else:
            print(f"episode {episode}  no reading: {status.text}")


def main() -> None:
    """Print until Ctrl-C."""
    rclpy.init()
    node = PrintProgress()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
