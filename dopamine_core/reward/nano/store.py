"""Generated episodes go onto disk and come back: decoded frames in one flat file, everything else in an index.

``frames.u8`` holds (N, 2, h, w, 3) bytes, front then wrist, read through the page cache; ``index.npz`` holds what
belongs to the N frames and the E episodes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import ModelError

FRAMES, INDEX = "frames.u8", "index.npz"


@dataclass(frozen=True)
class TrainingEpisode:
    """One generated episode at decision rate."""

    task: str
    mode: str  # "expert" or how it fails
    seed: int
    frames: NDArray[np.uint8]  # (T, 2, h, w, 3) RGB, front then wrist, after JPEG
    label: NDArray[np.float32]  # (T,) Phi that is learned
    truth: NDArray[np.float32]  # (T,) Phi that the simulator states
    done: NDArray[np.bool_]  # (T,) the simulator's success test
    geometry: NDArray[np.float32]  # (T, G) privileged places, m; NaN where a task has fewer
    keyframes: tuple[int, ...]


@dataclass(frozen=True)
class EpisodeStore:
    """Episodes of a data folder, concatenated; episode e owns frames ``start[e] : start[e] + length[e]``."""

    frames: NDArray[np.uint8]  # (N, 2, h, w, 3), a memory map
    label: NDArray[np.float32]  # (N,)
    truth: NDArray[np.float32]  # (N,)
    done: NDArray[np.bool_]  # (N,)
    geometry: NDArray[np.float32]  # (N, G)
    start: NDArray[np.int64]  # (E,)
    length: NDArray[np.int64]  # (E,)
    task: NDArray[np.int64]  # (E,) index into ``tasks``
    expert: NDArray[np.bool_]  # (E,)
    tasks: tuple[str, ...]
    modes: tuple[str, ...]  # (E,)
    seeds: tuple[int, ...]  # (E,)
    keyframes: tuple[tuple[int, ...], ...]  # (E,)

    def __len__(self) -> int:
        """Return the number of episodes E."""
        return len(self.start)

    def span(self, episode: int) -> slice:
        """Frames of an episode."""
        return slice(int(self.start[episode]), int(self.start[episode] + self.length[episode]))

    def frame_task(self) -> NDArray[np.int64]:
        """Task of each frame (N,), -1 for frames that no episode owns."""
        task = np.full(len(self.label), -1, np.int64)
        for episode in range(len(self)):
            task[self.span(episode)] = self.task[episode]
        return task


class EpisodeWriter:
    """Appends episodes to a data folder; the index is written when the writer closes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = (folder / FRAMES).open("wb")
        self._episodes: list[TrainingEpisode] = []
        self.frame_shape: tuple[int, ...] = ()

    def add(self, episode: TrainingEpisode) -> None:
        """Append one episode."""
        self.frame_shape = episode.frames.shape[1:]
        self._file.write(np.ascontiguousarray(episode.frames).data)
        light = {**episode.__dict__, "frames": episode.frames[:0].copy()}
        self._episodes.append(TrainingEpisode(**light))

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None:
            self._write_index()

    def _write_index(self) -> None:
        episodes = self._episodes
        width = max(episode.geometry.shape[1] for episode in episodes)
        meta = {
            "frame_shape": self.frame_shape,
            "tasks": sorted({episode.task for episode in episodes}),
            "episodes": [
                [e.task, e.mode, e.seed, list(e.keyframes), len(e.label)] for e in episodes
            ],
        }
        padded = [_pad(episode.geometry, width) for episode in episodes]
        np.savez(
            self._folder / INDEX,
            label=np.concatenate([e.label for e in episodes]),
            truth=np.concatenate([e.truth for e in episodes]),
            done=np.concatenate([e.done for e in episodes]),
            geometry=np.concatenate(padded),
            meta=np.array(json.dumps(meta)),
        )


def _pad(geometry: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    missing = width - geometry.shape[1]
    return np.pad(geometry, ((0, 0), (0, missing)), constant_values=np.nan)


def open_store(folder: Path) -> EpisodeStore:
    """Open a data folder.

    :raises ModelError: when it holds no finished data.
    """
    try:
        index = np.load(folder / INDEX)
        meta = json.loads(str(index["meta"]))
        shape = (len(index["label"]), *meta["frame_shape"])
        frames = np.memmap(folder / FRAMES, dtype=np.uint8, mode="r", shape=shape)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            expected=f"generated episodes in {folder}",
            got=f"{type(error).__name__}: {error}",
            remedy="run 'dopamine nano train' with generation",
        ) from error
    rows = meta["episodes"]
    length = np.array([row[4] for row in rows], np.int64)
    tasks = tuple(meta["tasks"])
    return EpisodeStore(
        frames=frames,
        label=index["label"],
        truth=index["truth"],
        done=index["done"],
        geometry=index["geometry"],
        start=np.cumsum(length) - length,
        length=length,
        task=np.array([tasks.index(row[0]) for row in rows], np.int64),
        expert=np.array([row[1] == "expert" for row in rows]),
        tasks=tasks,
        modes=tuple(row[1] for row in rows),
        seeds=tuple(int(row[2]) for row in rows),
        keyframes=tuple(tuple(row[3]) for row in rows),
    )
