"""stack: put the small cube on the large one."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import TaskInfo, Vector
from dopamine_sim.tasks.blocks import PlaceTask
from dopamine_sim.tasks.shapes import fixed_body, free_body, solid

SMALL_HALF_M, LARGE_HALF_M = 0.019, 0.026


class Stack(PlaceTask):
    """Stack the cubes."""

    info = TaskInfo(
        name="stack",
        sentence="stack the small cube on the large cube",
        axes=PlaceTask.axes,
        shift="the small cube stands turned by 0.25 rad and 15 mm higher, on a pedestal",
        max_decisions=90,
        start_low=(0.42, -0.04, 0.14),
        start_high=(0.48, 0.04, 0.18),
    )
    body = "small"
    rim_m = 0.017
    transport_m = 0.05

    def build(self, spec: mujoco.MjSpec) -> None:
        """Two cubes and a pedestal that shows up with the shift."""
        solid(free_body(spec, "small"), "small", (SMALL_HALF_M,) * 3, mass=0.05)
        solid(free_body(spec, "large"), "large", (LARGE_HALF_M,) * 3, mass=0.15)
        solid(fixed_body(spec, "pedestal"), "pedestal", (0.028, 0.028, 0.0075))

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw places and colours; one cube on each side."""
        side = 1.0 if rng.random() < 0.5 else -1.0
        small = rng.uniform((0.40, 0.04), (0.52, 0.09)) * (1, side)
        large = rng.uniform((0.40, 0.04), (0.52, 0.09)) * (1, -side)
        height = 0.015 if shift else 0.0
        yaw = rng.uniform(-0.15, 0.15) + (0.25 if shift else 0.0)
        scene.place("small", np.array([*small, SMALL_HALF_M + height + 1e-3]), yaw)
        scene.place("large", np.array([*large, LARGE_HALF_M]), rng.uniform(-0.4, 0.4))
        scene.place("pedestal", np.array([*small, 0.0075 if shift else -0.2]))
        hue = scene.colours.random()
        scene.paint("small", near_hue(scene.colours, hue, 0.06))
        scene.paint("large", near_hue(scene.colours, hue + scene.colours.uniform(0.3, 0.7), 0.06))
        scene.paint("pedestal", (0.5, 0.5, 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self.begin(scene)

    def goal(self, scene: Scene) -> Vector:
        """Small cube's centre on top of the large one."""
        return scene.point("large", (0, 0, LARGE_HALF_M + SMALL_HALF_M))
