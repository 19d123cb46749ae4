"""Two processes and the suite's DDS profile in, delivered against sent out: what the camera streams would see.

``measure`` starts this module twice, as sender and as receiver, in a graph of its own.
"""

from __future__ import annotations

import array
import copy
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dopamine_cli.graph import Graph
from dopamine_core.errors import GraphError

TOPICS = ("front/image_raw", "wrist/image_raw")
WIDTH, HEIGHT, RATE_HZ = 640, 480, 30.0
_RESULT = re.compile(r"^RESULT (\{.*\})$", re.MULTILINE)
_START_S, _DRAIN_S = 60.0, 1.0


@dataclass(frozen=True)
class Delivery:
    """What became of 2 x 640x480 rgb8 images at 30 Hz."""

    sent: int
    received: int
    p50_ms: float  # nan when nothing came
    p99_ms: float
    segment_mib: int  # shared-memory segment that the run used

    @property
    def share(self) -> float:
        """Share of the sent images that arrived, in [0, 1]."""
        return self.received / self.sent


def measure(run_dir: Path, duration_s: float = 3.0) -> Delivery:
    """Send images between two processes of their own.

    :param run_dir: folder for logs.
    :param duration_s: how long images are sent.
    :raises GraphError: when the processes do not find each other or die.
    """
    from dopamine_cli.shared_memory import segment_mib

    with Graph(run_dir, grace_s=4.0) as graph:
        receiver = graph.start("receiver", __name__, ["receive", str(duration_s)])
        sender = graph.start("sender", __name__, ["send", str(duration_s)])
        deadline = time.monotonic() + duration_s + _DRAIN_S + _START_S
        results = {}
        while len(results) < 2:
            for node in (receiver, sender):
                if found := _RESULT.search(node.words().decode(errors="replace")):
                    results[node.name] = json.loads(found.group(1))
            graph.check()
            if time.monotonic() > deadline:
                raise GraphError(
                    expected=f"sender and receiver to finish within {duration_s + _START_S:g} s",
                    got=f"results of {sorted(results) or 'none'}",
                    remedy=f"see the logs in {graph.logs}",
                )
            time.sleep(0.05)
        segment = segment_mib(Path(graph.env["FASTRTPS_DEFAULT_PROFILES_FILE"]))
    return Delivery(**results["sender"], **results["receiver"], segment_mib=segment)


def send(duration_s: float) -> dict[str, int]:
    """Wait for the receiver, then send on an even grid of time."""
    import rclpy
    from sensor_msgs.msg import Image

    from dopamine_ros import qos

    node = rclpy.create_node("transport_sender")
    outlets = [node.create_publisher(Image, topic, qos.IMAGES) for topic in TOPICS]
    while any(outlet.get_subscription_count() == 0 for outlet in outlets):
        time.sleep(0.02)
    time.sleep(0.3)  # the other side matches a little later
    pixels = array.array("B", bytes(WIDTH * HEIGHT * 3))
    message = Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=WIDTH * 3, data=pixels)
    start, ticks = time.monotonic(), round(duration_s * RATE_HZ)
    for tick in range(1, ticks + 1):
        for outlet in outlets:
            message.header.stamp = node.get_clock().now().to_msg()
            outlet.publish(message)
        time.sleep(max(0.0, start + tick / RATE_HZ - time.monotonic()))
    return {"sent": ticks * len(TOPICS)}


def receive(duration_s: float) -> dict[str, float]:
    """Count images until they stop coming."""
    import numpy as np
    import rclpy
    from rclpy.time import Time
    from sensor_msgs.msg import Image

    from dopamine_ros import qos

    node = rclpy.create_node("transport_receiver")
    # Every image has a place: what is missing was lost by the transport, not by a reader that had to wait.
    every = copy.copy(qos.IMAGES)
    every.depth = round(duration_s * RATE_HZ)
    ages_ms: list[float] = []

    def hear(image: Image) -> None:
        ages_ms.append((node.get_clock().now() - Time.from_msg(image.header.stamp)).nanoseconds / 1e6)

    for topic in TOPICS:
        node.create_subscription(Image, topic, hear, every)
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        before = len(ages_ms)
        rclpy.spin_once(node, timeout_sec=0.1)
        if len(ages_ms) > before:  # silence for this long means that the sender is done
            end = time.monotonic() + _DRAIN_S
    p50, p99 = np.percentile(ages_ms, (50, 99)) if ages_ms else (float("nan"), float("nan"))
    return {"received": len(ages_ms), "p50_ms": float(p50), "p99_ms": float(p99)}


def main() -> None:
    """Play the part named on the command line, then stay until told to go."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    part = {"send": send, "receive": receive}[sys.argv[1]]
    rclpy.init()
    try:
        print("RESULT", json.dumps(part(float(sys.argv[2]))), flush=True)
        while True:
            time.sleep(1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
