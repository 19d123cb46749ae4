"""A run folder in, ``docs/images/demo.png`` out: the best practised episode, both cameras above its progress.

python scripts/readme_picture.py runs/<id> [docs/images/demo.png]
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.evaluation.report import SUMMARY_FILE, pick_episodes
from dopamine_core.evaluation.report_media import readings

COLUMNS = 6


def main(run_dir: Path, picture: Path) -> None:
    """Draw the best episode of a run."""
    rows = json.loads((run_dir / SUMMARY_FILE).read_text(encoding="utf-8"))["episodes"]
    shown = dict(pick_episodes(rows))
    row = shown.get("best") or shown["demonstration"]
    draw(load_episode(Path(row["bag_path"])), row, picture)
    print(picture)


def draw(episode: EpisodeData, row: dict[str, Any], picture: Path) -> None:
    """Six moments of an episode over the curve of its progress."""
    present = [index for index, pair in enumerate(episode.pairs) if pair is not None]
    chosen = [present[round(i * (len(present) - 1) / (COLUMNS - 1))] for i in range(COLUMNS)]
    figure = plt.figure(figsize=(12, 5.4), dpi=110, facecolor="white")
    grid = figure.add_gridspec(3, COLUMNS, height_ratios=(1, 1, 1.05), hspace=0.06, wspace=0.03)
    for column, index in enumerate(chosen):
        for line, name in enumerate(("front", "wrist")):
            axes = figure.add_subplot(grid[line, column])
            axes.imshow(Image.open(io.BytesIO(getattr(episode.pairs[index], name).data)))
            axes.set_axis_off()
    axes = figure.add_subplot(grid[2, :])
    start_ns = episode.decisions[0].stamp_ns
    times = [(decision.stamp_ns - start_ns) / 1e9 for decision in episode.decisions]
    values = [float("nan") if value is None else value for value in readings(episode)]
    axes.plot(times, values, color="#1f6feb", linewidth=2.2)
    for index in chosen:
        axes.axvline(times[index], color="#c4ccd6", linewidth=0.8, zorder=0)
    if episode.info.success_ns:
        axes.axvline(
            (episode.info.success_ns - start_ns) / 1e9,
            color="#0f9d6b",
            linewidth=2,
            label="success",
        )
        axes.legend(loc="upper left", frameon=False)
    axes.set(xlim=(0, times[-1]), ylim=(0, 1.03), xlabel="seconds", ylabel="progress")
    axes.spines[["top", "right"]].set_visible(False)
    truth = {True: "succeeded", False: "did not succeed", None: "unknown"}[row["true_success"]]
    figure.suptitle(
        f"{row['kind']} {row['number']}: {row['outcome'].replace('_', ' ')}; simulator: {truth}",
        y=0.95,
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images/demo.png"))
