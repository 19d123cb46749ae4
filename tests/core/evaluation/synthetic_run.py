"""A made-up run folder and its episodes: known successes in, so that the report's figures can be checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import RecordingError
from dopamine_core.evaluation.run_log import RunLog
from dopamine_core.frames.codec import encode
from dopamine_core.types import (
    Decision,
    DecisionOwner,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    ModelId,
    Outcome,
    OutcomeSource,
    Potential,
    Reading,
    Status,
)

STEPS, PERIOD_NS = 30, 100_000_000
MODEL = {"name": "nano", "sha256": "ab" * 32, "adapted": True}


@dataclass(frozen=True)
class Row:
    """What the made-up episode did."""

    kind: EpisodeKind
    success: bool
    true_success: bool


# 2 demonstrations, then rollouts: declared 5 of 9, true 5 of 9, one false success (4th), one missed (5th).
ROWS = (
    Row(EpisodeKind.DEMONSTRATION, True, True),
    Row(EpisodeKind.DEMONSTRATION, True, True),
    Row(EpisodeKind.ROLLOUT, False, False),
    Row(EpisodeKind.ROLLOUT, False, False),
    Row(EpisodeKind.ROLLOUT, False, False),
    Row(EpisodeKind.ROLLOUT, True, False),
    Row(EpisodeKind.ROLLOUT, False, True),
    Row(EpisodeKind.ROLLOUT, True, True),
    Row(EpisodeKind.ROLLOUT, True, True),
    Row(EpisodeKind.ROLLOUT, True, True),
    Row(EpisodeKind.ROLLOUT, True, True),
)


def write_run(run_dir: Path) -> None:
    """Write the records of :data:`ROWS`."""
    log = RunLog(
        run_dir,
        {
            "id": "made-up",
            "task": "insert_peg",
            "seed": 7,
            "quick": True,
            "speed": 1.0,
            "started": "2026-01-02 03:04",
            "command_period_ms": 20.0,
            "versions": {"robo_dopamine": "0.1.0", "python": "3.11"},
        },
    )
    spans = [_write_episode(log, number, row) for number, row in enumerate(ROWS)]
    parts = (("demonstrations", 0, 2), ("practice", 2, len(ROWS)))
    for name, first, last in parts:
        record = {
            "name": name,
            "start_s": spans[first][0],
            "end_s": spans[last - 1][1] + 0.5,
            "ok": True,
            "text": "",
        }
        log.write("part", record["end_s"], record)
    log.write(
        "note",
        9.0,
        {
            "name": "adapt",
            "ok": True,
            "rmse_before": 0.25,
            "rmse_after": 0.18,
            "success_threshold": 0.86,
            "held_out": False,
        },
    )
    log.close()


def load(path: Path) -> EpisodeData:
    """Stand in for the bag reader: the path's name is the number of the row."""
    if not path.name.isdigit():
        raise RecordingError(expected="a bag", got=str(path), remedy="record one")
    number = int(path.name)
    stamps = [_stamp(number, step) for step in range(STEPS)]
    return EpisodeData(
        info=_info(number),
        decisions=tuple(
            Decision(stamp, f"e{number}", step, DecisionOwner.AGENT, stamp, stamp, stamp)
            for step, stamp in enumerate(stamps)
        ),
        pairs=tuple(None if step == 4 else _pair(step, stamp) for step, stamp in enumerate(stamps)),
        joints=(None,) * STEPS,
        actions=np.full((STEPS, 7), np.nan),
        potentials=tuple(_potential(number, step, stamp) for step, stamp in enumerate(stamps)),
        commanded=(None,) * STEPS,
    )


def _write_episode(log: RunLog, number: int, row: Row) -> tuple[float, float]:
    rng = np.random.default_rng(number)
    name, start = f"e{number}", number * 5.0
    log.write("episode", start, _episode(number, EpisodeState.OPEN))
    for step in range(STEPS):
        t, stamp = start + step * 0.1, _stamp(number, step)
        phi = _phi(row, step)
        status = {"code": int(Status.MISSING_FRAME if step == 4 else Status.OK), "text": ""}
        common = {"stamp_ns": stamp, "episode_id": name, "status": status}
        reading = [min(1.0, max(0.0, phi + d)) for d in (-0.03, 0.02, 0.04)]
        readings = {
            "hop": [0.1, phi, phi - 1],
            "reading": reading,
            "progress": phi,
            "consistency": None,
        }
        log.write(
            "decision",
            t,
            {"stamp_ns": stamp, "episode_id": name, "index": step, "policy_version": number},
        )
        potential = {
            "potential": phi,
            "success": False,
            "index": step,
            "inference_time_ns": 2_000_000,
        }
        log.write(
            "potential", t, common | readings | potential | {"model": MODEL, "uncertainty": None}
        )
        age = int(12e6 + rng.exponential(4e6))
        timing = {
            "frame_age_ns": age,
            "inference_time_ns": int(2e6 + rng.exponential(5e5)),
            "skew_ns": 1_000_000,
        }
        log.write("progress", t, common | readings | timing | {"model": MODEL, "uncertainty": None})
        truth = row.true_success and step >= STEPS - 3
        log.write(
            "truth",
            t,
            {
                "stamp_ns": stamp,
                "episode_id": name,
                "success": truth,
                "progress": 1.0 if truth else 0.8 * step / STEPS,
                "stage": 1,
                "seed": 100 + number,
                "shift": row.kind is EpisodeKind.ROLLOUT,
            },
        )
        if step:
            r_gold = float(row.success and step == STEPS - 1)
            shaping = 0.98 * phi - _phi(row, step - 1)
            reward = {
                "index": step - 1,
                "shaping": shaping,
                "r_gold": r_gold,
                "total": shaping + r_gold,
            }
            log.write(
                "reward", t, {"stamp_ns": stamp, "episode_id": name, "status": status} | reward
            )
        for tick in range(5):
            at = stamp + tick * 20_000_000 + int(rng.normal(0, 3e5))
            log.write(
                "command", t, {"stamp_ns": at, "source": 2, "limit_reasons": 8 if tick == 4 else 0}
            )
    log.write("learner", start + 1.0, _learner(number))
    log.write("episode", start + STEPS * 0.1, _episode(number, EpisodeState.CLOSED))
    return start, start + STEPS * 0.1


def _learner(number: int) -> dict[str, Any]:
    return {
        "phase": 4 if number > 2 else 1,
        "waiting_for": "" if number > 2 else "a train goal",
        "offline_episodes": 2,
        "online_episodes": max(0, number - 2),
        "offline_transitions": 58,
        "online_transitions": 29 * max(0, number - 2),
        "dropped_transitions": 2,
        "gradient_steps": 100 * number,
        "policy_version": number,
        "critic_loss": 0.5 / (number + 1),
        "actor_loss": -0.1 * number,
        "conservative_loss": None,
        "bc_loss": 0.3 / (number + 1),
        "q_data": 0.05 * number,
        "q_policy": 0.04 * number,
        "bound_rate": 0.2,
        "action_saturation": 0.1,
        "health": [],
        "checkpoint": "",
    }


def _episode(number: int, state: EpisodeState) -> dict[str, Any]:
    info = _info(number)
    closed = state is EpisodeState.CLOSED
    return {
        "stamp_ns": info.end_ns if closed else info.start_ns,
        "episode_id": info.episode_id,
        "state": int(state),
        "kind": int(info.kind),
        "task": info.task,
        "start_stamp_ns": info.start_ns,
        "end_stamp_ns": info.end_ns if closed else 0,
        "outcome": int(info.outcome) if closed else 0,
        "outcome_source": int(info.outcome_source) if closed else 0,
        "success_stamp_ns": info.success_ns if closed else 0,
        "kept": info.kept,
        "takeovers": 0,
        "bag_path": str(number),
    }


def _info(number: int) -> EpisodeInfo:
    row = ROWS[number]
    return EpisodeInfo(
        episode_id=f"e{number}",
        state=EpisodeState.CLOSED,
        kind=row.kind,
        task="insert_peg",
        stamp_ns=_stamp(number, STEPS - 1),
        start_ns=_stamp(number, 0),
        end_ns=_stamp(number, STEPS - 1),
        outcome=Outcome.SUCCESS if row.success else Outcome.TIME_LIMIT,
        outcome_source=OutcomeSource.REWARD_NODE if row.success else OutcomeSource.TIMER,
        success_ns=_stamp(number, STEPS - 1) if row.success else 0,
        kept=row.kind is EpisodeKind.DEMONSTRATION,
        bag_path=str(number),
    )


def _phi(row: Row, step: int) -> float:
    return min(1.0, (step / (STEPS - 1)) * (1.0 if row.success else 0.6))


def _stamp(number: int, step: int) -> int:
    return 1_000_000_000 + number * 5_000_000_000 + step * PERIOD_NS


def _potential(number: int, step: int, stamp: int) -> Potential:
    phi = _phi(ROWS[number], step)
    reading = Reading(Status.OK, progress=phi) if step != 4 else Reading(Status.MISSING_FRAME)
    return Potential(
        stamp, f"e{number}", step, reading, phi, False, ModelId("nano", "ab" * 32, True)
    )


def _pair(step: int, stamp: int) -> FramePair:
    rows, columns = np.mgrid[0:480, 0:640]
    front = np.stack([rows // 2, columns // 3, np.full_like(rows, 90)], axis=-1).astype(
        np.uint8
    )  # (480, 640, 3)
    front[200:260, 20 * step : 20 * step + 60] = (240, 180, 40)
    return FramePair(encode(front, stamp), encode(front[::-1].copy(), stamp))
