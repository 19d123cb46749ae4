"""press_button: press a sprung button down with closed fingers."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import colour, near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import CLOSED, Phase, Task, TaskInfo, Vector, above, nearness
from dopamine_sim.tasks.shapes import CYLINDER, fixed_body, solid

HOUSING_HALF_M = 0.02
CAP_RADIUS_M, CAP_HALF_M = 0.022, 0.012
TRAVEL_M = 0.016
DONE_M = 0.012
SPRING_N_M = 300.0
CAP_HEIGHT_M = 2 * HOUSING_HALF_M + CAP_HALF_M - 0.004


class PressButton(Task):
    """Press the button."""

    info = TaskInfo(
        name="press_button",
        sentence="press the button",
        pace=0.7,
        axes=("x", "y", "z"),
        shift="the spring is twice as stiff",
        start_gripper=CLOSED,
    )
    stages = 2  # above it, press

    def build(self, spec: mujoco.MjSpec) -> None:
        """A housing and a cap on a spring."""
        housing = fixed_body(spec, "housing")
        solid(housing, "housing", (0.04, 0.04, HOUSING_HALF_M), pos=(0, 0, HOUSING_HALF_M))
        cap = housing.add_body(name="cap", pos=(0, 0, CAP_HEIGHT_M))
        joint = cap.add_joint(name="cap", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, 0, -1))
        joint.range, joint.limited, joint.springref = (0.0, TRAVEL_M), True, -0.004
        joint.damping[0], joint.stiffness[0] = 3.0, SPRING_N_M
        solid(cap, "cap", (CAP_RADIUS_M, CAP_HALF_M), kind=CYLINDER, mass=0.03)
        spec.add_exclude(bodyname1="housing", bodyname2="cap")

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw place, yaw and colours."""
        spot = rng.uniform((0.38, -0.16), (0.54, 0.16))
        scene.place("housing", np.array([*spot, 0.0]), rng.uniform(-0.6, 0.6))
        scene.set_joint("cap", 0.0)
        scene.model.jnt_stiffness[scene.model.joint("cap").id] = (2.0 if shift else 1.0) * SPRING_N_M
        scene.paint("housing", colour(scene.colours, saturation=(0.0, 0.4), value=(0.25, 0.9)))
        scene.paint("cap", near_hue(scene.colours, scene.colours.random(), 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self._start_m = float(np.linalg.norm(self._over(scene) - scene.tcp()))

    def success(self, scene: Scene) -> bool:
        """Pressed at least 12 of 16 mm."""
        return scene.joint("cap") >= DONE_M

    def stage(self, scene: Scene) -> tuple[int, float]:
        """Come above the cap, then go down and press."""
        way = scene.tcp() - self._top(scene)
        if float(np.linalg.norm(way[:2])) < 0.018 and way[2] < 0.035:
            down = 0.035 - float(way[2]) + scene.joint("cap")
            return 1, down / (0.035 + DONE_M)
        return 0, nearness(float(np.linalg.norm(self._over(scene) - scene.tcp())), self._start_m)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Above, down, press."""
        return (
            Phase("above", self._over, CLOSED, 0.010, speed=0.8),
            Phase("press", lambda s: above(self._rest(s), -0.026), CLOSED, 0.006, speed=0.4, precise=True),
        )

    def _rest(self, scene: Scene) -> Vector:
        return scene.point("housing", (0, 0, CAP_HEIGHT_M + CAP_HALF_M))

    def _top(self, scene: Scene) -> Vector:
        return scene.point("cap", (0, 0, CAP_HALF_M))

    def _over(self, scene: Scene) -> Vector:
        return above(self._rest(scene), 0.04)
