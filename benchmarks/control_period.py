"""The control path in separate processes, with and without a load at learner's priority: how well periods are kept.

Cell (cameras, joints, controller), reward node, command node and agent run in real time; this process plays demo node
and learner's mouth: it opens a rollout and sends a policy that wanders a little. The load stands for the learner.

python -m benchmarks.control_period --seconds 60
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
from dopamine_msgs.msg import (
    Command,
    Decision,
    Episode,
    FramePair,
    PolicyAction,
    PolicyWeights,
    Potential,
)
from dopamine_msgs.srv import SetTask
from rclpy.node import Node

from benchmarks.live_graph import cpu_s, spin
from dopamine_cli.graph import Graph, NodeProcess
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.reward.session import References
from dopamine_core.rl.encoder import FrozenEncoder
from dopamine_core.rl.export import export_policy
from dopamine_core.rl.normaliser import Normaliser
from dopamine_core.rl.observation import ObservationBuilder, ObservationConfig
from dopamine_core.rl.policy import PolicyInfo
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_to_msg
from dopamine_ros.convert.images import frame_pair_from_msg, references_to_request
from dopamine_ros.convert.learner import policy_to_msg
from dopamine_ros.convert.stamps import to_ns
from dopamine_ros.priority import take_realtime

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "control_period.json"
SHIPPED = ROOT / "dopamine_core" / "reward" / "models" / "nano_weights"
ALLOWED = 0.15  # of a period, 99th percentile
WARM_UP_S = 5.0


class Driver(Node):
    """Opens the episode, sends the policy, notes when things happen."""

    def __init__(self) -> None:
        super().__init__("control_bench")
        self.decided: list[int] = []  # stamps, ns
        self.acted: list[tuple[int, int]] = []  # (decision stamp, arrival) ns
        self.ticked: list[int] = []  # stamps, ns
        self.sources: dict[str, int] = {}
        self.answered: list[int] = []  # ns from a decision to its potential's arrival
        self.pair: FramePair | None = None
        self.create_subscription(Decision, names.DECISION, self._on_decision, qos.STREAM)
        self.create_subscription(PolicyAction, names.POLICY_ACTION, self._on_action, qos.STREAM)
        self.create_subscription(Command, names.COMMAND, self._on_command, qos.STREAM)
        self.create_subscription(Potential, names.POTENTIAL, self._on_potential, qos.STREAM)
        self._pairs = self.create_subscription(
            FramePair, names.FRAME_PAIRS, self._on_pair, qos.STREAM
        )
        self._episodes = self.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self._weights = self.create_publisher(PolicyWeights, names.POLICY_WEIGHTS, qos.LATCHED)
        self._set_task = self.create_client(SetTask, names.SET_TASK)

    def begin(self, policy: bytes) -> None:
        """Set the task with the present pair as goal, send the policy, open a rollout."""
        self._spin_until(lambda: self.pair is not None, "a frame pair")
        assert self.pair is not None
        goal = frame_pair_from_msg(self.pair)
        self.destroy_subscription(
            self._pairs
        )  # from here on this process must not cost more than it has to
        future = self._set_task.call_async(references_to_request(References("bench", (goal,))))
        self._spin_until(future.done, "reward/set_task")
        if not future.result().success:
            raise SystemExit(f"reward/set_task failed: {future.result().message}")
        self._weights.publish(policy_to_msg(1, policy, self._now()))
        self._spin_until(
            lambda: time.sleep(0.01) is None and len(self.ticked) > 50, "the command node"
        )
        now = self._now()
        info = EpisodeInfo("bench", EpisodeState.OPEN, EpisodeKind.ROLLOUT, "bench", now, now)
        self._episodes.publish(episode_to_msg(info))
        self._spin_until(lambda: len(self.acted) > 5, "policy actions")

    def clear(self) -> None:
        """Forget what was noted so far."""
        for notes in (self.decided, self.acted, self.ticked, self.answered):
            notes.clear()
        self.sources.clear()

    def _spin_until(self, condition: Any, what: str) -> None:
        until = time.monotonic() + 30.0
        while not condition():
            rclpy.spin_once(self, timeout_sec=0.1)
            if time.monotonic() > until:
                raise SystemExit(f"waited 30 s for {what}")

    def _on_decision(self, message: Decision) -> None:
        self.decided.append(to_ns(message.header.stamp))

    def _on_action(self, message: PolicyAction) -> None:
        self.acted.append((to_ns(message.header.stamp), self._now()))

    def _on_command(self, message: Command) -> None:
        self.ticked.append(to_ns(message.header.stamp))
        source = str(message.source)
        self.sources[source] = self.sources.get(source, 0) + 1

    def _on_potential(self, message: Potential) -> None:
        self.answered.append(self._now() - to_ns(message.header.stamp))

    def _on_pair(self, message: FramePair) -> None:
        self.pair = message

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def wandering_policy(encoder_path: Path) -> bytes:
    """ONNX bytes of a policy without a preferred direction: its sampled actions wander about."""
    builder = ObservationBuilder(FrozenEncoder(encoder_path), Kinematics(), ObservationConfig())
    size = builder.size
    state = {
        "_mu.weight": np.zeros((3, size), np.float32),
        "_mu.bias": np.zeros(3, np.float32),
        "_logstd.weight": np.zeros((3, size), np.float32),
        "_logstd.bias": np.full(3, -1.0, np.float32),
    }
    info = PolicyInfo("nano", builder.encoder.sha256, builder.layout, ("x", "y", "z"), 0.01, 0.1)
    same = Normaliser(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
    return export_policy(state, same, (-5.0, 2.0), info)


def measure(
    seconds: float, load: bool, ordinary: bool, model: Path, run_dir: Path
) -> dict[str, Any]:
    """Run the graph once and return the figures."""
    with ExitStack() as stack:
        graph = stack.enter_context(Graph(run_dir))
        processes = _start_nodes(graph, model, ordinary)
        if load:
            processes["load"] = graph.start("load", "benchmarks.stream_load", nice=10)
        graph.wait_ready()
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        driver = Driver()
        stack.callback(driver.destroy_node)
        take_realtime(20)  # what measures must not be late itself
        # The next graph's processes inherit what this thread has.
        stack.callback(os.sched_setscheduler, 0, os.SCHED_OTHER, os.sched_param(0))
        driver.begin(wandering_policy(model / "encoder.onnx"))
        spin(driver, graph, WARM_UP_S)
        driver.clear()
        cpu = {name: cpu_s(process) for name, process in processes.items()}
        spin(driver, graph, seconds)
        shares = {
            name: round((cpu_s(processes[name]) - before) / seconds, 3)
            for name, before in cpu.items()
        }
        return _figures(driver, load) | {
            "ordinary_priority": ordinary,
            "cpu_share_of_one_core": shares,
        }


def _start_nodes(graph: Graph, model: Path, ordinary: bool) -> dict[str, NodeProcess]:
    def arguments(*files: str, **values: object) -> list[str]:
        parts = ["--ros-args"]
        for file in files:
            parts += ["--params-file", str(ROOT / "config" / file)]
        if ordinary and "cell_node.yaml" not in files:
            values["realtime_priority"] = 0
        for name, value in values.items():
            parts += ["-p", f"{name}:={value}"]
        return parts

    modules = {
        "cell": ("dopamine_sim.cell_node", arguments("cell_node.yaml")),
        "command": (
            "dopamine_rl_node.command_node",
            arguments("command_node.yaml", "limits.yaml"),
        ),
        "reward": (
            "dopamine_reward_node.reward_node",
            arguments("reward_node.yaml", model_path=model),
        ),
        "agent": (
            "dopamine_rl_node.agent_node",
            arguments("agent_node.yaml", encoder_path=model / "encoder.onnx"),
        ),
    }
    return {name: graph.start(name, *rest) for name, rest in modules.items()}


def _figures(driver: Driver, load: bool) -> dict[str, Any]:
    decision = _period_error(driver.decided, 0.1)
    tick = _period_error(driver.ticked, 0.02)
    action = _period_error([arrival for _, arrival in driver.acted], 0.1)
    span_s = (max(driver.ticked) - min(driver.ticked)) / 1e9
    expected = round(span_s * 10)
    delay_ms = np.array([arrival - stamp for stamp, arrival in driver.acted]) / 1e6
    return {
        "load": load,
        "decision_period_error": decision,
        "action_period_error": action,
        "tick_period_error": tick,
        "met": decision["p99"] <= ALLOWED and action["p99"] <= ALLOWED,
        "decisions": len(driver.decided),
        "decisions_expected": expected,
        "actions": len(driver.acted),
        "ticks_by_source": driver.sources,
        "decision_to_action_ms": _percentiles(delay_ms),
        "decision_to_potential_ms": _percentiles(np.array(driver.answered) / 1e6),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _period_error(stamps_ns: list[int], period_s: float) -> dict[str, float]:
    """|interval - period| / period, as shares; every interval counts, also those with a gap."""
    intervals = np.diff(np.sort(np.array(stamps_ns))) / 1e9
    return _percentiles(np.abs(intervals - period_s) / period_s, digits=4)


def _percentiles(values: np.ndarray, digits: int = 2) -> dict[str, float]:
    if not len(values):
        return {"p50": float("nan"), "p99": float("nan"), "worst": float("nan")}
    return {
        "p50": round(float(np.percentile(values, 50)), digits),
        "p99": round(float(np.percentile(values, 99)), digits),
        "worst": round(float(values.max()), digits),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--load", action="store_true", help="only with the load beside it")
    parser.add_argument("--ordinary", action="store_true", help="no real-time priority")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="model folder")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    runs = []
    for load in (True,) if options.load else (False, True):
        with tempfile.TemporaryDirectory() as run_dir:
            runs.append(
                measure(options.seconds, load, options.ordinary, options.model, Path(run_dir))
            )
        print(json.dumps(runs[-1], indent=2), flush=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    result = {"allowed_p99": ALLOWED, "machine": machine, "runs": runs}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
