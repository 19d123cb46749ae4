"""Results of the nano GRM's benchmark come in, markdown tables go out."""

from __future__ import annotations

import math
from typing import Any


def markdown(results: dict[str, Any]) -> str:
    """Every table of the results."""
    lines = ["## Shipped model, new scenes, goal from a sibling demonstration", "", *head("task")]
    for task, result in results["tasks"].items():
        lines += rows(task, result["readings"])
    lines += ["", "## One-shot adaptation", "", *head("task")]
    for task, result in results["adaptation"].items():
        for place, when in _cases():
            found = result[place][when]["readings"]
            shown = ("fused", "pixel_l2") if when == "before" else ("fused",)
            lines += rows(f"{task}, {place}, {when}", {name: found[name] for name in shown})
    lines += ["", "## Success: threshold and readings in a row", "", *success_head()]
    for task, result in results["tasks"].items():
        lines += success_rows(task, result["success"])
    for task, result in results["adaptation"].items():
        for place, when in _cases():
            lines += success_rows(f"{task}, {place}, {when}", result[place][when]["success"])
    for when in ("before", "after") if results["success"] else ():
        for kind in ("unshifted", "shifted", "near_miss"):
            lines += success_rows(f"insert_peg {kind} {when}", results["success"][when][kind])
    return "\n".join(lines)


def _cases() -> list[tuple[str, str]]:
    """Where and when adaptation is measured."""
    return [(place, when) for place in ("same cell", "other cells") for when in ("before", "after")]


def head(first: str) -> list[str]:
    names = (first, "reading", "VOC", "RMSE", "rank, imperfect", "regressions seen", "completion")
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def rows(name: str, readings: dict[str, dict[str, float]]) -> list[str]:
    keys = ("voc", "rmse", "rank_imperfect", "regressions_seen", "completion_accuracy")
    return [
        f"| {name} | {reading} | " + " | ".join(number(table[key]) for key in keys) + " |"
        for reading, table in readings.items()
    ]


def success_head() -> list[str]:
    names = ("episodes", "threshold", "in a row", "true", "right", "false", "missed", "delay")
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def success_rows(name: str, success: dict[str, Any]) -> list[str]:
    keys = ("true_successes", "right", "false", "missed", "delay_decisions")
    return [
        f"| {name} ({row['episodes']:.0f}) | {success['threshold']:.3f} | {n} | "
        + " | ".join("-" if absent(row[key]) else f"{row[key]:.0f}" for key in keys)
        + " |"
        for n, row in success["consecutive"].items()
    ]


def number(value: float | None) -> str:
    return "-" if absent(value) else f"{value:.3f}"


def absent(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def finite(value: Any) -> Any:
    """JSON has no NaN: a figure that does not exist is null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
