"""What every task is: its description, its scene, its success test and how a person would do it.

Success, stage and progress are *privileged*: for reports and for training the reward model. Nothing that learns a
policy may read them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from dopamine_sim.scene import Scene

Vector = NDArray[np.float64]
Target = Callable[[Scene], Vector]
MODES = ("expert", "stops_early", "regresses", "missed_grasp", "drops", "wanders", "near_miss")
OPEN, CLOSED = 0.0, 1.0


@dataclass(frozen=True)
class TaskInfo:
    """Description of a task that anyone may read."""

    name: str
    sentence: str  # what the reward model is told
    axes: tuple[str, ...]  # action axes that matter, a subset of ``dopamine_core.types.ACTION_AXES``
    shift: str  # what the declared shift does
    max_decisions: int = 80  # at 10 Hz
    pace: float = 1.0  # how briskly a person does it
    start_gripper: float = OPEN  # 0 open ... 1 closed
    start_low: tuple[float, float, float] = (0.42, -0.04, 0.19)  # tcp at the start, m in base_link
    start_high: tuple[float, float, float] = (0.48, 0.04, 0.23)
    workspace_low: tuple[float, float, float] = (0.28, -0.26, 0.012)  # tcp box, m in base_link
    workspace_high: tuple[float, float, float] = (0.64, 0.26, 0.36)

    @property
    def uses_gripper(self) -> bool:
        """Whether a policy must open or close the gripper."""
        return "gripper" in self.axes


@dataclass(frozen=True)
class Phase:
    """One piece of a person's plan: bring the tcp somewhere with the gripper so."""

    name: str
    target: Target  # where the tcp should be, given what is seen now
    gripper: float  # 0 open ... 1 closed
    tolerance_m: float = 0.008
    speed: float = 1.0  # share of the device's full speed
    dwell: int = 0  # decisions to stay after arriving (fingers need time)
    precise: bool = False  # no overshoot, no bow, little noise
    carry: bool = False  # the object may be dropped here
    patience: int = 40  # decisions after which a person goes on anyway


class Task(ABC):
    """One task in one scene. Instances keep what an episode needs to measure progress (start distances)."""

    info: TaskInfo
    stages: int

    @abstractmethod
    def build(self, spec: mujoco.MjSpec) -> None:
        """Add the task's bodies to the cell."""

    @abstractmethod
    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Place and colour the objects for a new episode; the arm already is at its start."""

    @abstractmethod
    def stage(self, scene: Scene) -> tuple[int, float]:
        """Stage 0 ... K-1 and the share of it that is done, in [0, 1]; a function of the state alone."""

    @abstractmethod
    def success(self, scene: Scene) -> bool:
        """Whether the task is done."""

    @abstractmethod
    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """How a person would do it from here."""

    def command(self, scene: Scene, gripper: float) -> None:  # noqa: B027 most tasks need nothing here
        """Hear the gripper command (0 open ... 1 closed) before every control period."""

    def progress(self, scene: Scene) -> float:
        """Privileged progress in [0, 1]: K stages of equal share, linear in distance inside a stage; 1 at success."""
        if self.success(scene):
            return 1.0
        stage, share = self.stage(scene)
        return min((stage + float(np.clip(share, 0.0, 1.0))) / self.stages, 1.0)


def nearness(distance: float, start: float) -> float:
    """Share of the way done when ``distance`` of ``start`` metres is left."""
    return float(np.clip(1.0 - distance / max(start, 1e-3), 0.0, 1.0))


def above(point: Vector, height: float) -> Vector:
    """The point ``height`` metres higher."""
    return point + np.array([0.0, 0.0, height])


def carry_to(body: str, point: Target, hold: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Target:
    """Where the tcp must be for a carried body's origin to be at a point.

    :param body: the body; its true offset from the tcp is used while both fingers touch it.
    :param point: where its origin should be.
    :param hold: tcp minus body origin in a nominal grasp: what a person goes by who lost it and did not notice.
    """

    def target(scene: Scene) -> Vector:
        held = scene.grasped(body)
        offset = scene.tcp() - scene.position(body) if held else np.array(hold)
        return point(scene) + offset

    return target
