"""Can a small policy on the frozen features know where the peg is over the hole? A linear readout, in millimetres.

    python -m benchmarks.nano_readout            # about 3 minutes on one idle core

One room, as a policy practises in one. Fitted on scripted episodes of insert_peg, measured on scenes it was not fitted
on, with and without the task's declared shift; with and without the tool's position, which a policy has from its
joints. The shift moves the peg in the gripper, so that only the images show it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nano_episodes import Played, Player, Scene
from benchmarks.nano_progress import machine
from benchmarks.nano_words import finite
from dopamine_core.reward.models.nano import SHIPPED, NanoHopModel
from dopamine_core.reward.nano.probe import probe
from dopamine_sim.cell import Cell

RESULTS = Path(__file__).resolve().parent / "results" / "nano_readout.json"
TASK, ROOM, SEED = "insert_peg", 7, 520_000
FITTED, TESTED = 30, 8  # episodes; half of the fitted ones are shifted
NEAR_M = 0.03
STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3)
Array = NDArray[np.float64]


def peg_over_hole(cell: Cell) -> Array:
    """Offset (3,) of the peg's tip from the block, then of the tool: (6,) m."""
    scene = cell.scene
    return np.concatenate([scene.position("peg") - scene.position("block"), scene.tcp()])


def features_of(model: NanoHopModel, episodes: Sequence[Played]) -> tuple[Array, Array, Array]:
    """Features (N, 2 F), tool position (N, 3) and offset (N, 3) of all frames."""
    features = [model.encode(pair).features.ravel() for e in episodes for pair in e.pairs]
    places = np.concatenate([episode.places for episode in episodes])
    return np.array(features, np.float64), places[:, 3:], places[:, :3]


def readout(fit: Sequence[Array], test: Sequence[Array], with_tool: bool) -> dict[str, Any]:
    """Fit and measure; the ridge's strength is chosen on a fifth of the fitted frames.

    :param fit: features, tool position and offset.
    :param test: the same of other scenes.
    """
    x, y = (np.hstack(part[:2]) if with_tool else part[0] for part in (fit, test))
    cut = len(x) * 4 // 5
    strength = min(
        STRENGTHS,
        key=lambda s: float(
            probe((x[:cut], fit[2][:cut]), (x[cut:], fit[2][cut:]), s).error_mm[:2].sum()
        ),
    )
    near = np.linalg.norm(test[2][:, :2], axis=1) < NEAR_M
    rows = {}
    for name, chosen in (("all", np.ones(len(y), bool)), ("near", near)):
        result = probe((x, fit[2]), (y[chosen], test[2][chosen]), strength)
        rows[name] = {
            "frames": int(chosen.sum()),
            "median_mm": dict(zip("xyz", result.error_mm.tolist(), strict=True)),
            "p90_mm": dict(zip("xyz", result.error_p90_mm.tolist(), strict=True)),
        }
    return {"strength": strength, **rows}


def run(weights: Path, keep: Path | None, fitted: int) -> dict[str, Any]:
    """Play, fit and measure."""
    model = NanoHopModel(weights)
    with Player(keep, peg_over_hole) as player:

        def play(first: int, count: int, shift: bool) -> list[Played]:
            modes = ("expert", "near_miss", "regresses")
            return [
                player.play(Scene(TASK, modes[k % 3], first + k, shift=shift, room=ROOM))
                for k in range(count)
            ]

        plain = play(SEED, fitted // 2, False)
        both = [*plain, *play(SEED + 100, fitted - len(plain), True)]
        tests = {
            name: features_of(model, play(SEED + 200 + 100 * shift, TESTED, shift))
            for name, shift in (("unshifted", False), ("shifted", True))
        }
    fits = {
        "fitted on unshifted": features_of(model, plain),
        "fitted on both": features_of(model, both),
    }
    return {
        f"{fit_name}, tested on {name}, {'with' if tool else 'without'} tool position": readout(
            fit, test, tool
        )
        for fit_name, fit in fits.items()
        for name, test in tests.items()
        for tool in (False, True)
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="nano_readout", description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="model folder")
    parser.add_argument("--keep", type=Path, help="folder for played episodes")
    parser.add_argument("--fitted", type=int, default=FITTED, help="episodes to fit on")
    parser.add_argument("--output", type=Path, default=RESULTS, help="results file")
    given = parser.parse_args()
    results = run(given.weights, given.keep, given.fitted)
    print("| readout | frames | median x, y, z mm | p90 x, y, z mm |\n|---|---|---|---|")
    for name, row in results.items():
        for part in ("all", "near"):
            cells = [
                ", ".join(f"{value:.1f}" for value in row[part][key].values())
                for key in ("median_mm", "p90_mm")
            ]
            print(f"| {name}, {part} | {row[part]['frames']} | " + " | ".join(cells) + " |")
    content = {"readout": results, "machine": machine(), "task": TASK, "room": ROOM, "seed": SEED}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(finite(content), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
