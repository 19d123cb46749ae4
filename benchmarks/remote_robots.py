"""Eight robots on one model server: does each keep the rate of one alone, and does every decision get its own answer?

    python -m benchmarks.remote_robots            # about a minute and a half

The server is the tests' own: real HTTP on loopback, answers computed from the pictures it receives, so that a swapped
answer shows. It stands for a GPU with continuous batching: so many questions at once, each for so long. Every robot has
its own model object and episode, in a process or a thread of its own. A model that asks once per decision should reach
eight times the rate of one robot; the GRM asks three times, so that a server of batch 8 bounds eight robots to 8/3 of
it. Robots, client and server share the cores of this machine: ``load`` says what else ran there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np

from dopamine_core.frames.codec import decode, encode
from dopamine_core.reward.grm.answer import read_hop, write_hop
from dopamine_core.reward.labelling import EpisodeLabeller
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import References
from dopamine_core.reward.success import SuccessRule
from dopamine_core.types import Decision, DecisionOwner, FramePair, Potential
from tests.core.reward.toy_model import bar_image, hop_of
from tests.models.remote.fake_server import FakeServer

RESULTS = Path(__file__).resolve().parent / "results" / "remote_robots.json"
PACKAGES = ("httpx", "numpy", "pillow")
WIDTH, HEIGHT = 320, 240
ALLOWED = 0.9  # of the rate that server and questions allow
QUESTIONS = {"roboreward_remote": 1, "grm_remote": 3}  # per decision
SETTINGS: dict[str, dict[str, Any]] = {
    "roboreward_remote": {"model": "roboreward", "frames": 8, "min_pixels": 0},
    "grm_remote": {"model": "grm"},
}
WARM = 3  # decisions before the clock starts; the GRM's first one has no incremental question


@dataclass(frozen=True)
class Setup:
    """One run.

    :param where: robots are ``processes`` or ``threads``.
    """

    back_end: str
    robots: int
    where: str
    batch: int
    seconds: float
    decisions: int
    seed: int


@dataclass(frozen=True)
class Robot:
    """What one robot saw."""

    began_s: float  # of the machine's clock
    ended_s: float
    labels: int
    ok: int
    in_order: bool
    own: int  # labels that its own pictures explain
    latency_ms: list[float]


def frames(setup: Setup, number: int) -> tuple[list[FramePair], list[float]]:
    """Return a robot's frames and the brightness of each front picture; no two robots see the same."""
    rng = np.random.default_rng((setup.seed, number))
    pairs = [_pair(share, k + 1) for k, share in enumerate(rng.uniform(0.05, 0.95, WARM + setup.decisions))]
    return pairs, [_share(pair) for pair in pairs]


def drive(setup: Setup, number: int, address: str, wait: Callable[[], object]) -> Robot:
    """Label one episode as fast as answers come.

    :param wait: returns when all robots are ready.
    """
    pairs, shares = frames(setup, number)
    goal = _pair(1.0, 1)
    model = load_reward_model(setup.back_end, address, settings=SETTINGS[setup.back_end])
    labeller = EpisodeLabeller(model, References("fill the bar", (goal,), _pair(0.02, 1)), SuccessRule(1.0))
    labels = [labeller.label(_decision(k), pairs[k]) for k in range(WARM)]
    wait()
    began_s, ends_s = time.time(), []
    for k in range(WARM, len(pairs)):
        labels.append(labeller.label(_decision(k), pairs[k]))
        ends_s.append(time.time())
    own = sum(_explains(setup.back_end, label, shares, _share(goal)) for label in labels)
    return Robot(
        began_s,
        ends_s[-1],
        len(labels),
        sum(label.reading.ok for label in labels),
        [label.index for label in labels] == list(range(len(pairs))),
        own,
        list(1e3 * np.diff([began_s, *ends_s])),
    )


def _explains(back_end: str, label: Potential, shares: list[float], goal: float) -> bool:
    """Whether a label is what the robot's own pictures give, by the rules of the fake server."""
    now = shares[label.index]
    if back_end == "roboreward_remote":
        return label.reading.progress == round(4 * now) / 4
    return label.reading.hop[1] == read_hop(write_hop(hop_of(shares[0] / goal, now / goal)))


def _pair(share: float, stamp_ns: int) -> FramePair:
    image = encode(bar_image(share, WIDTH, HEIGHT), stamp_ns)
    return FramePair(image, image)


def _share(pair: FramePair) -> float:
    return float(decode(pair.front).mean() / 255.0)


def _decision(k: int) -> Decision:
    return Decision(k + 1, "episode", k, DecisionOwner.AGENT, k + 1, k + 1, k + 1)


@contextmanager
def serving(batch: int, seconds: float) -> Iterator[str]:
    """Serve from a process of its own; gives the address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, batch, seconds), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join(10.0)


def _serve(pipe: Connection, batch: int, seconds: float) -> None:
    with FakeServer(batch, seconds) as server:
        pipe.send(server.address)
        pipe.recv()


def run(setup: Setup) -> list[Robot]:
    """Drive all robots at once."""
    with serving(setup.batch, setup.seconds) as address:
        together = _processes if setup.where == "processes" else _threads
        return together(setup, address)


def _processes(setup: Setup, address: str) -> list[Robot]:
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(setup.robots), context.Queue()
    robots = [
        context.Process(target=_robot, args=(setup, k, address, barrier, queue), daemon=True)
        for k in range(setup.robots)
    ]
    for robot in robots:
        robot.start()
    seen = [queue.get(timeout=300.0) for _ in robots]
    for robot in robots:
        robot.join(10.0)
    return seen


def _robot(setup: Setup, number: int, address: str, barrier: Any, queue: Any) -> None:
    queue.put(drive(setup, number, address, barrier.wait))


def _threads(setup: Setup, address: str) -> list[Robot]:
    barrier = Barrier(setup.robots)
    seen: list[Robot] = []
    robots = [
        Thread(target=lambda k=k: seen.append(drive(setup, k, address, barrier.wait)))
        for k in range(setup.robots)
    ]
    for robot in robots:
        robot.start()
    for robot in robots:
        robot.join(300.0)
    return seen


def figures(setup: Setup, robots: list[Robot]) -> dict[str, Any]:
    """Sum up a run."""
    wall_s = max(robot.ended_s for robot in robots) - min(robot.began_s for robot in robots)
    latency = np.concatenate([robot.latency_ms for robot in robots])
    expected = setup.robots * (setup.decisions + WARM)
    return {
        **asdict(setup),
        "decisions_per_s": round(setup.robots * setup.decisions / wall_s, 2),
        "decision_ms": {name: round(float(np.percentile(latency, q)), 1) for name, q in (("p50", 50), ("p99", 99))},
        "labels": sum(robot.labels for robot in robots),
        "labels_expected": expected,
        "labels_ok": sum(robot.ok for robot in robots),
        "labels_of_own_pictures": sum(robot.own for robot in robots),
        "load": round(os.getloadavg()[0], 1),
        "in_order": all(robot.in_order for robot in robots) and len(robots) == setup.robots,
    }


def bound(setup: Setup) -> float:
    """Rate of these robots over the rate of one, as server and questions allow."""
    asked = QUESTIONS[setup.back_end]
    alone = -(-asked // setup.batch)  # rounds of the server that one robot needs
    return min(float(setup.robots), setup.batch * alone / asked)


def compare(setups: list[Setup]) -> list[dict[str, Any]]:
    """Run each set-up after the same one with a single robot."""
    rows: list[dict[str, Any]] = []
    alone: dict[tuple[str, int], float] = {}
    for setup in setups:
        key = setup.back_end, setup.batch
        if key not in alone:
            single = Setup(**{**asdict(setup), "robots": 1})
            rows.append(_told(figures(single, run(single)) | {"times_one": 1.0, "allowed_by_server": 1.0}))
            alone[key] = rows[-1]["decisions_per_s"]
        row = figures(setup, run(setup))
        row["times_one"] = round(row["decisions_per_s"] / alone[key], 2)
        row["allowed_by_server"] = round(bound(setup), 2)
        rows.append(_told(row))
    return rows


def _told(row: dict[str, Any]) -> dict[str, Any]:
    row["met"] = bool(
        row["times_one"] >= ALLOWED * row["allowed_by_server"]
        and row["labels"] == row["labels_ok"] == row["labels_of_own_pictures"] == row["labels_expected"]
        and row["in_order"]
    )
    print(
        f"{row['back_end']:>18} x{row['robots']} {row['where']:>9} batch {row['batch']:>2}: "
        f"{row['decisions_per_s']:6.1f} decisions/s = {row['times_one']:.2f} x one (server allows "
        f"{row['allowed_by_server']:.2f}), p99 {row['decision_ms']['p99']:.0f} ms, labels "
        f"{row['labels_of_own_pictures']}/{row['labels_expected']}{'' if row['met'] else '  NOT MET'}",
        flush=True,
    )
    return row


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
    }


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--robots", type=int, default=8)
    parser.add_argument("--decisions", type=int, default=80, help="per robot")
    parser.add_argument("--seconds", type=float, default=0.05, help="per question in work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    common = {"seconds": arguments.seconds, "decisions": arguments.decisions, "seed": arguments.seed}
    wanted = [
        ("roboreward_remote", "processes", 8),
        ("roboreward_remote", "threads", 8),
        ("grm_remote", "processes", 8),
        ("grm_remote", "processes", 24),
    ]
    before = machine()
    rows = compare([Setup(name, arguments.robots, where, batch, **common) for name, where, batch in wanted])
    report = {
        "command": f"python -m benchmarks.remote_robots --robots {arguments.robots} --decisions {arguments.decisions} "
        f"--seconds {arguments.seconds} --seed {arguments.seed}",
        "machine": before,
        "pictures": f"{WIDTH}x{HEIGHT} JPEG",
        "allowed_share": ALLOWED,
        "runs": rows,
    }
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    raise SystemExit(0 if all(row["met"] for row in rows) else 1)


if __name__ == "__main__":
    main()
