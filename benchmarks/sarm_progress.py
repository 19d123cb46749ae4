"""How well a stage-aware model reads progress and success after 1 or 5 demonstrations, on scenes it has not seen.

    python -m benchmarks.sarm_progress                       # everything, about 8 minutes on one idle core
    python -m benchmarks.sarm_progress --tasks open_drawer   # some tasks, not written to the results
    python -m benchmarks.sarm_progress --keep DIR            # keep played episodes there; a second run reads them

As a robot has it: one cell per task (cameras and light stay, objects move), keyframes found as when recording, frames
through the run-time path. The settings were chosen on other scenes (seeds 700 000 on) of open_drawer, pick_place and
stack.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nano_episodes import Played, Player, Scene
from benchmarks.nano_words import finite, number
from dopamine_core.evaluation.score import JudgedEpisode, figures, success_figures
from dopamine_core.reward.reference_images import load_references
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.sarm.train import train
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import CONSECUTIVE

RESULTS = Path(__file__).resolve().parent / "results" / "sarm_progress.json"
TASKS = ("open_drawer", "pick_place", "press_button", "slide_lid", "stack")
SEED, ROOM = 520_000, 11
LEARNED = (1, 5)
HELD = 2 * CONSECUTIVE  # decisions
EXPERTS = 6
IMPERFECT = ("regresses", "regresses", "near_miss", "near_miss", "stops_early", "stops_early")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    parser.add_argument("--keep", type=Path, default=None)
    arguments = parser.parse_args()
    tasks = {}
    with Player(arguments.keep) as player:
        for task in arguments.tasks:
            tasks[task] = measure(player, task)
            print("\n".join(lines_of(task, tasks[task])), flush=True)
    if tuple(arguments.tasks) == TASKS:
        content = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "tasks": tasks}
        RESULTS.write_text(json.dumps(finite(content), indent=1) + "\n", encoding="utf-8")


def measure(player: Player, task: str) -> dict[str, Any]:
    """Train on the first scenes of a task and judge on later ones."""
    demonstrations = player.experts(task, SEED, max(LEARNED), room=ROOM)
    episodes = player.experts(task, SEED + 100, EXPERTS, room=ROOM)
    for k, mode in enumerate(IMPERFECT):
        episodes.append(player.play(Scene(task, mode, SEED + 200 + k, room=ROOM)))
    results = {}
    for count in LEARNED:
        with tempfile.TemporaryDirectory() as name:
            learned = [played.demonstration() for played in demonstrations[:count]]
            report = train(learned, Path(name) / "model")
            model = load_reward_model("sarm", str(Path(name) / "model"))
            judged = judge(model, load_references(Path(name) / "model"), episodes)
        results[str(count)] = {**judged, "report": asdict(report)}
    return results


def judge(
    model: RewardModel, references: References, episodes: Sequence[Played]
) -> dict[str, dict[str, float]]:
    """Figures of progress, and of the success rule on the model's own probability.

    Played episodes end four decisions after success; a robot would rest there, so for success the last frame is held.
    """
    progress, success, spent_s = [], [], []
    for played in episodes:
        session, began_s = model.open(references), time.perf_counter()
        readings = [session.observe(pair) for pair in played.pairs]
        spent_s.append((time.perf_counter() - began_s) / len(readings))
        truth = (played.truth, played.done, played.expert)
        progress.append(JudgedEpisode(np.array([r.progress for r in readings]), *truth))
        readings += [session.observe(played.pairs[-1]) for _ in range(HELD)]
        chance = np.array([r.success_probability for r in readings])
        done = np.append(played.done, [played.done[-1]] * HELD)
        success.append(JudgedEpisode(chance, chance, done, played.expert))
    return {
        "progress": {**figures(progress), "ms_per_frame": 1e3 * float(np.median(spent_s))},
        "success": success_figures(success, model.success_threshold),
    }


def lines_of(task: str, results: dict[str, Any]) -> list[str]:
    """One line for each number of demonstrations."""
    keys = ("voc", "rmse", "rank_imperfect", "regressions_seen", "ms_per_frame")
    rows = []
    for count, result in results.items():
        shown = ", ".join(f"{key} {number(result['progress'][key])}" for key in keys)
        s = result["success"]
        rows.append(
            f"{task}, {count} demonstrations: {result['report']['stages']} stages, {shown}; success right "
            f"{s['right']:.0f} of {s['true_successes']:.0f}, false {s['false']:.0f} of {s['episodes']:.0f}, "
            f"trained in {result['report']['seconds']:.0f} s"
        )
    return rows


if __name__ == "__main__":
    main()
