"""reach: bring the closed fingertips to a coloured ball on a stand."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import colour, near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import CLOSED, Phase, Task, TaskInfo, Vector, nearness
from dopamine_sim.tasks.shapes import CYLINDER, SPHERE, fixed_body, ghost

BALL_RADIUS_M = 0.018
TOUCH_M = 0.012  # tcp to the ball's top


class Reach(Task):
    """Touch the ball from above."""

    info = TaskInfo(
        name="reach",
        sentence="touch the ball with the gripper",
        pace=0.7,
        axes=("x", "y", "z"),
        shift="the ball stands 10 mm higher",
        start_gripper=CLOSED,
    )
    stages = 2  # come near, touch

    def build(self, spec: mujoco.MjSpec) -> None:
        """A ball on a thin stand; neither pushes back."""
        stand = fixed_body(spec, "ball")
        ghost(stand, "ball", (BALL_RADIUS_M,), kind=SPHERE)
        ghost(stand, "post", (0.006, 0.1), pos=(0, 0, -0.1 - 0.5 * BALL_RADIUS_M), kind=CYLINDER)

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw place, height and colour."""
        low = (0.36, -0.18, 0.05)
        spot = rng.uniform(low, (0.56, 0.18, 0.14)) + (np.array([0, 0, 0.01]) if shift else 0.0)
        scene.place("ball", spot)
        scene.paint("ball", near_hue(scene.colours, scene.colours.random(), 0.5))
        scene.paint("post", colour(scene.colours, saturation=(0.0, 0.3), value=(0.2, 0.6)))
        mujoco.mj_forward(scene.model, scene.data)
        self._start_m = self._distance(scene)

    def success(self, scene: Scene) -> bool:
        """The tcp is at the ball's top."""
        return self._distance(scene) < TOUCH_M

    def stage(self, scene: Scene) -> tuple[int, float]:
        """Come within 5 cm, then touch."""
        left = self._distance(scene)
        near = min(0.05, 0.5 * self._start_m)
        if left > near:
            return 0, nearness(left - near, self._start_m - near)
        return 1, nearness(left - TOUCH_M, near - TOUCH_M)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Go above, then down to it."""
        height = np.array([0.0, 0.0, rng.uniform(0.035, 0.06)])
        return (
            Phase("above", lambda s: self._top(s) + height, CLOSED, 0.012, speed=0.8),
            Phase("touch", self._top, CLOSED, 0.007, speed=0.45, precise=True, dwell=2),
        )

    def _top(self, scene: Scene) -> Vector:
        return scene.point("ball", (0, 0, BALL_RADIUS_M))

    def _distance(self, scene: Scene) -> float:
        return float(np.linalg.norm(self._top(scene) - scene.tcp()))
