"""The whole graph with a process that sends camera images: what arrives at the reward node, and how late.

Reward, demo, agent, command and learner node and a listener run as separate processes; a load at the learner's
priority stands for learning.

python -m benchmarks.stream_latency --seconds 60            # learner idle, then a load
python -m benchmarks.stream_latency --source cell           # the rendered cell as cameras
python -m benchmarks.stream_latency --seconds 300 --learner running    # drift over five minutes
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.msg import FramePair, Progress
from dopamine_msgs.srv import SetTask
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from benchmarks.live_graph import cpu_s, spin
from dopamine_cli.graph import Graph, NodeProcess
from dopamine_cli.nodes import demo_nodes
from dopamine_core.reward.session import References
from dopamine_core.types import Status
from dopamine_ros import names, qos
from dopamine_ros.convert.images import frame_pair_from_msg, references_to_request
from dopamine_ros.convert.stamps import to_ns

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "stream_latency.json"
PARTS = 5  # of the run, to see whether latency grows


class Listener(Node):
    """Notes what arrives and when."""

    def __init__(self) -> None:
        super().__init__("stream_listener")
        self.pairs: list[tuple[int, int]] = []  # (stamp, arrival) ns
        self.progress: list[tuple[int, int, int]] = []  # (stamp, arrival, inference) ns
        self.statuses: dict[str, int] = {}
        self.last_pair: FramePair | None = None
        self.create_subscription(FramePair, names.FRAME_PAIRS, self._on_pair, qos.STREAM, raw=True)
        self.create_subscription(Progress, names.PROGRESS, self._on_progress, qos.STREAM)
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self._set_task = self.create_client(SetTask, names.SET_TASK)

    def set_task(self) -> None:
        """Give the present pair as goal, so that the model runs."""
        self._wait(lambda: self.last_pair is not None, "a frame pair")
        goal = frame_pair_from_msg(deserialize_message(self.last_pair, FramePair))
        request = references_to_request(References("reach the goal image", (goal,)))
        if not self._set_task.wait_for_service(10.0):
            raise SystemExit("reward/set_task does not answer")
        future = self._set_task.call_async(request)
        rclpy.spin_until_future_complete(self, future, timeout_sec=10.0)
        if not future.done() or not future.result().success:
            raise SystemExit(f"reward/set_task failed: {future.result()}")

    def clear(self) -> None:
        """Forget what arrived so far."""
        self.pairs.clear()
        self.progress.clear()
        self.statuses.clear()

    def undrawn(self) -> int:
        """Pairs that the cell did not even draw, since its start."""
        return int(self.diagnostics.get("cell_node: cell", {}).get("dropped_frames", 0))

    def _wait(self, condition: Any, what: str) -> None:
        until = time.monotonic() + 20.0
        while not condition():
            rclpy.spin_once(self, timeout_sec=0.1)
            if time.monotonic() > until:
                raise SystemExit(f"waited 20 s for {what}")

    def _on_pair(self, message: bytes) -> None:
        self.last_pair = message
        # CDR header of 4 bytes, then header.stamp: seconds and nanoseconds
        sec, nanosec = np.frombuffer(message, "<u4", count=2, offset=4).tolist()
        self.pairs.append((sec * 10**9 + nanosec, self._now_ns()))

    def _on_progress(self, message: Progress) -> None:
        now_ns = self._now_ns()
        status = Status(message.status.code)
        self.statuses[status.name] = self.statuses.get(status.name, 0) + 1
        if status is Status.OK:
            stamp_ns = to_ns(message.header.stamp)
            self.progress.append((stamp_ns, now_ns, to_ns(message.inference_time)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            self.diagnostics[status.name] = values | {"message": status.message}

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def measure(source: str, seconds: float, load: bool, model: str, run_dir: Path) -> dict[str, Any]:
    """Run the graph once and return the figures."""
    with ExitStack() as stack:
        graph = stack.enter_context(Graph(run_dir))
        if source == "cell":
            graph.start("cameras", "dopamine_sim.cell_node", _parameters("cell_node.yaml"))
        else:
            graph.start("cameras", "benchmarks.stream_sender", [str(run_dir / "sent.json")])
        started: dict[str, NodeProcess] = {}
        for node in demo_nodes(run_dir=run_dir, task="insert_peg", seed=0, speed=1.0):
            if node.name in ("cell", "operator"):
                continue
            if node.name == "reward" and model:
                node.parameters["model_path"] = model
            started[node.name] = graph.start(node.name, node.module, node.arguments())
        if load:
            graph.start("load", "benchmarks.stream_load", nice=10)
        graph.wait_ready()
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        listener = Listener()
        stack.callback(listener.destroy_node)
        listener.set_task()
        spin(listener, graph, 3.0)
        listener.clear()
        undrawn = listener.undrawn()
        began = time.monotonic()
        cpu = cpu_s(started["reward"])
        spin(listener, graph, seconds)
        share = (cpu_s(started["reward"]) - cpu) / (time.monotonic() - began)
        undrawn = listener.undrawn() - undrawn
        graph.stop("cameras")
        sent = run_dir / "sent.json"
        stamps = json.loads(sent.read_text(encoding="utf-8")) if sent.exists() else None
        return {"source": source} | _figures(listener, load, share, stamps, undrawn)


def _parameters(name: str) -> list[str]:
    return ["--ros-args", "--params-file", str(ROOT / "config" / name)]


def _figures(
    listener: Listener, load: bool, cpu_share: float, sent_ns: list[int] | None, undrawn: int
) -> dict[str, Any]:
    stamps = np.array([stamp for stamp, _ in listener.pairs])
    sent = round((stamps.max() - stamps.min()) / 1e9 * 30.0) + 1 - undrawn
    if sent_ns is not None:
        sent = sum(int(stamps.min()) <= stamp <= int(stamps.max()) for stamp in sent_ns)
    progress = np.array(listener.progress, dtype=np.int64)  # (M, 3)
    latency_ms = (progress[:, 1] - progress[:, 0]) / 1e6
    pair_ms = np.array([arrival - stamp for stamp, arrival in listener.pairs]) / 1e6
    return {
        "load": load,
        "seconds": round(float(stamps.max() - stamps.min()) / 1e9, 1),
        "pairs_sent": sent,
        "pairs_not_drawn_by_the_cell": undrawn,
        "pairs_delivered_share": round(len(set(stamps.tolist())) / sent, 4),
        "progress_messages": len(progress),
        "statuses": listener.statuses,
        "progress_latency_ms": _percentiles(latency_ms),
        "progress_latency_p50_ms_by_part": [
            round(float(np.median(part)), 2) for part in np.array_split(latency_ms, PARTS)
        ],
        "frame_pair_latency_ms": _percentiles(pair_ms),
        "inference_ms": _percentiles(progress[:, 2] / 1e6),
        "reward_node_cpu_share_of_one_core": round(cpu_share, 3),
        "diagnostics": listener.diagnostics,
        "load_average": os.getloadavg()[0],
    }


def _percentiles(values: np.ndarray) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 90, 99)}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--source", choices=("sender", "cell"), default="sender")
    parser.add_argument("--learner", choices=("idle", "running", "both"), default="both")
    parser.add_argument("--model", default="", help="model folder; empty: the shipped weights")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    runs = []
    for load in {"idle": (False,), "running": (True,), "both": (False, True)}[options.learner]:
        with tempfile.TemporaryDirectory() as run_dir:
            runs.append(
                measure(options.source, options.seconds, load, options.model, Path(run_dir))
            )
        print(json.dumps(runs[-1], indent=2), flush=True)
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        # Real time stands for an idle machine where others compute beside the measurement.
        "all_in_real_time": os.sched_getscheduler(0) == os.SCHED_RR,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": machine, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
