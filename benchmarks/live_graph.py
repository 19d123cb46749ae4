"""A running graph and a node that listens: spin for a while, and what a process has cost so far."""

from __future__ import annotations

import os
import time
from pathlib import Path

import rclpy
from rclpy.node import Node

from dopamine_cli.graph import Graph, NodeProcess


def spin(node: Node, graph: Graph, seconds: float) -> None:
    """Listen for a while.

    :raises NodeDiedError: when a node of the graph has died meanwhile.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=0.05)
    graph.check()


def cpu_s(process: NodeProcess) -> float:
    """User and system time of a node's process, s."""
    stat = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
