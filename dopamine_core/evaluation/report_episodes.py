"""Records of a run in, one row per episode out: how it ended, what was said and what the simulator knows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from dopamine_core.evaluation.run_log import Record, RunRecords
from dopamine_core.types import EpisodeKind, EpisodeState, Outcome, OutcomeSource, Status

_NS = 1e9


@dataclass(frozen=True)
class EpisodeRow:
    """One closed episode.

    ``true_success`` is the simulator's own test, for reports only; ``None`` when no truth was heard. ``return_total``
    is the undiscounted sum of published reward terms, ``None`` when none was published.
    """

    number: int  # 1, 2 ... in the order of closing
    episode_id: str
    kind: str
    task: str
    t: float  # wall seconds since the run began, at the close
    start_ns: int
    end_ns: int
    duration_s: float  # in the time of the stream
    outcome: str
    outcome_source: str
    success: bool
    kept: bool
    true_success: bool | None
    true_progress: float | None
    shift: bool | None
    scene_seed: int | None
    decisions: int
    invalid_potentials: int
    final_progress: float | None
    max_progress: float | None
    return_total: float | None
    policy_version: int
    takeovers: int
    bag_path: str

    @property
    def false_success(self) -> bool:
        """Success was declared, the simulator disagrees."""
        return self.success and self.true_success is False

    @property
    def missed_success(self) -> bool:
        """The simulator saw success, nobody declared it."""
        return not self.success and self.true_success is True

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``summary.json``."""
        return {
            **asdict(self),
            "false_success": self.false_success,
            "missed_success": self.missed_success,
        }


def episode_rows(run: RunRecords) -> list[EpisodeRow]:
    """Make one row per closed episode; an operator's later label replaces the first outcome."""
    closed: dict[str, Record] = {}
    for record in run.of("episode"):
        if record["state"] == EpisodeState.CLOSED and record["episode_id"]:
            first = closed.get(record["episode_id"], record)
            closed[record["episode_id"]] = {**record, "t": first["t"]}
    by_id = {
        kind: _by_episode(run.of(kind)) for kind in ("potential", "reward", "truth", "decision")
    }
    ordered = sorted(closed.values(), key=lambda record: record["t"])
    return [_row(number, record, by_id) for number, record in enumerate(ordered, start=1)]


def _row(number: int, record: Record, by_id: dict[str, dict[str, list[Record]]]) -> EpisodeRow:
    name = record["episode_id"]
    potentials = by_id["potential"].get(name, [])
    # A corrected outcome sends terms again: the last ones of an index count.
    terms = {item["index"]: item["total"] for item in by_id["reward"].get(name, [])}
    rewards = [total for total in terms.values() if total is not None]
    decisions = by_id["decision"].get(name, [])
    start_ns, end_ns = record["start_stamp_ns"], record["end_stamp_ns"]
    truth = [
        item for item in by_id["truth"].get(name, []) if start_ns <= item["stamp_ns"] <= end_ns
    ]
    valid = [item["progress"] for item in potentials if item["status"]["code"] == Status.OK]
    outcome = Outcome(record["outcome"])
    return EpisodeRow(
        number=number,
        episode_id=name,
        kind=EpisodeKind(record["kind"]).name.lower(),
        task=record["task"],
        t=record["t"],
        start_ns=start_ns,
        end_ns=end_ns,
        duration_s=round((end_ns - start_ns) / _NS, 3),
        outcome=outcome.name.lower(),
        outcome_source=OutcomeSource(record["outcome_source"]).name.lower(),
        success=outcome is Outcome.SUCCESS,
        kept=record["kept"],
        true_success=any(item["success"] for item in truth) if truth else None,
        true_progress=max(item["progress"] for item in truth) if truth else None,
        shift=truth[-1]["shift"] if truth else None,
        scene_seed=truth[-1]["seed"] if truth else None,
        decisions=len(decisions) or len(potentials),
        invalid_potentials=len(potentials) - len(valid),
        final_progress=valid[-1] if valid else None,
        max_progress=max(valid) if valid else None,
        return_total=round(sum(rewards), 6) if rewards else None,
        policy_version=max((item["policy_version"] for item in decisions), default=0),
        takeovers=record["takeovers"],
        bag_path=record["bag_path"],
    )


def _by_episode(records: list[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record["episode_id"]:
            groups[record["episode_id"]].append(record)
    for group in groups.values():
        group.sort(key=lambda item: item["stamp_ns"])
    return groups
