"""Paths come in, episodes that can give frames and annotations go out: recordings and official episode folders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from dopamine_core.episodes.dataset import load_demonstration
from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.grm.official_data import (
    CAMERAS,
    FRONT,
    KEYFRAMES_FILE,
    LEFT,
    RIGHT,
    TASK_FILE,
    Segment,
    checked_tasks,
    read_segments,
    read_tasks,
)
from dopamine_core.reward.grm.training_at_scale.video import save_frames
from dopamine_core.types import EncodedImage, FramePair

# camera -> frame index -> path relative to the folder that frames are saved in
FrameFiles = dict[str, dict[int, str]]


@dataclass(frozen=True)
class Annotation:
    """What is said about an episode.

    :param tasks: paraphrases of one task.
    :param segments: parts between keyframes.
    """

    tasks: tuple[str, ...]
    segments: tuple[Segment, ...]


class Source(Protocol):
    """One episode somewhere."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    def sha256(self) -> str:
        """Hash of everything that is read of it."""

    def annotation(self) -> Annotation:
        """Read what is said about it.

        :raises DopamineError: when it cannot be used.
        """

    def save(self, ids: Collection[int], folder: Path) -> FrameFiles:
        """Write frames of every camera there is.

        :param ids: frame indices.
        :raises DopamineError: when a frame is not there, or cameras disagree about how many there are.
        """


@dataclass(frozen=True)
class RecordedEpisode:
    """An MCAP recording of a kept demonstration; frame k is what decision k looked at."""

    path: Path

    def sha256(self) -> str:
        """Hash of the recording."""
        return _sha256([self.path])

    def annotation(self) -> Annotation:
        """The recording's task, and its parts between keyframes."""
        marks = self.demonstration.keyframes
        parts = [Segment(f"part {k}", a, b) for k, (a, b) in enumerate(pairwise(marks), 1)]
        return Annotation(checked_tasks([self.demonstration.task], self.path), tuple(parts))

    def save(self, ids: Collection[int], folder: Path) -> FrameFiles:
        """Write the recorded bytes as they are."""
        pairs = self.demonstration.pairs
        files: FrameFiles = {}
        for camera, image_of in _RECORDED.items():
            if all(image_of(pairs[k]).data for k in ids):
                files[camera] = {k: _write(image_of(pairs[k]), folder, camera, k) for k in ids}
        if FRONT not in files:
            raise DemonstrationError(
                expected=f"a front image with every decision of {self.path}",
                got="one without bytes",
                remedy="record it again",
            )
        return files

    @cached_property
    def demonstration(self) -> Demonstration:
        """The recording's content, read once."""
        return load_demonstration(self.path)


_RECORDED: dict[str, Callable[[FramePair], EncodedImage]] = {
    FRONT: lambda pair: pair.front,
    LEFT: lambda pair: pair.wrist,
}


@dataclass(frozen=True)
class OfficialEpisode:
    """An official episode folder."""

    path: Path

    def sha256(self) -> str:
        """Hash of videos and annotations."""
        names = (KEYFRAMES_FILE, TASK_FILE, *(f"{camera}.mp4" for camera in CAMERAS))
        there = [self.path / name for name in names]
        return _sha256([path for path in [*there, self.path.parent / TASK_FILE] if path.exists()])

    def annotation(self) -> Annotation:
        """What the annotation files say."""
        return Annotation(read_tasks(self.path), read_segments(self.path))

    def save(self, ids: Collection[int], folder: Path) -> FrameFiles:
        """Decode every video once."""
        videos = {camera: self.path / f"{camera}.mp4" for camera in CAMERAS}
        if not videos[FRONT].exists():
            raise DemonstrationError(
                expected=f"the front camera's video {videos[FRONT]}",
                got="no such file",
                remedy="complete the episode folder",
            )
        files: FrameFiles = {}
        counts: dict[str, int] = {}
        for camera, video in videos.items():
            if video.exists():
                files[camera] = {k: _name(camera, k, "jpg") for k in ids}
                (folder / camera).mkdir(parents=True)
                places = {k: folder / name for k, name in files[camera].items()}
                counts[camera] = save_frames(video, set(ids), places)
        self._check(counts, ids)
        return files

    def _check(self, counts: dict[str, int], ids: Collection[int]) -> None:
        if len(set(counts.values())) > 1:
            raise DemonstrationError(
                expected=f"videos of one length in {self.path}",
                got=", ".join(f"{camera} {count} frames" for camera, count in counts.items()),
                remedy="cut the videos to the frames they share, or record again",
            )
        if max(ids) >= counts[FRONT]:
            raise DemonstrationError(
                expected=f"keyframes below {counts[FRONT]}, the videos' number of frames",
                got=f"{max(ids)} in {self.path / KEYFRAMES_FILE}",
                remedy="correct the annotation",
            )


def find_sources(paths: Sequence[Path]) -> dict[str, Source]:
    """Find episodes: MCAP files, episode folders, and folders that hold either, by their name.

    :returns: episodes by names that are used for folders; the second of a name gets a number.
    :raises DemonstrationError: when a path holds none.
    """
    found: dict[str, Source] = {}
    for path in paths:
        sources = _sources_in(path)
        if not sources:
            raise DemonstrationError(
                expected=f"an MCAP recording or an episode folder at {path}",
                got="neither",
                remedy=f"name *.mcap, a folder with {KEYFRAMES_FILE}, or a folder of those",
            )
        for source in sources:
            found[_free_name(source.path.stem, found)] = source
    return found


def _sources_in(path: Path) -> list[Source]:
    if path.is_file():
        return [RecordedEpisode(path)] if path.suffix == ".mcap" else []
    if (path / KEYFRAMES_FILE).exists() or (path / f"{FRONT}.mp4").exists():
        return [OfficialEpisode(path)]
    bags = [RecordedEpisode(bag) for bag in sorted(path.glob("*.mcap"))]
    folders = [OfficialEpisode(one) for one in sorted(path.glob("episode_*")) if one.is_dir()]
    return [*bags, *folders]


def _free_name(stem: str, taken: Collection[str]) -> str:
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def _write(image: EncodedImage, folder: Path, camera: str, k: int) -> str:
    name = _name(camera, k, {"jpeg": "jpg"}.get(image.format, image.format))
    (folder / camera).mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(image.data)
    return name


def _name(camera: str, k: int, ending: str) -> str:
    return f"{camera}/frame_{k:06d}.{ending}"


def _sha256(paths: Sequence[Path]) -> str:
    both = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            both.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return both.hexdigest()


def filled(files: FrameFiles) -> dict[str, dict[int, str]]:
    """Give every camera of a query files, missing cameras those of another, as ``grm.views`` fills images.

    One wrist camera stands in both wrist slots; without any the front camera does.
    """
    left = files.get(LEFT) or files.get(RIGHT) or files[FRONT]
    return {FRONT: files[FRONT], LEFT: left, RIGHT: files.get(RIGHT) or left}
