"""pick_place: put the cube on the coloured plate."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import TaskInfo, Vector
from dopamine_sim.tasks.blocks import PlaceTask
from dopamine_sim.tasks.shapes import CYLINDER, fixed_body, free_body, solid

CUBE_HALF_M = 0.02
PLATE_RADIUS_M = 0.045
PLATE_HALF_M = 0.004


class PickPlace(PlaceTask):
    """Put the cube on the plate."""

    info = TaskInfo(
        name="pick_place",
        sentence="put the cube on the plate",
        axes=PlaceTask.axes,
        shift="the cube stands turned by 0.25 rad and 15 mm higher, on a pedestal",
        max_decisions=90,
        start_low=(0.42, -0.04, 0.14),
        start_high=(0.48, 0.04, 0.18),
    )
    body = "cube"
    rim_m = PLATE_RADIUS_M - 0.010

    def build(self, spec: mujoco.MjSpec) -> None:
        """A cube, a plate and a pedestal that shows up with the shift."""
        solid(free_body(spec, "cube"), "cube", (CUBE_HALF_M,) * 3, mass=0.06)
        plate = fixed_body(spec, "plate")
        solid(plate, "plate", (PLATE_RADIUS_M, PLATE_HALF_M), kind=CYLINDER)
        solid(fixed_body(spec, "pedestal"), "pedestal", (0.03, 0.03, 0.0075))

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw places and colours; cube on one side, plate on the other."""
        side = 1.0 if rng.random() < 0.5 else -1.0
        cube = rng.uniform((0.40, 0.05), (0.52, 0.10)) * (1, side)
        plate = rng.uniform((0.40, 0.04), (0.52, 0.10)) * (1, -side)
        height = 0.015 if shift else 0.0
        yaw = rng.uniform(-0.15, 0.15) + (0.25 if shift else 0.0)
        scene.place("cube", np.array([*cube, CUBE_HALF_M + height + 1e-3]), yaw)
        scene.place("pedestal", np.array([*cube, 0.0075 if shift else -0.2]))
        scene.place("plate", np.array([*plate, PLATE_HALF_M]))
        hue = scene.colours.random()
        scene.paint("cube", near_hue(scene.colours, hue, 0.06))
        scene.paint("plate", near_hue(scene.colours, hue + scene.colours.uniform(0.3, 0.7), 0.06))
        scene.paint("pedestal", (0.5, 0.5, 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self.begin(scene)

    def goal(self, scene: Scene) -> Vector:
        """Cube's centre when it stands on the plate."""
        return scene.point("plate", (0, 0, PLATE_HALF_M + CUBE_HALF_M))
