"""push: shove a brick with closed fingers onto the mark; pull: drag a cart by its post, the other way."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import CLOSED, Phase, Target, Task, TaskInfo, Vector, above, nearness
from dopamine_sim.tasks.shapes import CYLINDER, fixed_body, free_body, ghost, solid

BRICK_HALF_M = (0.020, 0.028, 0.020)
MARK_RADIUS_M = 0.034
BEHIND_M = 0.05
HEIGHT_M = 0.022  # of the tcp while pushing
DONE_M = 0.018
FRICTION = 0.35  # against table and fingers


class Push(Task):
    """Push the brick forward onto the mark."""

    info = TaskInfo(
        name="push",
        sentence="push the brick onto the mark",
        axes=("x", "y", "z"),
        shift="the brick rubs twice as hard and the mark lies 15 mm farther",
        start_gripper=CLOSED,
        start_low=(0.36, -0.04, 0.14),
        start_high=(0.40, 0.04, 0.18),
    )
    stages = 2  # get behind, push
    heading_rad = 0.0  # away from the base
    near_low, near_high = (0.40, -0.12), (0.45, 0.12)
    behind_m, height_m = BEHIND_M, HEIGHT_M

    def build(self, spec: mujoco.MjSpec) -> None:
        """A brick and a mark on the table."""
        brick = free_body(spec, "brick")
        solid(brick, "brick", BRICK_HALF_M, mass=0.08, priority=1)
        ghost(fixed_body(spec, "mark"), "mark", (MARK_RADIUS_M, 0.0008), kind=CYLINDER)

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw places and colours; the mark lies 8 to 12 cm farther along the heading."""
        brick = rng.uniform(self.near_low, self.near_high)
        angle = self.heading_rad + rng.uniform(-0.4, 0.4)
        way = rng.uniform(0.08, 0.12) + (0.015 if shift else 0.0)
        mark = brick + way * np.array([np.cos(angle), np.sin(angle)])
        scene.place("brick", np.array([*brick, BRICK_HALF_M[2]]), angle)
        scene.model.geom("brick").friction[0] = (2.0 if shift else 1.0) * FRICTION
        scene.place("mark", np.array([*mark, 0.0008]))
        hue = scene.colours.random()
        scene.paint("brick", near_hue(scene.colours, hue, 0.06))
        scene.paint("mark", near_hue(scene.colours, hue + scene.colours.uniform(0.3, 0.7), 0.06))
        mujoco.mj_forward(scene.model, scene.data)
        self._way_m = self._left(scene)
        self._start_m = float(np.linalg.norm(self._behind(scene) - scene.tcp()))

    def success(self, scene: Scene) -> bool:
        """The brick's middle is within 18 mm of the mark's."""
        return self._left(scene) < DONE_M

    def stage(self, scene: Scene) -> tuple[int, float]:
        """Get behind the brick, then push it."""
        moved = 1.0 - (self._left(scene) - DONE_M) / (self._way_m - DONE_M)
        if moved > 0.05:
            return 1, moved
        return 0, nearness(float(np.linalg.norm(self._behind(scene) - scene.tcp())), self._start_m)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Above the near side, down, push."""
        return (
            Phase("above", lambda s: above(self._behind(s), 0.05), CLOSED, 0.012, speed=0.9),
            Phase("down", self._behind, CLOSED, 0.008, speed=0.8, precise=True),
            Phase("push", self._push_line(), CLOSED, 0.004, speed=0.65, precise=True, patience=45),
        )

    def _direction(self, scene: Scene) -> Vector:
        way = (scene.position("mark") - scene.position("brick")) * (1, 1, 0)
        return way / max(float(np.linalg.norm(way)), 1e-6)

    def _behind(self, scene: Scene) -> Vector:
        spot = scene.position("brick") - self.behind_m * self._direction(scene)
        return np.array([spot[0], spot[1], self.height_m])

    def _push_line(self) -> Target:
        """On along the line from the brick to the mark, as it was when the push began, until the brick is there."""
        lines: list[tuple[Vector, Vector]] = []

        def target(scene: Scene) -> Vector:
            if not lines:
                lines.append((scene.position("mark"), self._direction(scene)))
            mark, direction = lines[0]
            left = float((mark - scene.position("brick")) @ direction)
            along = float((scene.tcp() - mark) @ direction)
            spot = mark + (along + min(0.03, max(left, 0.0))) * direction
            return np.array([spot[0], spot[1], self.height_m])

        return target

    def _left(self, scene: Scene) -> float:
        return float(np.linalg.norm((scene.position("mark") - scene.position("brick"))[:2]))


class Pull(Push):
    """Pull the cart towards the base, fingers behind its post."""

    info = TaskInfo(
        name="pull",
        sentence="pull the cart back onto the mark",
        axes=("x", "y", "z"),
        shift="the cart rubs twice as hard and the mark lies 15 mm farther",
        start_gripper=CLOSED,
        start_low=(0.46, -0.04, 0.15),
        start_high=(0.50, 0.04, 0.19),
    )
    heading_rad = np.pi
    near_low, near_high = (0.49, -0.10), (0.54, 0.10)
    behind_m, height_m = 0.032, 0.040

    def build(self, spec: mujoco.MjSpec) -> None:
        """A low cart with a post, and a mark on the table."""
        cart = free_body(spec, "brick")
        low = -BRICK_HALF_M[2]
        solid(cart, "brick", (0.034, 0.034, 0.008), pos=(0, 0, low + 0.008), mass=0.10, priority=1)
        solid(cart, "post", (0.011, 0.030), kind=CYLINDER, pos=(0, 0, low + 0.046), mass=0.02)
        ghost(fixed_body(spec, "mark"), "mark", (0.05, 0.05, 0.0008))
