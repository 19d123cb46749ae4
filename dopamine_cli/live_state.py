"""What the graph said last: written by the subscriptions, read by the display."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field

from dopamine_core.evaluation.run_log import Record
from dopamine_core.types import EpisodeKind, EpisodeState, Outcome, Status

LAST_EPISODES = 8


@dataclass(frozen=True)
class Ended:
    """One closed episode as the display shows it."""

    episode_id: str
    kind: str
    outcome: str
    success: bool
    true_success: bool | None
    final_progress: float | None
    return_total: float
    duration_s: float


@dataclass
class LiveState:
    """The newest values; every access goes through the lock of its methods."""

    progress: deque[float | None] = field(default_factory=lambda: deque(maxlen=60))
    status_text: str = ""
    episode_id: str = ""
    kind: str = ""
    reward_sum: float = 0.0
    true_success: bool | None = None
    ended: deque[Ended] = field(default_factory=lambda: deque(maxlen=LAST_EPISODES))
    counts: dict[str, int] = field(default_factory=dict)  # episodes by kind
    successes: dict[str, int] = field(default_factory=dict)
    learner: Record = field(default_factory=dict)
    model: str = ""
    warnings: dict[str, str] = field(default_factory=dict)
    frames_heard: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def on_progress(self, record: Record) -> None:
        """Monitor lane."""
        with self._lock:
            valid = record["status"]["code"] == Status.OK
            self.progress.append(record["progress"] if valid else None)
            self.status_text = "" if valid else record["status"]["text"]
            self.model = record["model"]["name"] + (
                " (adapted)" if record["model"]["adapted"] else ""
            )
            self.frames_heard += 1

    def on_reward(self, record: Record) -> None:
        """Reward terms of one transition."""
        with self._lock:
            if record["episode_id"] == self.episode_id and math.isfinite(record["total"]):
                self.reward_sum += record["total"]

    def on_truth(self, record: Record) -> None:
        """Simulator's verdict, for people only."""
        with self._lock:
            if record["episode_id"] and record["episode_id"] == self.episode_id:
                self.true_success = bool(self.true_success) or record["success"]

    def on_learner(self, record: Record) -> None:
        """Learner's status."""
        with self._lock:
            self.learner = record

    def on_warning(self, name: str, message: str, level: int) -> None:
        """Diagnostics; a name that is well again disappears."""
        with self._lock:
            if level:
                self.warnings[name] = message
            else:
                self.warnings.pop(name, None)

    def on_episode(self, record: Record) -> None:
        """Follow the episode authority."""
        with self._lock:
            if record["state"] == EpisodeState.OPEN and record["episode_id"] != self.episode_id:
                self.episode_id, self.kind = (
                    record["episode_id"],
                    EpisodeKind(record["kind"]).name.lower(),
                )
                self.reward_sum, self.true_success = 0.0, None
                self.progress.clear()
            elif record["state"] == EpisodeState.CLOSED and record["episode_id"] == self.episode_id:
                self._close(record)

    def _close(self, record: Record) -> None:
        if any(ended.episode_id == record["episode_id"] for ended in self.ended):
            return  # an operator's later label; the report reads it from the log
        outcome = Outcome(record["outcome"])
        known = [value for value in self.progress if value is not None]
        success = outcome is Outcome.SUCCESS
        self.counts[self.kind] = self.counts.get(self.kind, 0) + 1
        self.successes[self.kind] = self.successes.get(self.kind, 0) + success
        self.ended.append(
            Ended(
                episode_id=record["episode_id"],
                kind=self.kind,
                outcome=outcome.name.lower().replace("_", " "),
                success=success,
                true_success=self.true_success,
                final_progress=known[-1] if known else None,
                return_total=self.reward_sum,
                duration_s=(record["end_stamp_ns"] - record["start_stamp_ns"]) / 1e9,
            )
        )

    def snapshot(self) -> LiveState:
        """A copy that does not change under the reader."""
        with self._lock:
            return LiveState(
                progress=self.progress.copy(),
                status_text=self.status_text,
                episode_id=self.episode_id,
                kind=self.kind,
                reward_sum=self.reward_sum,
                true_success=self.true_success,
                ended=self.ended.copy(),
                counts=dict(self.counts),
                successes=dict(self.successes),
                learner=dict(self.learner),
                model=self.model,
                warnings=dict(self.warnings),
                frames_heard=self.frames_heard,
            )
