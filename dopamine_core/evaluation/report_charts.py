"""Summary and records in, the report's charts out."""

from __future__ import annotations

from typing import Any

from dopamine_core.evaluation.plots import HALF, Axes, Mark, Series, chart, histogram, timeline
from dopamine_core.evaluation.report_summary import PRACTICE_KINDS, tick_periods
from dopamine_core.evaluation.run_log import Record, RunRecords
from dopamine_core.types import Status

WINDOW = 10  # episodes in a running mean
TONES = {"rollout": "a", "evaluation": "d"}


def success_chart(summary: dict[str, Any]) -> str:
    """Declared and true success of each practised episode, with running means."""
    rows = [row for row in summary["episodes"] if row["kind"] in PRACTICE_KINDS]
    declared = [(index, float(row["success"])) for index, row in enumerate(rows, start=1)]
    true = [(index, _as_number(row["true_success"])) for index, row in enumerate(rows, start=1)]
    titles = [f"episode {row['number']} ({row['kind']}): {row['outcome']}" for row in rows]
    series = [
        Series(f"declared, mean of {WINDOW}", running_mean(declared), "a"),
        Series(f"true, mean of {WINDOW}", running_mean(true), "b", dashed=True),
        Series("declared", [(x, y + 0.03) for x, y in declared], "a", dots=True, titles=titles),
        Series(
            "true",
            [(x, None if y is None else y - 0.03) for x, y in true],
            "b",
            dots=True,
            titles=titles,
        ),
    ]
    axes = Axes("practised episode", "success", (0.5, max(len(rows), 1) + 0.5), (-0.06, 1.08))
    return chart(series, axes)


def return_chart(summary: dict[str, Any]) -> str:
    """Undiscounted return of each practised episode."""
    rows = [row for row in summary["episodes"] if row["kind"] in PRACTICE_KINDS]
    points = [(index, row["return_total"]) for index, row in enumerate(rows, start=1)]
    series = [Series(f"mean of {WINDOW}", running_mean(points), "quiet")]
    for kind, tone in TONES.items():
        mine = [point for point, row in zip(points, rows, strict=True) if row["kind"] == kind]
        if mine:
            series.append(Series(kind, mine, tone, dots=True))
    known = [point[1] for point in points if point[1] is not None]
    middle = (max(known) + min(known)) / 2 if known else 0.0
    # Returns that hardly differ must not look as if they did.
    half = max((max(known) - min(known)) * 0.58, 0.25) if known else 1.0
    axes = Axes(
        "practised episode",
        "return",
        (0.5, max(len(rows), 1) + 0.5),
        (middle - half, middle + half),
    )
    return chart(series, axes)


def episode_chart(run: RunRecords, row: dict[str, Any]) -> str:
    """Progress of one episode: fused, the three readings, and the simulator's truth."""
    start, end = row["start_ns"], row["end_ns"]
    potentials = _of_episode(run.of("potential"), row["episode_id"])
    truth = [
        item
        for item in _of_episode(run.of("truth"), row["episode_id"])
        if start <= item["stamp_ns"] <= end
    ]
    series = [
        Series("true", [(_seconds(t, start), t["progress"]) for t in truth], "b", dashed=True)
    ]
    for index, (name, tone) in enumerate(
        (("incremental", "c"), ("forward", "d"), ("backward", "e"))
    ):
        series.append(
            Series(name, [(_seconds(p, start), p["reading"][index]) for p in potentials], tone)
        )
    fused = [(_seconds(p, start), p["progress"] if _ok(p) else None) for p in potentials]
    series.append(Series("fused progress", fused, "a"))
    marks = [
        Mark((record["success_stamp_ns"] - start) / 1e9, "success", "b")
        for record in _of_episode(run.of("episode"), row["episode_id"])[-1:]
        if record["success_stamp_ns"]
    ]
    axes = Axes(
        "seconds since the start", "progress", (0.0, max(row["duration_s"], 0.1)), (0.0, 1.02)
    )
    return chart(series, axes, marks=marks)


def parts_chart(summary: dict[str, Any]) -> str:
    """What ran when, in wall time."""
    parts = summary["parts"]
    rows = [(part["name"], part["start_s"], part["seconds"], part["ok"]) for part in parts]
    return timeline(
        rows, total_s=max((start + length for _, start, length, _ in rows), default=0.0)
    )


def learner_charts(run: RunRecords) -> list[tuple[str, str]]:
    """Losses, Q values and shares over wall time."""
    records = run.of("learner")
    groups = (
        ("Q on data and on the policy's actions", ("q_data", "q_policy")),
        ("Losses", ("critic_loss", "actor_loss", "bc_loss", "conservative_loss")),
        ("Shares of policy actions", ("bound_rate", "action_saturation")),
        ("Gradient steps", ("gradient_steps",)),
    )
    charts = []
    for title, keys in groups:
        series = [
            Series(key.replace("_", " "), [(item["t"] / 60, item[key]) for item in records], tone)
            for key, tone in zip(keys, "abcd", strict=False)
        ]
        charts.append((title, chart(series, Axes("minutes", title, width=HALF))))
    return charts


def latency_charts(run: RunRecords) -> list[tuple[str, str]]:
    """Histograms of frame age and command tick."""
    valid = [record for record in run.of("progress") if _ok(record)]
    ages = [record["frame_age_ns"] / 1e6 for record in valid]
    ticks = tick_periods(run.of("command"))
    return [
        ("Newest frame to progress", histogram(ages, x_label="ms", limit=100.0)),
        ("Command tick", histogram(ticks, x_label="ms", limit=40.0)),
    ]


def running_mean(points: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """Mean of the last :data:`WINDOW` known values at each point."""
    means: list[tuple[float, float | None]] = []
    known: list[float] = []
    for x, y in points:
        if y is not None:
            known.append(y)
        window = known[-WINDOW:]
        means.append((x, sum(window) / len(window) if window else None))
    return means


def _of_episode(records: list[Record], episode_id: str) -> list[Record]:
    return sorted(
        (r for r in records if r["episode_id"] == episode_id), key=lambda r: r["stamp_ns"]
    )


def _seconds(record: Record, start_ns: int) -> float:
    return (record["stamp_ns"] - start_ns) / 1e9


def _ok(record: Record) -> bool:
    return bool(record["status"]["code"] == Status.OK)


def _as_number(value: bool | None) -> float | None:
    return None if value is None else float(value)
