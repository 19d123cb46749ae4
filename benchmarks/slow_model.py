"""The reward node with a model that takes seconds: which decisions are answered, in what order, how old the monitor is.

A real reward node, two cameras at 30 Hz and a listener that fixes a decision every 100 ms run as processes of their
own. The model only waits, so that what is measured is the node's.

python -m benchmarks.slow_model                      # 2.4 s per inference, an episode of 10 s
python -m benchmarks.slow_model --inference 0.6 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from dopamine_msgs.msg import Decision as DecisionMsg
from dopamine_msgs.msg import Episode, FramePair, Potential, Progress, Reward
from dopamine_msgs.srv import SetTask
from rclpy.node import Node

from benchmarks.live_graph import spin
from dopamine_cli.graph import Graph
from dopamine_core.frames.codec import decode
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import register_reward_model
from dopamine_core.reward.session import HopAnswer, HopQuery, References
from dopamine_core.types import (
    Decision,
    DecisionOwner,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    ModelId,
    Outcome,
    Status,
)
from dopamine_core.types import FramePair as Pair
from dopamine_ros import names, qos
from dopamine_ros.convert.episodes import episode_to_msg
from dopamine_ros.convert.images import frame_pair_from_msg, references_to_request
from dopamine_ros.convert.reward import decision_to_msg
from dopamine_ros.convert.stamps import to_ns

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "slow_model.json"
PERIOD_S = 0.1
EPSILON_S = 0.15  # what the monitor's age may exceed one inference by: a camera period, encoding, transport


class WaitingModel:
    """A hop model that takes its time and none of the processor's.

    Its forward hop is the brightness of the frame, so that an answer tells which frame was looked at.
    """

    model_id = ModelId("waiting", "")
    fast = False
    success_threshold = 1.0

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def encode(self, pair: Pair) -> float:
        """Mean of both views, 0 ... 1."""
        return brightness(pair)

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer after a while."""
        time.sleep(self._seconds)
        return [HopAnswer(Status.OK, query.after) for query in queries]


def brightness(pair: Pair) -> float:
    """Mean of both views, 0 ... 1."""
    return float(np.mean([decode(view).mean() / 255.0 for view in (pair.front, pair.wrist)]))


class Listener(Node):
    """Fixes decisions and notes what is answered."""

    def __init__(self) -> None:
        super().__init__("slow_model_listener")
        self.pairs: list[FramePair] = []
        self.decided: list[tuple[Decision, FramePair]] = []
        self.potentials: list[tuple[Potential, int]] = []  # with the time of arrival, ns
        self.progress: list[Progress] = []
        self.rewards: list[Reward] = []
        self.largest: dict[str, float] = {}  # figures of the diagnostics, at their highest
        self._deciding = False
        self.create_subscription(FramePair, names.FRAME_PAIRS, self._on_pair, qos.STREAM)
        self.create_subscription(Potential, names.POTENTIAL, self._on_potential, qos.STREAM)
        self.create_subscription(Progress, names.PROGRESS, self.progress.append, qos.STREAM)
        self.create_subscription(Reward, names.REWARD, self.rewards.append, qos.STREAM)
        self.create_subscription(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, 10)
        self._decisions = self.create_publisher(DecisionMsg, names.DECISION, qos.STREAM)
        self._episodes = self.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self._set_task = self.create_client(SetTask, names.SET_TASK)
        self.create_timer(PERIOD_S, self._decide)

    def set_task(self, graph: Graph) -> None:
        """Give the present pair as goal, so that the model runs."""
        self.wait(graph, lambda: bool(self.pairs), "a frame pair", 30.0)
        goal = frame_pair_from_msg(self.pairs[-1])
        request = references_to_request(References("reach the goal image", (goal,)))
        if not self._set_task.wait_for_service(10.0):
            raise SystemExit("reward/set_task does not answer")
        future = self._set_task.call_async(request)
        rclpy.spin_until_future_complete(self, future, timeout_sec=10.0)
        if not future.done() or not future.result().success:
            raise SystemExit(f"reward/set_task failed: {future.result()}")

    def episode(self, state: EpisodeState, outcome: Outcome = Outcome.UNKNOWN) -> None:
        """Open or close the episode, and with it the decisions."""
        now_ns = self._now_ns()
        info = EpisodeInfo(
            "slow", state, EpisodeKind.ROLLOUT, "reach", now_ns, now_ns, now_ns, outcome
        )
        self._episodes.publish(episode_to_msg(info))
        self._deciding = state is EpisodeState.OPEN

    def wait(
        self, graph: Graph, condition: Callable[[], bool], what: str, timeout_s: float
    ) -> None:
        """Listen until something has come.

        :raises SystemExit: when it does not come in time.
        """
        until = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > until:
                raise SystemExit(f"waited {timeout_s:.0f} s for {what}")
            spin(self, graph, 0.1)

    def _decide(self) -> None:
        if not self._deciding:
            return
        pair, now_ns = self.pairs[-1], self._now_ns()
        decision = Decision(
            stamp_ns=now_ns,
            episode_id="slow",
            index=len(self.decided),
            owner=DecisionOwner.AGENT,
            front_stamp_ns=to_ns(pair.front.header.stamp),
            wrist_stamp_ns=to_ns(pair.wrist.header.stamp),
            joint_stamp_ns=now_ns,
        )
        self.decided.append((decision, pair))
        self._decisions.publish(decision_to_msg(decision))

    def _on_pair(self, message: FramePair) -> None:
        self.pairs = [message]

    def _on_potential(self, message: Potential) -> None:
        self.potentials.append((message, self._now_ns()))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "reward_node: labels":
                values = {item.key: float(item.value) for item in status.values}
                self.largest |= {k: max(v, self.largest.get(k, v)) for k, v in values.items()}

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def measure(inference_s: float, seconds: float, run_dir: Path) -> dict[str, Any]:
    """Run an episode and wait for all its answers; return the figures."""
    parameters = ["--ros-args", "--params-file", str(ROOT / "config" / "reward_node.yaml")]
    parameters += ["-p", "model_name:=waiting", "-p", f"model_path:='{inference_s}'"]
    with Graph(run_dir) as graph:
        graph.start("cameras", "benchmarks.stream_sender")
        graph.start("reward", "benchmarks.slow_model", ["--node", *parameters])
        graph.wait_ready()
        rclpy.init()
        listener = Listener()
        try:
            listener.set_task(graph)
            spin(listener, graph, inference_s + 2.0)
            listener.progress.clear()
            listener.episode(EpisodeState.OPEN)
            spin(listener, graph, seconds)
            listener.episode(EpisodeState.CLOSED, Outcome.TIME_LIMIT)
            closed_ns = listener.get_clock().now().nanoseconds
            count = len(listener.decided)
            listener.wait(
                graph,
                lambda: len(listener.rewards) >= count - 1,
                f"the reward terms of {count} decisions",
                (count + 2) * 2.5 * inference_s + 20.0,
            )
            return figures(listener, inference_s, closed_ns)
        finally:
            listener.destroy_node()
            rclpy.try_shutdown()


def figures(listener: Listener, inference_s: float, closed_ns: int) -> dict[str, Any]:
    """What came of the decisions, and how old the monitor was."""
    decided = [decision for decision, _ in listener.decided]
    answers = [message for message, _ in listener.potentials]
    ok = [answer for answer in answers if answer.status.code == Status.OK]
    frame = {d.stamp_ns: brightness(frame_pair_from_msg(pair)) for d, pair in listener.decided}
    own = [abs(a.reading[1] - frame[to_ns(a.header.stamp)]) < 1e-5 for a in ok]
    seen = [p for p in listener.progress if p.status.code == Status.OK]
    age_s = np.array([to_ns(p.frame_age) for p in seen]) / 1e9
    beyond_s = age_s - np.array([to_ns(p.inference_time) for p in seen]) / 1e9
    gaps_s = np.diff([to_ns(p.header.stamp) for p in seen]) / 1e9
    inference = np.array([to_ns(a.inference_time) for a in ok]) / 1e9
    return {
        "inference_s": {"asked": inference_s} | _spread(inference),
        "decisions": len(decided),
        "decision_rate_hz": 1.0 / PERIOD_S,
        "answered_share": len({to_ns(a.header.stamp) for a in answers}) / len(decided),
        "answered_ok_share": len(ok) / len(decided),
        "in_order": [to_ns(a.header.stamp) for a in answers] == [d.stamp_ns for d in decided],
        "from_the_frames_named_share": sum(own) / len(decided),
        "last_answer_after_close_s": round((listener.potentials[-1][1] - closed_ns) / 1e9, 1),
        "reward_terms": len(listener.rewards),
        "monitor": {
            "readings": len(seen),
            "age_s": _spread(age_s),
            "age_beyond_inference_s": _spread(beyond_s),
            "between_readings_s": _spread(gaps_s),
        },
        "highest_in_diagnostics": {k: listener.largest.get(k) for k in ("due", "held_mb", "refused_frames")},
    }


def reached(result: dict[str, Any]) -> bool:
    """Whether every decision was answered as promised and the monitor was fresh."""
    shares = ("answered_share", "answered_ok_share", "from_the_frames_named_share")
    fresh = result["monitor"]["age_beyond_inference_s"]["max"] <= EPSILON_S
    return bool(result["in_order"] and all(result[name] == 1.0 for name in shares) and fresh)


def _spread(values: np.ndarray) -> dict[str, float]:
    return {"p50": round(float(np.median(values)), 3), "max": round(float(values.max()), 3)}


def _serve() -> int:
    """Be the reward node, with the waiting model registered."""
    from dopamine_reward_node.reward_node import main as reward_node

    def make(path: str, fusion: FusionConfig) -> PairwiseModel:
        return PairwiseModel(WaitingModel(float(path)), fusion)

    register_reward_model("waiting", make)
    sys.argv.remove("--node")
    return reward_node()


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inference", type=float, default=2.4, help="seconds per inference")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the episode")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as run_dir:
        result = measure(options.inference, options.seconds, Path(run_dir))
    print(json.dumps(result, indent=2), flush=True)
    machine = {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rmw": os.environ.get("RMW_IMPLEMENTATION", ""),
        "load_average": round(os.getloadavg()[0], 2),
    }
    command = f"python -m benchmarks.slow_model --inference {options.inference:g} --seconds {options.seconds:g}"
    written = {"command": command, "machine": machine, "allowed_beyond_inference_s": EPSILON_S, "run": result}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(written, indent=2) + "\n")
    raise SystemExit(0 if reached(result) else 1)


if __name__ == "__main__":
    raise SystemExit(_serve()) if "--node" in sys.argv else main()
