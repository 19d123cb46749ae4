"""Task, mode and seed come in; an episode goes out as the stream would show it: 640x480 cameras, JPEG, decision rate.

Used by the nano GRM's benchmarks. Played episodes can be kept in a folder, so that a run goes on where it was ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.episodes.keyframes import find_keyframes
from dopamine_core.frames.codec import encode
from dopamine_core.reward.session import References
from dopamine_core.types import EncodedImage, FramePair
from dopamine_sim.cell import Cell
from dopamine_sim.config import CellConfig
from dopamine_sim.rollout import DECISION_NS, generate_episode

CAMERA_SIZE = (640, 480)
Probe = Callable[[Cell], NDArray[np.float64]]


@dataclass(frozen=True)
class Scene:
    """Which episode to play."""

    task: str
    mode: str
    seed: int
    shift: bool = False
    room: int = -1  # look seed; -1: a new room with every scene

    @property
    def name(self) -> str:
        """Unique among scenes; a file name."""
        return f"{self.task}-{self.mode}-{self.seed}-{int(self.shift)}-{self.room}"


@dataclass(frozen=True)
class Played:
    """An episode as the reward model sees it, and the simulator's truth about it."""

    scene: Scene
    sentence: str
    pairs: tuple[FramePair, ...]  # T
    actions: NDArray[np.float64]  # (T, 7), the last row unknown
    truth: NDArray[np.float64]  # (T,) progress
    done: NDArray[np.bool_]  # (T,)
    places: NDArray[np.float64]  # (T, P) what a probe measured, m; P is 0 without one

    @property
    def expert(self) -> bool:
        """Whether it can serve as a demonstration."""
        return self.scene.mode == "expert" and bool(self.done[-1])

    def references(self) -> References:
        """Its start and goal, for scoring other episodes."""
        return References(self.sentence, self.pairs[-1:], self.pairs[0])

    def demonstration(self) -> Demonstration:
        """What the demo node would hand to adaptation: keyframes found as there."""
        stamps = [pair.stamp_ns for pair in self.pairs]
        gripper = np.append(self.actions[:-1, 6], self.actions[-2, 6])
        marks = find_keyframes(stamps, self.actions)
        return Demonstration(self.sentence, self.pairs, marks, gripper, self.scene.name)


class Player:
    """Plays scenes; keeps one cell at a time.

    :param folder: where played episodes are kept; None keeps none.
    :param probe: measures something at every decision.
    """

    def __init__(self, folder: Path | None = None, probe: Probe | None = None) -> None:
        self._folder, self._probe = folder, probe
        self._cell: tuple[tuple[str, int], Cell] | None = None

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        if self._cell is not None:
            self._cell[1].close()

    def play(self, scene: Scene) -> Played:
        """Play a scene, or read it when it has been played before."""
        path = None if self._folder is None else self._folder / f"{scene.name}.npz"
        if path is not None and path.exists():
            return _read(scene, path)
        played = self._play(scene)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(played, path)
        return played

    def experts(self, task: str, first_seed: int, count: int, **how: object) -> list[Played]:
        """Successful demonstrations, from the first seeds that give some."""
        found: list[Played] = []
        seed = first_seed
        while len(found) < count:
            played = self.play(Scene(task, "expert", seed, **how))  # type: ignore[arg-type]
            found += [played] if played.expert else []
            seed += 1
        return found

    def _play(self, scene: Scene) -> Played:
        cell = self._cell_of(scene.task, scene.room)
        measured: list[NDArray[np.float64]] = []
        probe = self._probe or (lambda _: np.zeros(0))
        episode = generate_episode(
            scene.task,
            scene.seed,
            scene.mode,
            shift=scene.shift,
            image_size=CAMERA_SIZE,
            cell=cell,
            observe=lambda seen: measured.append(probe(seen)),
        )
        stamps = [(k + 1) * DECISION_NS for k in range(len(episode.front))]
        shown = zip(episode.front, episode.wrist, stamps, strict=True)
        return Played(
            scene=scene,
            sentence=episode.sentence,
            pairs=tuple(FramePair(encode(front, t), encode(wrist, t)) for front, wrist, t in shown),
            actions=np.vstack([episode.actions, np.full((1, 7), np.nan)]),
            truth=episode.progress.astype(np.float64),
            done=episode.success.astype(np.bool_),
            places=np.array(measured),
        )

    def _cell_of(self, task: str, room: int) -> Cell:
        if self._cell is None or self._cell[0] != (task, room):
            if self._cell is not None:
                self._cell[1].close()
            self._cell = (task, room), Cell(task, config=CellConfig(look_seed=room))
        return self._cell[1]


def _write(played: Played, path: Path) -> None:
    images = [image for pair in played.pairs for image in (pair.front, pair.wrist)]
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            sentence=np.array(played.sentence),
            bytes=np.frombuffer(b"".join(image.data for image in images), np.uint8),
            sizes=np.array([len(image.data) for image in images]),
            actions=played.actions,
            truth=played.truth,
            done=played.done,
            places=played.places,
        )
    part.replace(path)


def _read(scene: Scene, path: Path) -> Played:
    with np.load(path) as data:
        content, ends = data["bytes"].tobytes(), np.cumsum(data["sizes"])
        starts = ends - data["sizes"]
        images = [
            EncodedImage((k // 2 + 1) * DECISION_NS, "jpeg", content[a:b], *CAMERA_SIZE)
            for k, (a, b) in enumerate(zip(starts, ends, strict=True))
        ]
        return Played(
            scene=scene,
            sentence=str(data["sentence"]),
            pairs=tuple(FramePair(*images[k : k + 2]) for k in range(0, len(images), 2)),
            actions=data["actions"],
            truth=data["truth"],
            done=data["done"],
            places=data["places"],
        )
