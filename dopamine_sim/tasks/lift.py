"""lift: pick a cube up and hold it 7 cm above the table."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import Phase, TaskInfo
from dopamine_sim.tasks.blocks import LIFT_M, PickTask
from dopamine_sim.tasks.shapes import free_body, solid

CUBE_HALF_M = 0.02
RAISE_M = 0.085
DONE_M = 0.07


class Lift(PickTask):
    """Lift the cube."""

    info = TaskInfo(
        name="lift",
        sentence="lift the cube off the table",
        pace=0.85,
        axes=PickTask.axes,
        shift="the cube is 10 mm wider along the pads and stands turned by 0.2 rad",
    )
    stages = 3  # reach, grasp and raise, up
    body = "cube"

    def build(self, spec: mujoco.MjSpec) -> None:
        """One cube."""
        solid(free_body(spec, "cube"), "cube", (CUBE_HALF_M,) * 3, mass=0.06)

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw place and colour."""
        spot = np.array([*rng.uniform((0.37, -0.15), (0.55, 0.15)), CUBE_HALF_M])
        yaw = rng.uniform(-0.15, 0.15) + (0.2 if shift else 0.0)
        scene.place("cube", spot, yaw)
        scene.model.geom("cube").size[0] = CUBE_HALF_M + (0.005 if shift else 0.0)
        scene.paint("cube", near_hue(scene.colours, scene.colours.random(), 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self.begin(scene)

    def success(self, scene: Scene) -> bool:
        """Held at least 7 cm above its first height."""
        return self.raised(scene) > DONE_M and scene.grasped("cube")

    def carried_stage(self, scene: Scene) -> tuple[int, float]:
        """Raise it all the way."""
        low = 0.6 * LIFT_M
        return 2, (self.raised(scene) - low) / (DONE_M - low)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Pick it up and keep it up."""
        return self.pick_phases(rng, RAISE_M)
