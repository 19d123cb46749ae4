"""flip_lever: press a raised lever down until it tips to the other side."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import colour, near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import CLOSED, Phase, Task, TaskInfo, Vector, above, nearness
from dopamine_sim.tasks.shapes import CYLINDER, fixed_body, solid

ARM_HALF_M, ARM_THICKNESS_M, ARM_WIDTH_M = 0.055, 0.006, 0.016
PIVOT_M = 0.045
START_RAD, DONE_RAD = -0.5, 0.32
END_M = 0.045  # from the pivot to where it is pressed
FRICTION_NM = 0.12


class FlipLever(Task):
    """Push the lever down."""

    info = TaskInfo(
        name="flip_lever",
        sentence="push the lever down",
        axes=("x", "y", "z"),
        shift="the lever is three times as stiff",
        start_gripper=CLOSED,
        pace=0.8,
    )
    stages = 2  # above its raised end, push

    def build(self, spec: mujoco.MjSpec) -> None:
        """A stand and a lever that stays where it is put."""
        stand = fixed_body(spec, "stand")
        solid(stand, "stand_foot", (0.03, 0.035, 0.005), pos=(0, 0, 0.005))
        for index, side in enumerate((1, -1)):
            solid(stand, f"stand_{index}", (0.01, 0.004, 0.022), pos=(0, side * 0.024, 0.03))
        lever = stand.add_body(name="lever", pos=(0, 0, PIVOT_M))
        joint = lever.add_joint(name="lever", type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 1, 0))
        joint.range, joint.limited, joint.frictionloss = (START_RAD, -START_RAD), True, FRICTION_NM
        joint.damping[0] = 0.02
        solid(lever, "lever", (ARM_HALF_M, ARM_WIDTH_M, ARM_THICKNESS_M), mass=0.04)
        solid(lever, "lever_end", (0.012, ARM_WIDTH_M + 0.002, 0.002), pos=(END_M, 0, ARM_THICKNESS_M), mass=0.004)
        solid(stand, "axle", (0.005, 0.03), kind=CYLINDER, pos=(0, 0, PIVOT_M), quat=[0.707, 0.707, 0, 0])
        spec.add_exclude(bodyname1="stand", bodyname2="lever")

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw place, which way the raised end points, and colours."""
        spot = np.array([*rng.uniform((0.40, -0.14), (0.52, 0.14)), 0.0])
        turn = rng.uniform(-0.5, 0.5) + (np.pi / 2 if rng.random() < 0.5 else -np.pi / 2)
        scene.place("stand", spot, turn)
        scene.set_joint("lever", START_RAD)
        dof = scene.model.jnt_dofadr[scene.model.joint("lever").id]
        scene.model.dof_frictionloss[dof] = FRICTION_NM * (3.0 if shift else 1.0)
        scene.paint(
            ("stand_foot", "stand_0", "stand_1", "axle"), colour(scene.colours, saturation=(0.0, 0.4), value=(0.2, 0.8))
        )
        hue = scene.colours.random()
        scene.paint("lever", near_hue(scene.colours, hue, 0.06))
        scene.paint("lever_end", near_hue(scene.colours, hue + scene.colours.uniform(0.3, 0.7), 0.06))
        mujoco.mj_forward(scene.model, scene.data)
        self._start_m = float(np.linalg.norm(self._over(scene) - scene.tcp()))

    def success(self, scene: Scene) -> bool:
        """Tipped well past the horizontal."""
        return scene.joint("lever") > DONE_RAD

    def stage(self, scene: Scene) -> tuple[int, float]:
        """Come above the raised end, then push it down."""
        turned = (scene.joint("lever") - START_RAD) / (DONE_RAD - START_RAD)
        if turned > 0.04:
            return 1, turned
        return 0, nearness(float(np.linalg.norm(self._over(scene) - scene.tcp())), self._start_m)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Above the end, then follow it down."""
        return (
            Phase("above", self._over, CLOSED, 0.009, speed=0.9),
            Phase("push", lambda s: above(self._end(s), -0.014), CLOSED, 0.002, speed=0.5, precise=True),
        )

    def _end(self, scene: Scene) -> Vector:
        return scene.point("lever", (END_M, 0, ARM_THICKNESS_M + 0.002))

    def _over(self, scene: Scene) -> Vector:
        return above(self._end(scene), 0.03)
