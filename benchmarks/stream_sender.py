"""Stands for two camera drivers: 640x480 rgb8 frames at 30 Hz go out, stamped when sent."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image

from dopamine_ros import names, qos
from dopamine_ros.convert.images import rgb_to_msg
from dopamine_ros.convert.stamps import to_ns

_WIDTH, _HEIGHT, _RATE_HZ = 640, 480, 30.0
_SCENES = (45, 44)  # per camera; no common divisor, so that a pair returns only after 66 s


def scene(phase: float, seed: int) -> np.ndarray:
    """(H, W, 3) uint8: smooth colours, a moving disc and sensor noise, so that JPEG sizes are
    real.
    """
    x, y = np.meshgrid(np.linspace(0.0, 1.0, _WIDTH), np.linspace(0.0, 1.0, _HEIGHT))
    rgb = np.dstack([x, y, 0.5 + 0.5 * np.sin(6.0 * (x + y) + seed)])
    rgb[(x - phase) ** 2 + (y - 0.5) ** 2 < 0.02] = (0.9, 0.2, 0.1)
    noise = np.random.default_rng(seed).normal(0.0, 0.012, rgb.shape)
    return (np.clip(rgb + noise, 0.0, 1.0) * 255).astype(np.uint8)


class Sender(Node):
    """Publishes both cameras on an even grid of time."""

    def __init__(self) -> None:
        super().__init__("stream_sender")
        self.sent: list[int] = []  # stamps, ns
        self._outlets = [
            self.create_publisher(Image, topic, qos.IMAGES)
            for topic in (names.FRONT_IMAGE, names.WRIST_IMAGE)
        ]
        self._frames = [
            [rgb_to_msg(scene(k / count, 100 * camera + k), 0) for k in range(count)]
            for camera, count in enumerate(_SCENES)
        ]

    def send(self, number: int) -> None:
        """Publish one pair, stamped now."""
        stamp = self.get_clock().now().to_msg()
        self.sent.append(to_ns(stamp))
        for publisher, frames in zip(self._outlets, self._frames, strict=True):
            frame = frames[number % len(frames)]
            frame.header.stamp = stamp
            publisher.publish(frame)


def main() -> None:
    """Send until interrupted, then write the stamps to the file named by the first argument."""
    rclpy.init()
    node = Sender()
    node.get_logger().info("ready")
    began, number = time.monotonic(), 0
    try:
        while rclpy.ok():
            wait_s = began + number / _RATE_HZ - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            node.send(number)
            number += 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if len(sys.argv) > 1:
            Path(sys.argv[1]).write_text(json.dumps(node.sent), encoding="utf-8")
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
