"""Recordings come in, official episode folders go out, which the official tools read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import DemonstrationError, DopamineError, LearnerError
from dopamine_core.frames.codec import decode
from dopamine_core.reward.grm.official_data import (
    CAMERAS,
    TASK_FILE,
    Segment,
    checked_tasks,
    write_annotations,
)
from dopamine_core.reward.grm.training_at_scale.hop_data import (
    LeftOut,
    nothing_usable,
    write_whole,
)
from dopamine_core.reward.grm.training_at_scale.sources import (
    RecordedEpisode,
    Source,
    find_sources,
)
from dopamine_core.reward.grm.training_at_scale.video import write_video
from dopamine_core.reward.grm.views import three_views


def write_episode_folders(paths: Sequence[Path], out_dir: Path) -> tuple[dict[str, Path], tuple[LeftOut, ...]]:
    """Write each recording as ``episode_001``, ``episode_002`` and so on.

    :param paths: MCAP files of kept demonstrations, or folders of them.
    :returns: the folders by recording, and what could not be used.
    :raises DemonstrationError: when a path holds no episode, or none can be used.
    :raises LearnerError: when a folder is there already or cannot be written.
    """
    written: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for name, source in find_sources(paths).items():
        folder = out_dir / f"episode_{len(written) + 1:03d}"
        try:
            write_episode_folder(_demonstration(source), folder)
            written[str(source.path)] = folder
        except LearnerError:
            raise
        except DopamineError as error:
            left_out.append(LeftOut(name, type(error).__name__, str(error)))
    if not written:
        raise nothing_usable(left_out)
    _share_tasks(out_dir, list(written.values()))
    return written, tuple(left_out)


def _share_tasks(out_dir: Path, folders: Sequence[Path]) -> None:
    """Write the task beside the folders too, where the official tools look, if they have one in common."""
    try:
        tasks = {(folder / TASK_FILE).read_text(encoding="utf-8") for folder in folders}
        if len(tasks) == 1:
            write_whole(out_dir / TASK_FILE, tasks.pop())
    except OSError as error:
        raise _unwritable(out_dir / TASK_FILE, error) from error


def _demonstration(source: Source) -> Demonstration:
    if isinstance(source, RecordedEpisode):
        return source.demonstration
    raise DemonstrationError(
        expected="a recording", got=f"the episode folder {source.path}", remedy="copy the folder as it is"
    )


def write_episode_folder(demonstration: Demonstration, folder: Path) -> None:
    """Write one demonstration: three videos at decision rate, keyframes and task.

    :param folder: appears whole or not at all.
    :raises LearnerError: when it is there already or cannot be written.
    :raises ImageError: when a frame cannot be decoded.
    :raises DemonstrationError: when frames differ in size, or the task cannot stand in a question.
    """
    tasks = checked_tasks([demonstration.task], folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write_videos(demonstration, making)
            write_annotations(making, _segments(demonstration), tasks)
            making.chmod(0o755)
            os.rename(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> LearnerError:
    return LearnerError(
        expected=f"to write a new {path}",
        got=f"{type(error).__name__}: {error}",
        remedy="choose another folder, or free space",
    )


def _write_videos(demonstration: Demonstration, folder: Path) -> None:
    stamps = [pair.stamp_ns for pair in demonstration.pairs]
    rate_hz = 1e9 / float(np.median(np.diff(stamps)))
    views = [three_views(pair) for pair in demonstration.pairs]
    for slot, camera in enumerate(CAMERAS):
        frames = [decode(view[slot]) for view in views]
        if len({pixels.shape for pixels in frames}) > 1:
            raise DemonstrationError(
                expected=f"frames of one size from {camera}",
                got=", ".join(sorted({str(pixels.shape) for pixels in frames})),
                remedy="record the demonstration again",
            )
        write_video(folder / f"{camera}.mp4", frames, rate_hz)


def _segments(demonstration: Demonstration) -> list[Segment]:
    marks = demonstration.keyframes
    return [Segment(f"subtask{k}", a, b) for k, (a, b) in enumerate(pairwise(marks), 1)]
