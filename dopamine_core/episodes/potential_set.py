"""The answers of one model to every decision of one episode: kept in a file beside the recording, put into the episode.

An episode takes a whole set or none, so that none mixes two models.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import RecordingError
from dopamine_core.types import EpisodeInfo, ModelId, Potential, Reading, Status

_ENDING = ".potentials-{}.json"
_HASH_DIGITS = 16
FORMAT_VERSION = 1


@dataclass(frozen=True)
class PotentialSet:
    """What one model says of one whole recording.

    :param info: the episode as its recording said.
    :param labels_sha256: hash of model, references and settings; equal hashes, equal potentials.
    :param potentials: one per decision, in order.
    """

    info: EpisodeInfo
    model: ModelId
    labels_sha256: str
    potentials: tuple[Potential, ...]


def file_of(bag: Path, labels_sha256: str) -> Path:
    """Return where a recording's set of potentials lies."""
    return bag.with_name(bag.stem + _ENDING.format(labels_sha256[:_HASH_DIGITS]))


def files_of(bag: Path) -> list[Path]:
    """List the sets beside a recording, the newest first."""
    found = bag.parent.glob(bag.stem + _ENDING.format("*"))
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def save_set(potentials: PotentialSet, bag: Path) -> Path:
    """Write a set beside its recording, whole or not at all.

    :raises RecordingError: when the disk refuses.
    """
    path = file_of(bag, potentials.labels_sha256)
    partial = path.with_name(path.name + ".partial")
    content = {
        "format_version": FORMAT_VERSION,
        "episode_id": potentials.info.episode_id,
        "labels_sha256": potentials.labels_sha256,
        "model": dataclasses.asdict(potentials.model),
        "potentials": [_plain(item) for item in potentials.potentials],
    }
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        raise RecordingError(
            expected=f"to write {path}",
            got=f"{type(error).__name__}: {error.strerror or error}",
            remedy="free space or correct the folder's rights",
        ) from error
    return path


def load_set(path: Path, info: EpisodeInfo) -> PotentialSet:
    """Read a set.

    :param info: of the recording that it lies beside.
    :raises RecordingError: when it is missing, damaged or of another episode.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model = ModelId(**content["model"])
        potentials = tuple(_potential(item, info, model) for item in content["potentials"])
        known = (FORMAT_VERSION, info.episode_id)
        if (content["format_version"], content["episode_id"]) != known:
            raise ValueError(f"version {content['format_version']} of {content['episode_id']!r}")
        return PotentialSet(info, model, content["labels_sha256"], potentials)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(
            expected=f"potentials of {info.episode_id!r} in {path}",
            got=f"{type(error).__name__}: {error}",
            remedy="remove the file; the relabel node makes it again",
        ) from error


def with_potentials(episode: EpisodeData, potentials: PotentialSet) -> EpisodeData:
    """Put a whole set into an episode; nothing of its former potentials is left.

    :raises RecordingError: when the set is of another episode, mixes models, or a decision has no answer in it.
    """
    answers = {item.decision_stamp_ns: item for item in potentials.potentials}
    rows = tuple(answers.get(decision.stamp_ns) for decision in episode.decisions)
    lost = sum(row is None for row in rows)
    models = {item.model.sha256 for item in potentials.potentials}
    other = potentials.info.episode_id != episode.info.episode_id
    if lost or other or len(models) > 1:
        raise RecordingError(
            expected=f"one model's answer to each of {len(rows)} decisions of {episode.info.episode_id!r}",
            got=f"{lost} without an answer, {len(models)} models, a set of {potentials.info.episode_id!r}",
            remedy="remove the set's file; the relabel node makes it again",
        )
    return dataclasses.replace(episode, potentials=rows)


def _plain(item: Potential) -> dict[str, Any]:
    reading = dataclasses.asdict(item.reading)
    return {
        "stamp_ns": item.decision_stamp_ns,
        "index": item.index,
        "potential": item.potential,
        "success": item.success,
        "reading": reading | {"status": item.reading.status.name},
    }


def _potential(item: dict[str, Any], info: EpisodeInfo, model: ModelId) -> Potential:
    values = dict(item["reading"])
    values |= {name: tuple(values[name]) for name in ("hop", "reading")}
    reading = Reading(**values | {"status": Status[values["status"]]})
    return Potential(
        decision_stamp_ns=item["stamp_ns"],
        episode_id=info.episode_id,
        index=item["index"],
        reading=reading,
        potential=item["potential"],
        success=item["success"],
        model=model,
    )
