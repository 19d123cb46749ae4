"""Picking things up: what lift, pick_place, stack, sort_bin and ring_on_post have in common."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import CLOSED, OPEN, Phase, Task, Vector, above, carry_to, nearness

HOVER_M = 0.045
LIFT_M = 0.06
_PICK_AXES = ("x", "y", "z", "gripper")


class PickTask(Task):
    """Stages 0 and 1 of any task that begins with picking a body up: reach it, raise it."""

    axes = _PICK_AXES
    body = "thing"
    grip_at: tuple[float, float, float] = (0.0, 0.0, 0.0)  # where to hold it, in the body's frame

    @abstractmethod
    def carried_stage(self, scene: Scene) -> tuple[int, float]:
        """Stage 2 ... K-1 once the body is off the table or at its goal."""

    def at_goal(self, scene: Scene) -> bool:
        """Whether the body is where it belongs, held or not."""
        return False

    def begin(self, scene: Scene) -> None:
        """Remember the distances from which progress is measured."""
        self.start_m = float(np.linalg.norm(self.grip(scene) - scene.tcp()))
        self.rest_height_m = float(scene.position(self.body)[2])

    def grip(self, scene: Scene) -> Vector:
        """Where the tcp must be to grasp the body."""
        return scene.point(self.body, self.grip_at)

    def raised(self, scene: Scene) -> float:
        """How far the body is above its first height, metres."""
        return float(scene.position(self.body)[2]) - self.rest_height_m

    def stage(self, scene: Scene) -> tuple[int, float]:
        """Reach the body (0), raise it (1), then the task's own stages."""
        if self.at_goal(scene):
            return self.carried_stage(scene)
        if not scene.grasped(self.body):
            left = float(np.linalg.norm(self.grip(scene) - scene.tcp()))
            return 0, nearness(left, self.start_m)
        if self.raised(scene) < 0.6 * LIFT_M and not self.over_goal(scene):
            return 1, self.raised(scene) / (0.6 * LIFT_M)
        return self.carried_stage(scene)

    def over_goal(self, scene: Scene) -> bool:
        """Whether a low body is already being set down."""
        return False

    def pick_phases(self, rng: np.random.Generator, raise_m: float = LIFT_M) -> tuple[Phase, ...]:
        """Go above, down, close, raise."""
        hover = float(rng.uniform(0.8, 1.2)) * HOVER_M
        return (
            Phase("above", lambda s: above(self.grip(s), hover), OPEN, 0.012),
            Phase("down", self.grip, OPEN, 0.006, precise=True),
            Phase("close", _Remembered(0.0), CLOSED, 0.05, dwell=3),
            Phase("raise", _Remembered(raise_m), CLOSED, 0.012, carry=True),
        )


class PlaceTask(PickTask):
    """Pick a body up and set it down somewhere: four stages, reach, raise, carry over, set down and let go."""

    stages = 4
    rim_m = 0.03  # how far aside the body may be and still count as over its goal
    rest_m = 0.006  # how far from its goal's height it may rest
    lower_to_m = 0.004  # height over the goal at which a person lets go
    transport_m = LIFT_M  # height over the goal at which it is carried

    @abstractmethod
    def goal(self, scene: Scene) -> Vector:
        """Where the body's origin belongs."""

    def begin(self, scene: Scene) -> None:
        """Also remember the way to the goal."""
        super().begin(scene)
        self.way_m = self.aside(scene)

    def aside(self, scene: Scene) -> float:
        """Horizontal distance of the body from its goal, metres."""
        return float(np.linalg.norm((self.goal(scene) - scene.position(self.body))[:2]))

    def height(self, scene: Scene) -> float:
        """Height of the body over its goal, metres."""
        return float(scene.position(self.body)[2] - self.goal(scene)[2])

    def over_goal(self, scene: Scene) -> bool:
        """Close enough sideways to be set down."""
        return self.aside(scene) < self.rim_m

    def at_goal(self, scene: Scene) -> bool:
        """At its goal or just above it, held or not."""
        return self.over_goal(scene) and self.height(scene) < 2 * self.rest_m

    def success(self, scene: Scene) -> bool:
        """The body rests at its goal and nobody holds it."""
        resting = self.over_goal(scene) and abs(self.height(scene)) < self.rest_m
        return resting and scene.fingers_touching(self.body) == 0 and scene.speed(self.body) < 0.05

    def carried_stage(self, scene: Scene) -> tuple[int, float]:
        """Carry it over the goal (2), set it down and let go (3)."""
        if not self.over_goal(scene):
            return 2, nearness(self.aside(scene), self.way_m)
        return 3, 0.9 * nearness(self.height(scene), self.transport_m)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Pick, carry, place."""
        return (*self.pick_phases(rng), *self.place_phases())

    def carry_phase(self, name: str, height: float, **options: object) -> Phase:
        """Bring the body above its goal."""
        hold = self.grip_at
        target = carry_to(self.body, lambda s: above(self.goal(s), height), hold)
        return Phase(name, target, CLOSED, **{"tolerance_m": 0.008, "carry": True, **options})

    def place_phases(self) -> tuple[Phase, ...]:
        """Carry over the goal, lower, let go, leave."""
        return (
            self.carry_phase("carry", self.transport_m, tolerance_m=0.010),
            self.carry_phase("lower", self.lower_to_m, tolerance_m=0.006, precise=True, carry=False),
            Phase("open", _Remembered(0.0), OPEN, 0.05, dwell=2),
            Phase("leave", _Remembered(LIFT_M), OPEN, 0.015),
        )


class _Remembered:
    """A point above where the tcp was when first asked."""

    def __init__(self, height: float) -> None:
        self._height = height
        self._point: Vector | None = None

    def __call__(self, scene: Scene) -> Vector:
        if self._point is None:
            self._point = above(scene.tcp(), self._height)
        return self._point
