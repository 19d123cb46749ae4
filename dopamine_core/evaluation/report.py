"""A run folder in, ``summary.json`` and ``report.html`` out; can be repeated at any time from the run's records."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from dopamine_core.errors import RecordingError
from dopamine_core.evaluation import report_html as html
from dopamine_core.evaluation.report_charts import (
    episode_chart,
    latency_charts,
    learner_charts,
    parts_chart,
    return_chart,
    success_chart,
)
from dopamine_core.evaluation.report_media import Loader, Media, gather
from dopamine_core.evaluation.report_summary import PRACTICE_KINDS, summarise
from dopamine_core.evaluation.report_words import findings, lead
from dopamine_core.evaluation.run_log import RunRecords, finite, read_run

SUMMARY_FILE, REPORT_FILE, VIDEO_FILE = "summary.json", "report.html", "overlay.mp4"
Summary = dict[str, Any]


def write_report(run_dir: Path, load: Loader, started_s: float | None = None) -> Path:
    """Make the report of a run, whole or cut short.

    :param run_dir: folder that the run log wrote.
    :param load: reads an episode's bag.
    :param started_s: when in the run the report began; its own time is then listed as a part of the run.
    :returns: path of ``report.html``.
    :raises RecordingError: when the folder is not a run or cannot be written.
    """
    begin_s = time.monotonic()
    run = read_run(run_dir)
    summary = finite(summarise(run))
    shown = pick_episodes(summary["episodes"])
    captions = [caption(row, role) for role, row in shown]
    media = gather([row for _, row in shown], captions, run_dir / VIDEO_FILE, load)
    summary["problems"] = list(media.problems)
    if started_s is not None:
        seconds = round(time.monotonic() - begin_s, 2)
        part = {"name": "report", "start_s": started_s, "seconds": seconds, "ok": True, "text": ""}
        summary["parts"].append(part)
    text = json.dumps(summary, indent=1)
    page = html.page(_title(summary), _body(run, summary, media, shown))
    try:
        (run_dir / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")
        (run_dir / REPORT_FILE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise RecordingError(
            expected=f"a writable run folder {run_dir}",
            got=str(error),
            remedy="free space or change its rights",
        ) from error
    return run_dir / REPORT_FILE


def pick_episodes(rows: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Choose what to show: a demonstration, the worst and the best practised episode.

    Best: true (else declared) success, then highest progress, then shortest. Episodes without a bag come last.
    """
    kept = [row for row in rows if row["kind"] == "demonstration" and row["kept"]]
    # The first one was recorded before the reward model had a goal, so it has no readings.
    read = [row for row in kept if row["max_progress"] is not None]
    shown = [("demonstration", row) for row in (read or kept)[:1]]
    practised = [row for row in rows if row["kind"] in PRACTICE_KINDS]
    if len(practised) > 1:
        shown.append(("worst", min(practised, key=_merit)))
    if practised:
        shown.append(("best", max(practised, key=_merit)))
    return shown


def caption(row: dict[str, Any], role: str) -> str:
    """One line about an episode."""
    truth = {True: "truly succeeded", False: "did not truly succeed", None: "truth unknown"}[
        row["true_success"]
    ]
    return f"{role}: episode {row['number']} ({row['kind']}), {row['outcome'].replace('_', ' ')}, {truth}"


def _merit(row: dict[str, Any]) -> tuple[bool, bool, float, float]:
    success = row["success"] if row["true_success"] is None else row["true_success"]
    progress = (
        row["true_progress"] if row["true_progress"] is not None else row["max_progress"] or 0.0
    )
    return bool(success), bool(row["success"]), progress, -row["duration_s"]


def _title(summary: Summary) -> str:
    return f"robo_dopamine: {summary['run'].get('task', 'run')}"


def _body(
    run: RunRecords, summary: Summary, media: Media, shown: list[tuple[str, dict[str, Any]]]
) -> list[str]:
    return [
        html.head(_title(summary), _meta(summary), lead(summary)),
        html.tiles(_tiles(summary)),
        html.section("In words", html.card("", html.words(findings(summary)))),
        html.section("Learning", html.card("Success, episode by episode", success_chart(summary))),
        html.card("Return per episode", return_chart(summary)),
        html.card("Parts of the run, wall time", parts_chart(summary)),
        _video(media),
        html.section("Episodes closely", *[_episode(run, row, role, media) for role, row in shown]),
        html.section(
            "Learner", html.pair(*[html.card(name, chart) for name, chart in learner_charts(run)])
        ),
        html.section(
            "Timing", html.pair(*[html.card(name, chart) for name, chart in latency_charts(run)])
        ),
        html.card("Figures", _timing_table(summary)),
        html.section("Where it comes from", html.card("", html.facts(_provenance(summary)))),
        html.section(
            "All episodes", html.card("", html.details("Show the table", _episode_table(summary)))
        ),
    ]


def _meta(summary: Summary) -> str:
    run = summary["run"]
    words = [
        run.get("started", ""),
        "short run" if run.get("quick") else "",
        f"seed {run.get('seed')}",
        f"time runs {run.get('speed', 1.0):g}x",
    ]
    return " · ".join(word for word in words if word)


def _tiles(summary: Summary) -> list[tuple[str, str]]:
    rollouts, latency = summary["success"]["rollouts"], summary["latency_ms"]["frame_age"]
    practice = [summary["success"][name] for name in ("rollouts", "evaluations")]
    judged = sum(group["judged"] for group in practice)
    minutes = sum(part["seconds"] for part in summary["parts"]) / 60
    return [
        (str(summary["success"]["demonstrations"]["episodes"]), "demonstrations"),
        (str(rollouts["episodes"]), "rollouts"),
        (f"{rollouts['declared']}/{rollouts['episodes']}", "rollouts declared a success"),
        (
            f"{sum(g['true'] for g in practice)}/{judged}" if judged else "–",
            "true successes in practice",
        ),
        (
            f"{sum(g['false_successes'] for g in practice)} / {sum(g['missed_successes'] for g in practice)}"
            if judged
            else "–",
            "false / missed successes",
        ),
        (f"{latency['p50']:.0f} ms" if latency else "–", "frame to progress, median"),
        (f"{minutes:.1f} min", "in all"),
    ]


def _video(media: Media) -> str:
    notes = [html.note(text) for text in media.problems]
    picture = (
        html.note("No bag with frames, no video.")
        if media.video is None
        else html.video(media.video)
    )
    return html.section("Seen", html.card("", picture, *notes))


def _episode(run: RunRecords, row: dict[str, Any], role: str, media: Media) -> str:
    frames = html.strip(media.key_frames.get(row["episode_id"], []))
    return html.card(caption(row, role), episode_chart(run, row), frames)


def _timing_table(summary: Summary) -> str:
    rows = []
    for name, values in summary["latency_ms"].items():
        rows.append((name.replace("_", " ") + ", ms", *_spread(values)))
    control = summary["control"]
    rows.append(("command tick, ms", *_spread(control["tick_period_ms"])))
    rows.append(("decision period, ms", *_spread(control["decision_period_ms"])))
    errors = {
        "command tick error, p99": control["tick_error_p99"],
        "the same while the learner runs": control["tick_error_p99_while_learning"],
    }
    share = ", ".join(f"{name} {value:.0%}" for name, value in control["source_share"].items())
    limits = ", ".join(f"{name} {count}" for name, count in control["limited_ticks"].items())
    lines = [(name, None if value is None else f"{value:.1%}") for name, value in errors.items()]
    lines += [("who moved the arm", share or None), ("ticks that limits changed", limits or "none")]
    warnings = [(text, count) for text, count in summary["warnings"].items()]
    return (
        html.table(("", "n", "p50", "p99", "max"), rows)
        + html.table(("", ""), lines)
        + (html.details("Warnings", html.table(("", "times"), warnings)) if warnings else "")
    )


def _spread(values: dict[str, float] | None) -> tuple[Any, ...]:
    return (values["n"], values["p50"], values["p99"], values["max"]) if values else (None,) * 4


def _provenance(summary: Summary) -> dict[str, Any]:
    run = summary["run"]
    hidden = {"versions", "task", "started", "stopped"}
    facts = {key: json.dumps(value) for key, value in run.items() if key not in hidden}
    facts |= {f"version of {name}": version for name, version in run.get("versions", {}).items()}
    for model in summary["models"]:
        state = "adapted" if model["adapted"] else "as shipped"
        facts[f"reward model {model['name']} ({state}, {model['answers']} answers)"] = model[
            "sha256"
        ]
    return facts


def _episode_table(summary: Summary) -> str:
    columns = (
        "number",
        "kind",
        "outcome",
        "outcome_source",
        "success",
        "true_success",
        "true_progress",
        "final_progress",
        "return_total",
        "duration_s",
        "decisions",
        "invalid_potentials",
        "policy_version",
        "scene_seed",
        "takeovers",
    )
    rows = [[row[name] for name in columns] for row in summary["episodes"]]
    return html.table([name.replace("_", " ") for name in columns], rows)
