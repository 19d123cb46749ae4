"""A folder of recordings comes in, what is in it goes out, without reading the messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dopamine_core.episodes.bag import read_metadata
from dopamine_core.episodes.contents import EPISODE_RECORD
from dopamine_core.errors import RecordingError


@dataclass(frozen=True)
class Entry:
    """One recording."""

    path: Path
    episode_id: str
    kind: str  # demonstration, rollout or evaluation
    task: str
    outcome: str
    kept: bool


def catalogue(folder: Path) -> list[Entry]:
    """List the whole recordings of a folder by name, which is by time; damaged ones are left out.

    :param folder: may be missing, then it is empty.
    """
    entries = [_entry(path) for path in sorted(folder.glob("*.mcap"))]
    return [entry for entry in entries if entry is not None]


def kept_demonstrations(folder: Path, task: str = "") -> list[Entry]:
    """List the demonstrations that an operator kept, oldest first.

    :param task: only of this task; empty for all.
    """
    return [entry for entry in catalogue(folder) if entry.kept and task in ("", entry.task)]


def _entry(path: Path) -> Entry | None:
    try:
        record = read_metadata(path).get(EPISODE_RECORD)
    except RecordingError:
        return None
    if record is None:
        return None
    return Entry(
        path=path,
        episode_id=record.get("episode_id", path.stem),
        kind=record.get("kind", ""),
        task=record.get("task", ""),
        outcome=record.get("outcome", ""),
        kept=record.get("kept") == "true",
    )
