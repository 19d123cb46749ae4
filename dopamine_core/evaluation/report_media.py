"""Bags of a run in, key frames and overlay clips out; what cannot be read is named, not left out silently."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dopamine_core.errors import DopamineError
from dopamine_core.evaluation.overlay import Clip, write_overlay

if TYPE_CHECKING:
    from dopamine_core.episodes.data import EpisodeData

KEY_FRAMES = 6
KEY_SIZE = (320, 240)
Loader = Callable[[Path], "EpisodeData"]


@dataclass(frozen=True)
class KeyFrame:
    """One moment of an episode: both cameras as JPEG data URIs."""

    time_s: float
    progress: float | None
    front: str
    wrist: str


@dataclass(frozen=True)
class Media:
    """Pictures of a run."""

    key_frames: dict[str, list[KeyFrame]] = field(default_factory=dict)  # by episode id
    video: Path | None = None
    problems: tuple[str, ...] = ()


def gather(
    episodes: Sequence[dict[str, Any]], captions: Sequence[str], video: Path, load: Loader
) -> Media:
    """Read the bags of the episodes to show and write the overlay video.

    :param episodes: rows of ``summary.json``, in the order of the video.
    :param captions: one line per episode.
    :param video: where the MP4 goes.
    :param load: reads a bag, e.g. ``dopamine_core.episodes.dataset.load_episode``.
    """
    video.unlink(missing_ok=True)
    frames: dict[str, list[KeyFrame]] = {}
    clips, problems = [], []
    for row, caption in zip(episodes, captions, strict=True):
        try:
            data = _load(row, load, video.parent)
        except DopamineError as error:
            problems.append(f"{caption}: {error}")
            continue
        frames[row["episode_id"]] = key_frames(data)
        clips.append(clip_of(data, caption))
    try:
        if clips:
            write_overlay(video, clips)
    except DopamineError as error:
        problems.append(str(error))
    return Media(frames, video if video.exists() else None, tuple(problems))


def clip_of(data: EpisodeData, caption: str) -> Clip:
    """Make a clip of an episode."""
    stamps = [decision.stamp_ns for decision in data.decisions]
    success = data.info.success_ns
    at = next((index for index, stamp in enumerate(stamps) if success and stamp >= success), None)
    return Clip(caption, data.pairs, readings(data), at)


def readings(data: EpisodeData) -> list[float | None]:
    """Label-lane progress of each decision; ``None`` where there is no valid one."""
    values = []
    for potential in data.potentials:
        valid = (
            potential is not None
            and potential.reading.ok
            and math.isfinite(potential.reading.progress)
        )
        values.append(potential.reading.progress if valid and potential else None)
    return values


def key_frames(data: EpisodeData) -> list[KeyFrame]:
    """Evenly spaced moments from first to last decision, those with both frames."""
    present = [index for index, pair in enumerate(data.pairs) if pair is not None]
    if not present:
        return []
    count = min(KEY_FRAMES, len(present))
    chosen = sorted(
        {present[round(i * (len(present) - 1) / max(count - 1, 1))] for i in range(count)}
    )
    progress, start = readings(data), data.decisions[0].stamp_ns
    return [
        KeyFrame(
            time_s=(data.decisions[index].stamp_ns - start) / 1e9,
            progress=progress[index],
            front=_data_uri(data.pairs[index].front.data),  # type: ignore[union-attr]
            wrist=_data_uri(data.pairs[index].wrist.data),  # type: ignore[union-attr]
        )
        for index in chosen
    ]


def _load(row: dict[str, Any], load: Loader, run_dir: Path) -> EpisodeData:
    if not row["bag_path"]:
        raise DopamineError(
            expected=f"a bag of episode {row['episode_id']}",
            got="none recorded",
            remedy="record rollouts",
        )
    recorded = Path(row["bag_path"])
    # A run folder may have been moved since: look for the bag by name inside it.
    moved = next(run_dir.rglob(recorded.name), recorded)
    return load(recorded if recorded.exists() else moved)


def _data_uri(data: bytes) -> str:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize(KEY_SIZE).save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
