"""Scored episodes come in, one picture of their curves goes out: a row per task, experts left, imperfect ones right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_SHOWN = 5
_STYLES = {
    "truth": {"color": "black", "linewidth": 2.0},
    "fused": {"color": "tab:red", "linewidth": 1.6},
    "forward": {"color": "tab:blue", "linewidth": 0.7},
    "backward": {"color": "tab:green", "linewidth": 0.7},
    "incremental": {"color": "tab:orange", "linewidth": 0.7},
    "pixel_l2": {"color": "grey", "linewidth": 0.7, "linestyle": ":"},
}


def draw_curves(scored: Mapping[str, Sequence[Any]], path: Path, shown: int = _SHOWN) -> None:
    """Draw progress beside the truth.

    :param scored: name of a row -> episodes with ``played`` and ``progress``.
    :param path: PNG file.
    :param shown: episodes per row.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(
        len(scored), shown, figsize=(3.0 * shown, 2.0 * len(scored)), sharey=True, squeeze=False
    )
    for row, (name, episodes) in zip(grid, scored.items(), strict=True):
        for axes, one in zip(row, spread(episodes, shown), strict=False):
            _draw(axes, one)
        row[0].set_ylabel(name, fontsize=7)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncol=len(labels), fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def spread(episodes: Sequence[Any], count: int) -> list[Any]:
    """Some episodes, evenly over their order."""
    if len(episodes) <= count:
        return list(episodes)
    return [episodes[round(k * (len(episodes) - 1) / (count - 1))] for k in range(count)]


def _draw(axes: Any, one: Any) -> None:
    for reading, style in _STYLES.items():
        values = one.played.truth if reading == "truth" else one.progress[reading]
        axes.plot(values, label=reading, **style)
    scene = one.played.scene
    axes.set_title(scene.mode + (", shifted" if scene.shift else ""), fontsize=7)
    axes.set_ylim(-0.03, 1.03)
    axes.tick_params(labelsize=6)
