"""Does the arm learn from one demonstration of reward and fifteen of behaviour? Success before and after practice.

    python -m benchmarks.first_learning                 # the reported seeds, about 20 minutes on two idle cores
    python -m benchmarks.first_learning --seeds 11      # one other seed, not written to the results
    python -m benchmarks.first_learning --fresh         # forget the results there are

Lock-step, in one process. Default task with its declared shift after the demonstrations; 1 demonstration adapts the
reward model, 15 in all train the policy; no takeovers, no labels: reward and success of practice come from the
adapted nano GRM alone, and the policy sees frozen image features, proprioception and Phi. Fresh episodes before and
after are judged by the simulator. Finished seeds are kept in ``results/first_learning.json``; a run goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.learning_run import LearningRun, Protocol, Reward, Settings
from dopamine_core.config import from_mapping
from dopamine_core.control.from_files import command_core_of, parameters_of
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.demonstration import demonstration_of
from dopamine_core.reward.adaptation import adapt
from dopamine_core.reward.models.nano import SHIPPED
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.rl.action_space import ActionSpaceConfig
from dopamine_core.rl.calql import AgentConfig
from dopamine_core.rl.encoder import FrozenEncoder
from dopamine_core.rl.learner import LearnerConfig
from dopamine_core.rl.observation import ObservationConfig
from dopamine_core.rl.policy import ActingConfig
from dopamine_core.rl.transitions import TransitionConfig
from dopamine_rl_node.present_model import references_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "first_learning.json"
# Reported. Numbers were chosen on other seeds (11 and above), but these are not untouched: seeds 1 and 2 had been run
# with earlier settings, and early successes seen in seed 1 prompted three readings in a row (then checked elsewhere).
SEEDS = (1, 2, 3)
ADAPT_S = 120.0
PACKAGES = ("torch", "d3rlpy", "mujoco", "onnxruntime", "pin", "numpy")
GROUPS = {
    "agent": AgentConfig,
    "learner": LearnerConfig,
    "transitions": TransitionConfig,
    "shaping": ShapingConfig,
    "action": ActionSpaceConfig,
    "observation": ObservationConfig,
}


def read_settings(changes: dict[str, Any]) -> Settings:
    """Take the numbers from the files that the learner and the agent node read.

    :param changes: ``{"agent.gamma": 0.97}``, for trying things out.
    """
    learner = parameters_of(ROOT / "config/learner_node.yaml")
    agent = parameters_of(ROOT / "config/agent_node.yaml")
    blocks = {name: dict(learner[name]) for name in GROUPS}
    blocks["acting"] = {name: agent[name] for name in ActingConfig.__dataclass_fields__}
    for name, value in changes.items():
        group, _, key = name.partition(".")
        blocks[group][key] = value
    classes = GROUPS | {"acting": ActingConfig}
    return Settings(**{name: from_mapping(cls, blocks[name]) for name, cls in classes.items()})


def adapt_to(
    first: EpisodeData, demonstrations: list[EpisodeData], seed: int, base: Path, folder: Path
) -> Reward:
    """Adapt the nano GRM to the first demonstration and show it the goals that the demo node would show."""
    report = adapt(
        demonstration_of(first), base_dir=base, out_dir=folder, time_budget_s=ADAPT_S, seed=seed
    )
    model = load_reward_model("nano", str(folder))
    return Reward(model, references_of(demonstrations, 3), asdict(report))


def play_seed(
    seed: int, protocol: Protocol, settings: Settings, weights: Path, say: Any
) -> dict[str, Any]:
    """Run one seed."""
    run = LearningRun(
        seed,
        protocol,
        settings,
        FrozenEncoder(weights / "encoder.onnx"),
        lambda kinematics: _core(kinematics),
        say,
    )
    with tempfile.TemporaryDirectory() as folder:
        return run.run(lambda demos: adapt_to(demos[0], demos, seed, weights, Path(folder) / "m"))


def _core(kinematics: Kinematics) -> Any:
    return command_core_of(
        kinematics,
        limits_file=ROOT / "config/limits.yaml",
        command_file=ROOT / "config/command_node.yaml",
    )


def machine() -> dict[str, Any]:
    """What it ran on."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
        "commit": commit,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over the seeds."""
    gains = [seed["gain"] for seed in seeds]
    return {
        "higher": sum(gain > 0 for gain in gains),
        "seeds": len(gains),
        "median_gain_points": round(100 * float(np.median(gains)), 1) if gains else None,
        "median_before": float(np.median([s["before"]["deployed"]["rate"] for s in seeds])),
        "median_after": float(np.median([s["after"]["deployed"]["rate"] for s in seeds])),
        "target": "higher in 3 of 3 seeds, median gain >= 40 points, at most 40 % before",
    }


def print_table(seeds: list[dict[str, Any]]) -> None:
    """Print one row per seed."""
    print(
        "seed  offline  no shift  before  after  other before  other after  false  missed  minutes"
    )
    for s in seeds:
        before, after, practice = s["before"], s["after"], s["practice"]
        other = next(name for name in before if name in ("sampled", "greedy"))
        print(
            f"{s['seed']:>4}  {s['offline']['steps']:>7}"
            f"  {before['without_shift']['rate']:>8.0%}"
            f"  {before['deployed']['rate']:>6.0%}  {after['deployed']['rate']:>5.0%}"
            f"  {before[other]['rate']:>12.0%}  {after[other]['rate']:>11.0%}"
            f"  {practice['false_successes']:>5}  {practice['missed_successes']:>6}"
            f"  {sum(s['seconds'].values()) / 60:>7.1f}"
        )


def plot(seeds: list[dict[str, Any]], path: Path) -> None:
    """Draw the success of practice over rollouts, with evaluations before and after."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for number, s in enumerate(seeds):
        true = np.array([row["true"] for row in s["practice"]["episodes"]], float)
        window = min(10, len(true))
        curve = np.convolve(true, np.ones(window) / window, "valid")
        colour = f"C{number}"
        axes.plot(np.arange(window, len(true) + 1), 100 * curve, colour, label=f"seed {s['seed']}")
        ends = [100 * s[part]["deployed"]["rate"] for part in ("before", "after")]
        axes.plot([0, len(true)], ends, "o", color=colour, markersize=8, clip_on=False)
    axes.set(xlabel="rollouts", ylabel="success, %", ylim=(0, 102))
    axes.set_title("practice (mean of 10) and fresh evaluations (dots)", fontsize=10)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> int:
    """Run the seeds that are not there yet, write and print the results; 1 when the target is missed."""
    options = _arguments()
    torch.set_num_threads(1)
    protocol = Protocol(rollouts=options.rollouts, evaluations=options.evaluations)
    settings = read_settings(json.loads(options.set))
    reported = set(options.seeds) <= set(SEEDS) and not json.loads(options.set)
    results = _earlier(protocol, settings) if reported and not options.fresh else {}
    for seed in options.seeds:
        if seed in results:
            print(f"seed {seed}: kept from an earlier run")
            continue
        print(f"seed {seed}", flush=True)
        start_s = time.perf_counter()
        results[seed] = play_seed(
            seed, protocol, settings, options.weights, lambda text: print(text, flush=True)
        )
        results[seed]["machine"] = machine()
        results[seed]["wall_s"] = round(time.perf_counter() - start_s, 1)
        if reported:
            _write(protocol, settings, results)
    rows = [results[seed] for seed in options.seeds]
    print_table(rows)
    figures = summary(rows)
    print(json.dumps(figures))
    return 0 if figures["higher"] == len(rows) and figures["median_gain_points"] >= 40 else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--rollouts", type=int, default=Protocol.rollouts)
    parser.add_argument("--evaluations", type=int, default=Protocol.evaluations)
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="unadapted nano GRM")
    parser.add_argument("--set", default="{}", help='changed settings, {"agent.gamma": 0.97}')
    return parser.parse_args()


def _described(protocol: Protocol, settings: Settings) -> dict[str, Any]:
    content = {"protocol": asdict(protocol), "settings": asdict(settings)}
    return json.loads(json.dumps(content))


def _earlier(protocol: Protocol, settings: Settings) -> dict[int, dict[str, Any]]:
    """Finished seeds of an earlier run with the same protocol and settings."""
    if not RESULTS.is_file():
        return {}
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    same = {key: content.get(key) for key in ("protocol", "settings")}
    if same != _described(protocol, settings):
        return {}
    return {record["seed"]: record for record in content["seeds"]}


def _write(protocol: Protocol, settings: Settings, results: dict[int, dict[str, Any]]) -> None:
    rows = [results[seed] for seed in sorted(results)]
    content = {"summary": summary(rows), **_described(protocol, settings), "seeds": rows}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    plot(rows, RESULTS.with_suffix(".png"))


if __name__ == "__main__":
    sys.exit(main())
