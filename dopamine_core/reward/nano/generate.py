"""Tasks and seeds come in; a folder of training episodes goes out, played in the cell by many processes.

Frames take the way they take at run time: rendered at full size, encoded as JPEG, decoded at the encoder's size.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dopamine_core.frames.codec import decode, encode
from dopamine_core.reward.nano.geometry import geometry_of, places_of
from dopamine_core.reward.nano.store import EpisodeWriter, TrainingEpisode

CAMERA_SIZE = (320, 240)
TRAINING_SEED = 1_000_000  # scenes from here on are trained on; reports use seeds below
MODE_SHARES = {
    "expert": 0.45,
    "regresses": 0.14,
    "near_miss": 0.11,
    "missed_grasp": 0.08,
    "stops_early": 0.08,
    "drops": 0.07,
    "wanders": 0.07,
}
_SHIFT_SHARE = 0.35  # training scenes vary how things are held and placed
_CHUNK = 8  # consecutive episodes of one task in one process


@dataclass(frozen=True)
class Job:
    """One episode to play."""

    task: str
    mode: str
    seed: int
    shift: bool
    size: tuple[int, int]  # (width, height) after decoding


def plan_jobs(tasks: tuple[str, ...], per_task: int, size: tuple[int, int], seed: int) -> list[Job]:
    """Jobs in chunks of one task, the tasks taking turns, so that an early end is fair to all."""
    rng = np.random.default_rng(seed)
    modes, shares = list(MODE_SHARES), np.array(list(MODE_SHARES.values()))
    jobs = []
    for first in range(0, per_task, _CHUNK):
        for number, task in enumerate(tasks):
            for i in range(first, min(first + _CHUNK, per_task)):
                mode = "expert" if i < 2 else str(rng.choice(modes, p=shares / shares.sum()))
                scene = TRAINING_SEED + 100_000 * seed + 10_000_000 * number + i
                jobs.append(Job(task, mode, scene, bool(rng.random() < _SHIFT_SHARE), size))
    return jobs


def generate(
    jobs: list[Job],
    folder: Path,
    *,
    workers: int = 0,
    minutes: float = 1e4,
    on_progress: Callable[[str, float], None] | None = None,
) -> int:
    """Play the jobs and write their episodes.

    :param workers: processes; 0 for one per core, 1 for none beside this one.
    :param minutes: stop after this time with what there is.
    :returns: number of episodes written.
    """
    began, count = time.monotonic(), 0
    with EpisodeWriter(folder) as writer:
        for episode in _played(jobs, workers or os.cpu_count() or 1):
            if episode is not None:
                writer.add(episode)
            count += 1
            share = max(count / len(jobs), (time.monotonic() - began) / (60.0 * minutes))
            if on_progress:
                on_progress("generate", min(1.0, share))
            if share >= 1.0:
                break
    return count


def _played(jobs: list[Job], workers: int) -> Iterator[TrainingEpisode | None]:
    if workers == 1:
        yield from map(play, jobs)
        return
    context = multiprocessing.get_context("fork")  # before any GL context or GPU is touched
    with context.Pool(workers) as pool:
        yield from pool.imap_unordered(play, jobs, chunksize=_CHUNK)


_cells: dict[str, Any] = {}


def _cell(task: str) -> tuple[Any, tuple[str, ...]]:
    """The process's cell of a task and its places; one cell at a time."""
    from dopamine_sim.cell import Cell
    from dopamine_sim.world import build_world

    if task not in _cells:
        for cell, _ in _cells.values():
            cell.close()
        _cells.clear()
        world = build_world().compile()
        base = frozenset(world.body(i).name for i in range(world.nbody))
        cell = Cell(task)
        _cells[task] = cell, places_of(cell.scene.model, base)
    return _cells[task]


def play(job: Job) -> TrainingEpisode | None:
    """Play one job in this process; None when an expert fails (no demonstration) or the physics blew up."""
    from dopamine_sim.rollout import generate_episode

    cell, places = _cell(job.task)
    rows: list[NDArray[np.float32]] = []
    episode = generate_episode(
        job.task,
        job.seed,
        job.mode,
        shift=job.shift,
        image_size=CAMERA_SIZE,
        cell=cell,
        observe=lambda seen: rows.append(geometry_of(seen.scene, places)),
    )
    broken = any(warning.number for warning in cell.scene.data.warning)  # reset by every episode
    if broken or (job.mode == "expert" and not episode.succeeded):
        return None
    return to_training(episode, cell.task.stages, np.stack(rows), job.size)


def to_training(
    episode: Any, stages: int, geometry: NDArray[np.float32], size: tuple[int, int]
) -> TrainingEpisode:
    """Take what training needs of a simulated episode.

    An expert is labelled by its keyframe states, as a demonstration is; what fails, by the simulator's progress. Both
    give every stage an equal share.
    """
    truth = episode.progress.astype(np.float32)
    label = (
        expert_label(episode.stage, episode.success, stages) if episode.mode == "expert" else truth
    )
    frames = np.stack([shrink(episode.front, size), shrink(episode.wrist, size)], axis=1)
    return TrainingEpisode(
        task=episode.task,
        mode=episode.mode,
        seed=episode.seed,
        frames=frames,
        label=label,
        truth=truth,
        done=episode.success.astype(np.bool_),
        geometry=geometry,
        keyframes=tuple(episode.keyframes),
    )


def expert_label(
    stage: NDArray[np.int64], success: NDArray[np.bool_], stages: int
) -> NDArray[np.float32]:
    """Keyframe states of an expert (Eq. 1): equal shares between the first moments of the stages and of success.

    :param stage: (T,) stage 0 ... K - 1 of each moment.
    :param success: (T,) at least one true.
    :returns: (T,) rising to 1 at the first success, 1 from there on.
    """
    highest = np.maximum.accumulate(stage)
    done = max(int(np.argmax(success)), 1)
    shares = {int(np.argmax(highest >= j)): j / stages for j in range(int(highest.max()) + 1)}
    knots = (
        {0: 0.0} | {mark: share for mark, share in shares.items() if 0 < mark < done} | {done: 1.0}
    )
    curve = np.interp(np.arange(len(stage)), sorted(knots), [knots[mark] for mark in sorted(knots)])
    return curve.astype(np.float32)


def shrink(frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) through the JPEG of the stream, at the encoder's size: (T, h, w, 3)."""
    return np.stack([decode(encode(frame, 1), size) for frame in frames])
