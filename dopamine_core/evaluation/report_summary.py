"""Records of a run in, the figures of ``summary.json`` out; the report shows these and no others."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dopamine_core.evaluation.report_episodes import EpisodeRow, episode_rows
from dopamine_core.evaluation.run_log import Record, RunRecords
from dopamine_core.types import CommandSource, LimitReason, Status

_MS = 1e6  # nanoseconds
START_PART = "connect"
PRACTICE_KINDS = ("rollout", "evaluation")
LEARNER_PHASES = ("idle", "waiting", "loading", "offline", "online", "failed")
ONLINE = LEARNER_PHASES.index("online")


def summarise(run: RunRecords) -> dict[str, Any]:
    """Compute every figure of the report.

    :param run: the records of one run.
    :returns: JSON-ready mapping; a figure that could not be measured is ``None``.
    """
    rows = episode_rows(run)
    practice = [row for row in rows if row.kind in PRACTICE_KINDS]
    return {
        "run": run.header,
        "parts": [_part(record) for record in run.of("part")],
        "success": {
            "demonstrations": success_figures([row for row in rows if row.kind == "demonstration"]),
            "rollouts": success_figures([row for row in rows if row.kind == "rollout"]),
            "evaluations": success_figures([row for row in rows if row.kind == "evaluation"]),
            "by_phase": by_phase(practice, run),
        },
        "learning": learning_figures([row for row in rows if row.kind == "rollout"]),
        "learner": learner_figures(run.of("learner")),
        "latency_ms": latency_figures(run),
        "control": control_figures(run),
        "notes": {record["name"]: record for record in run.of("note")},
        "models": _models(run),
        "warnings": _warnings(run),
        "episodes": [row.as_dict() for row in rows],
    }


def success_figures(rows: Sequence[EpisodeRow]) -> dict[str, Any]:
    """Count successes as declared and as the simulator knows them."""
    judged = [row for row in rows if row.true_success is not None]
    return {
        "episodes": len(rows),
        "declared": sum(row.success for row in rows),
        "declared_interval": wilson(sum(row.success for row in rows), len(rows)),
        "judged": len(judged),
        "true": sum(bool(row.true_success) for row in judged),
        "true_interval": wilson(sum(bool(row.true_success) for row in judged), len(judged)),
        "false_successes": sum(row.false_success for row in judged),
        "missed_successes": sum(row.missed_success for row in judged),
        "takeovers": sum(row.takeovers for row in rows),
        "invalid_potentials": sum(row.invalid_potentials for row in rows),
        "decisions": sum(row.decisions for row in rows),
    }


def by_phase(rows: Sequence[EpisodeRow], run: RunRecords) -> dict[str, Any]:
    """Success figures of each part of the run that contains rollouts or evaluations, in order."""
    figures = {}
    for part in run.of("part"):
        inside = [row for row in rows if part["start_s"] <= row.t <= part["end_s"]]
        if inside:
            figures[part["name"]] = success_figures(inside)
    return figures


def learning_figures(rows: Sequence[EpisodeRow]) -> dict[str, Any] | None:
    """Compare the first with the last third of the rollouts; ``None`` below six.

    ``p_value``: Fisher's exact test, two-sided, on the simulator's verdicts where there are any.
    """
    if len(rows) < 6:
        return None
    third = len(rows) // 3
    first, last = success_figures(rows[:third]), success_figures(rows[-third:])
    key, count = (
        ("true", "judged") if first["judged"] and last["judged"] else ("declared", "episodes")
    )
    return {
        "judge": "simulator" if key == "true" else "declared",
        "first": {"successes": first[key], "episodes": first[count]},
        "last": {"successes": last[key], "episodes": last[count]},
        "p_value": fisher(first[key], first[count], last[key], last[count]),
        "return_first": _mean([row.return_total for row in rows[:third]]),
        "return_last": _mean([row.return_total for row in rows[-third:]]),
    }


def learner_figures(records: Sequence[Record]) -> dict[str, Any] | None:
    """What the learner reported: steps, versions, time spent in each phase and waiting for what."""
    if not records:
        return None
    seconds: dict[str, float] = {}
    waiting: dict[str, float] = {}
    for now, after in pairwise(records):
        span = after["t"] - now["t"]
        phase = LEARNER_PHASES[now["phase"]]
        seconds[phase] = seconds.get(phase, 0.0) + span
        if now["waiting_for"]:
            waiting[now["waiting_for"]] = waiting.get(now["waiting_for"], 0.0) + span
    last = records[-1]
    keys = (
        "gradient_steps",
        "policy_version",
        "offline_episodes",
        "online_episodes",
        "offline_transitions",
        "online_transitions",
        "dropped_transitions",
        "bound_rate",
        "action_saturation",
        "checkpoint",
    )
    return {
        **{key: last[key] for key in keys},
        "seconds": {key: round(value, 1) for key, value in seconds.items()},
        "waiting_s": {key: round(value, 1) for key, value in waiting.items()},
        "health": sorted({text for record in records for text in record["health"]}),
    }


def latency_figures(run: RunRecords) -> dict[str, Any]:
    """Spread of frame age, inference time and camera skew of the monitor lane, learner idle and running.

    Counted from the moment when every node was up.
    """
    valid = [
        record for record in _when_up("progress", run) if record["status"]["code"] == Status.OK
    ]
    running = _while_online(valid, run.of("learner"))
    return {
        "frame_age": spread([record["frame_age_ns"] / _MS for record in valid]),
        "frame_age_while_learning": spread([record["frame_age_ns"] / _MS for record in running]),
        "inference": spread([record["inference_time_ns"] / _MS for record in valid]),
        "camera_skew": spread([record["skew_ns"] / _MS for record in valid]),
    }


def control_figures(run: RunRecords) -> dict[str, Any]:
    """Spread of the command tick and of the decision period, share of ticks per source, limit reasons."""
    commands = [record for record in _when_up("command", run) if record["stamp_ns"]]
    periods = tick_periods(commands)
    learning = tick_periods(_while_online(commands, run.of("learner")))
    nominal = run.header.get("command_period_ms")
    ticks = len(commands) or 1
    sources = {source.name.lower(): 0 for source in CommandSource}
    reasons: dict[str, int] = {}
    for record in commands:
        sources[CommandSource(record["source"]).name.lower()] += 1
        for reason in LimitReason(record["limit_reasons"]):
            reasons[str(reason.name).lower()] = reasons.get(str(reason.name).lower(), 0) + 1
    return {
        "ticks": len(commands),
        "tick_period_ms": spread(periods),
        "tick_error_p99": relative_error_p99(periods, nominal),
        "tick_error_p99_while_learning": relative_error_p99(learning, nominal),
        "decision_period_ms": spread(decision_periods(run.of("decision"))),
        "source_share": {key: round(value / ticks, 4) for key, value in sources.items() if value},
        "limited_ticks": reasons,
    }


def tick_periods(commands: Sequence[Record]) -> list[float]:
    """Milliseconds between consecutive command ticks (stream time); gaps above 1 s are breaks, not ticks."""
    stamps = np.array([record["stamp_ns"] for record in commands], dtype=np.int64)
    periods = np.diff(stamps) / _MS if len(stamps) > 1 else np.zeros(0)
    return [float(period) for period in periods if 0.0 < period < 1e3]


def decision_periods(decisions: Sequence[Record]) -> list[float]:
    """Milliseconds between consecutive decisions of one episode (stream time)."""
    periods = []
    for before, after in pairwise(decisions):
        if before["episode_id"] == after["episode_id"] and after["index"] == before["index"] + 1:
            periods.append((after["stamp_ns"] - before["stamp_ns"]) / _MS)
    return periods


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Count, median, 99th percentile, maximum; ``None`` without values."""
    if not len(values):
        return None
    array = np.asarray(values, dtype=np.float64)
    p50, p99 = np.percentile(array, [50.0, 99.0])
    return {
        "n": len(array),
        "p50": round(float(p50), 3),
        "p99": round(float(p99), 3),
        "max": round(float(array.max()), 3),
    }


def relative_error_p99(periods_ms: Sequence[float], nominal_ms: float | None) -> float | None:
    """99th percentile of ``|period - nominal| / nominal``; ``None`` below ten periods or without a nominal one."""
    if nominal_ms is None or len(periods_ms) < 10:
        return None
    errors = np.abs(np.asarray(periods_ms) - nominal_ms) / nominal_ms
    return round(float(np.percentile(errors, 99.0)), 4)


def wilson(successes: int, episodes: int, z: float = 1.96) -> tuple[float, float] | None:
    """Wilson score interval of a rate (95 % by default); ``None`` without episodes."""
    if episodes == 0:
        return None
    rate = successes / episodes
    centre = rate + z * z / (2 * episodes)
    half = z * math.sqrt(rate * (1 - rate) / episodes + z * z / (4 * episodes * episodes))
    scale = 1 + z * z / episodes
    # The bounds hold the rate itself; rounding must not push them past it.
    return min(rate, max(0.0, (centre - half) / scale)), max(
        rate, min(1.0, (centre + half) / scale)
    )


def fisher(a: int, n_a: int, b: int, n_b: int) -> float:
    """Two-sided p of Fisher's exact test that ``a`` of ``n_a`` and ``b`` of ``n_b`` share one rate."""
    total = a + b

    def weight(k: int) -> int:
        return math.comb(n_a, k) * math.comb(n_b, total - k)

    possible = range(max(0, total - n_b), min(n_a, total) + 1)
    observed = weight(a)
    extreme = sum(weight(k) for k in possible if weight(k) <= observed)
    return extreme / math.comb(n_a + n_b, total)


def _when_up(kind: str, run: RunRecords) -> list[Record]:
    """Records written after the graph had started: importing libraries is no measurement."""
    up_s = next((part["end_s"] for part in run.of("part") if part["name"] == START_PART), 0.0)
    return [record for record in run.of(kind) if record["t"] >= up_s]


def _while_online(records: Sequence[Record], learner: Sequence[Record]) -> list[Record]:
    """Records written while the last learner status said that updates run."""
    if not learner:
        return []
    times = np.array([status["t"] for status in learner])
    busy = np.array([status["phase"] == ONLINE and not status["waiting_for"] for status in learner])
    at = np.searchsorted(times, [record["t"] for record in records], side="right") - 1
    return [record for record, index in zip(records, at, strict=True) if index >= 0 and busy[index]]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None


def _part(record: Record) -> dict[str, Any]:
    return {
        "name": record["name"],
        "start_s": record["start_s"],
        "seconds": round(record["end_s"] - record["start_s"], 2),
        "ok": record["ok"],
        "text": record["text"],
    }


def _models(run: RunRecords) -> list[dict[str, Any]]:
    """Reward models that answered, in order of appearance."""
    seen: dict[str, dict[str, Any]] = {}
    for record in run.of("potential"):
        model = record["model"]
        entry = seen.setdefault(model["sha256"], {**model, "answers": 0})
        entry["answers"] += 1
    return [model for key, model in seen.items() if key]


def _warnings(run: RunRecords) -> dict[str, int]:
    """Diagnostics at warning level or above, counted by text; texts that differ in a number are one."""
    counts: dict[str, int] = {}
    for record in run.of("diagnostic"):
        text = re.sub(r"\d+(\.\d+)?", "…", f"{record['name']}: {record['message']}")
        counts[text] = counts.get(text, 0) + 1
    return counts
