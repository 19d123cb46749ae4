"""Tasks in; how often the scripted expert succeeds, how long it takes, and what a decision costs out.

python -m benchmarks.cell_figures --seeds 20 [--tasks insert_peg,stack] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from dopamine_sim.cell import Cell
from dopamine_sim.rollout import DECISION_NS, generate_episode
from dopamine_sim.tasks.registry import TASKS


def experts(task: str, seeds: int, *, shift: bool) -> dict[str, object]:
    """Success and length of the expert on seeds 0 ... ``seeds`` - 1."""
    cell = Cell(task)
    episodes = [
        generate_episode(task, seed, shift=shift, image_size=None, cell=cell) for seed in range(seeds)
    ]
    lengths = [len(episode.progress) for episode in episodes]
    return {
        "task": task,
        "shift": shift,
        "succeeded": sum(episode.succeeded for episode in episodes),
        "of": seeds,
        "decisions_mean": round(float(np.mean(lengths)), 1),
        "decisions_range": [min(lengths), max(lengths)],
    }


def costs(task: str = "insert_peg") -> dict[str, object]:
    """CPU milliseconds of 100 ms of physics and of a camera pair at three sizes; best of several, one process."""
    cell = Cell(task)
    cell.render("front")
    sizes = ((640, 480), (320, 240), (128, 96))
    pairs = {
        f"pair_{width}x{height}_ms": _best_ms(
            lambda w=width, h=height: [cell.render(camera, w, h) for camera in ("front", "wrist")]
        )
        for width, height in sizes
    }
    return {"renderer": cell.renderer.name, "physics_ms": _best_ms(lambda: cell.advance(DECISION_NS)), **pairs}


def _best_ms(call: Callable[[], object], repeats: int = 10, each: int = 8) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(each):
            call()
        best = min(best, (time.process_time() - began) / each * 1e3)
    return round(best, 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [experts(t, options.seeds, shift=s) for t in options.tasks.split(",") for s in (False, True)]
    figures = {"experts": rows, "costs": costs()}
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    for row in rows:
        low, high = row["decisions_range"]
        kind = "shifted" if row["shift"] else "plain"
        print(
            f"{row['task']:14s} {kind:8s} {row['succeeded']:3d} of {row['of']}   "
            f"{row['decisions_mean']} decisions ({low} ... {high})"
        )
    print(figures["costs"])


if __name__ == "__main__":
    main()
