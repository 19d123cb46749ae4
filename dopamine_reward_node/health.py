"""Figures of cameras, model and lanes come in; named states for /diagnostics go out."""

from __future__ import annotations

import math

from dopamine_core.frames.camera_stats import CameraReport
from dopamine_core.frames.intake import Intake
from dopamine_core.reward.label_lane import NO_TASK_TEXT, LabelLane
from dopamine_core.types import Status
from dopamine_reward_node.intake_worker import IntakeWorker
from dopamine_reward_node.model_loader import ModelLoader
from dopamine_reward_node.outlet import RewardOutlet
from dopamine_ros.diagnostics import ERROR, OK, WARN, Diagnostics


class Health:
    """Tells how the reward node fares, once a second.

    :param diagnostics: where states go.
    """

    def __init__(
        self,
        diagnostics: Diagnostics,
        intake: Intake,
        worker: IntakeWorker,
        lane: LabelLane,
        outlet: RewardOutlet,
        loader: ModelLoader,
    ) -> None:
        self._diagnostics = diagnostics
        self._intake = intake
        self._worker = worker
        self._lane = lane
        self._outlet = outlet
        self._loader = loader
        self._refused = 0

    def tell(self, now_ns: int) -> None:
        """Set all states."""
        for report in self._intake.reports():
            self._tell_camera(report, now_ns)
        self._tell_pairs(now_ns)
        self._tell_model()
        self._tell_labels()
        self._tell_monitor()

    def complain(self, text: str) -> None:
        """Say that something unexpected happened in a worker."""
        self._diagnostics.set("workers", ERROR, text)

    def _tell_camera(self, report: CameraReport, now_ns: int) -> None:
        age_s = (now_ns - report.last_stamp_ns) / 1e9 if report.frames else math.nan
        values = {
            "rate_hz": round(report.rate_hz, 2),
            "age_s": round(age_s, 4),
            "frames": report.frames,
            "lost": report.lost,
            "refused": report.refused,
            "last_error": report.last_error,
        }
        silent = self._intake.camera_fault(report, now_ns)
        level, text = (ERROR, silent[1]) if silent else (OK, "publishing")
        self._diagnostics.set(f"camera {report.camera}", level, text, values)

    def _tell_pairs(self, now_ns: int) -> None:
        fault = self._intake.fault(now_ns)
        counts = self._intake.pairing
        values = {
            "pairs": self._intake.pairs,
            "unpaired_frames": counts.skewed,
            "skew_ms": round(self._intake.last_skew_ns / 1e6, 3),
            "overflowed": self._worker.overflowed,
        }
        if fault is None:
            self._diagnostics.set("frame pairs", OK, "paired", values)
        else:
            level = ERROR if fault[0] is not Status.STALE else WARN
            self._diagnostics.set("frame pairs", level, fault[1], values)

    def _tell_model(self) -> None:
        lane = self._lane
        if lane.model is None:
            self._diagnostics.set("reward model", ERROR, lane.model_fault)
            return
        model = lane.model.model_id
        values = {
            "name": model.name,
            "sha256": model.sha256,
            "adapted": model.adapted,
            "success_threshold": lane.threshold,
        }
        guard = self._loader.present
        if guard is not None:
            values["inference_running_s"] = round(guard.running_s, 1)
            if guard.overdue:
                self._diagnostics.set("reward model", ERROR, guard.overdue, values)
                return
        if lane.references is None:
            self._diagnostics.set("reward model", WARN, NO_TASK_TEXT, values)
            return
        values |= {"task": lane.references.task, "goals": len(lane.references.goals)}
        self._diagnostics.set("reward model", OK, "ready", values)

    def _tell_labels(self) -> None:
        lane, due = self._lane, self._lane.due
        values = {
            "due": due,
            "answer_s": round(lane.answer_s, 3),
            "held_mb": round(lane.held_mb, 1),
            "refused_frames": lane.refused_frames,
            "ignored_decisions": lane.ignored_decisions,
        }
        level, text = OK, "in step"
        if due > 1:
            text = f"{due} decisions wait for the model, about {due * lane.answer_s:.0f} s; they are answered late"
        if lane.refused_frames > self._refused:
            level = WARN
            text = (
                f"expected room for the frames of waiting decisions, got {lane.held_mb:.0f} MB full: "
                f"{lane.refused_frames} are answered without; raise label.held_mb, or relabel the episodes"
            )
        self._refused = lane.refused_frames
        self._diagnostics.set("labels", level, text, values)

    def _tell_monitor(self) -> None:
        reading = self._outlet.last_progress
        values = {
            "backlog": self._lane.backlog,
            "progress_age_ms": round(self._outlet.last_age_ms, 2),
        }
        if reading is not None and not reading.ok:
            text = f"{reading.status.name}: {reading.text}"
            self._diagnostics.set("progress", WARN, text, values)
        else:
            self._diagnostics.set("progress", OK, "answering", values)
