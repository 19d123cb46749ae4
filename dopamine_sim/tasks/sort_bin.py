"""sort_bin: drop the can into the bin."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import colour, near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import TaskInfo, Vector
from dopamine_sim.tasks.blocks import PlaceTask
from dopamine_sim.tasks.shapes import CYLINDER, fixed_body, free_body, solid

CAN_RADIUS_M, CAN_HALF_M = 0.018, 0.028
BIN_HALF_M, WALL_M, WALL_HALF_HEIGHT_M = 0.045, 0.003, 0.018
FLOOR_M = 0.003


class SortBin(PlaceTask):
    """Put the can into the bin."""

    info = TaskInfo(
        name="sort_bin",
        sentence="put the can into the bin",
        axes=PlaceTask.axes,
        shift="the can stands 15 mm higher, on a pedestal",
        max_decisions=90,
        start_low=(0.42, -0.04, 0.15),
        start_high=(0.48, 0.04, 0.19),
    )
    body = "can"
    grip_at = (0.0, 0.0, 0.010)
    rim_m = BIN_HALF_M - CAN_RADIUS_M
    rest_m = 0.012
    lower_to_m = 0.022
    transport_m = 0.07

    def build(self, spec: mujoco.MjSpec) -> None:
        """A can, an open bin and a pedestal that shows up with the shift."""
        can = free_body(spec, "can")
        solid(can, "can", (CAN_RADIUS_M, CAN_HALF_M), kind=CYLINDER, mass=0.06)
        bin_ = fixed_body(spec, "bin")
        solid(bin_, "bin_floor", (BIN_HALF_M, BIN_HALF_M, FLOOR_M / 2), pos=(0, 0, FLOOR_M / 2))
        for index, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            size = (WALL_M, BIN_HALF_M, WALL_HALF_HEIGHT_M) if x else (BIN_HALF_M, WALL_M, WALL_HALF_HEIGHT_M)
            solid(bin_, f"bin_{index}", size, pos=(x * BIN_HALF_M, y * BIN_HALF_M, WALL_HALF_HEIGHT_M))
        solid(fixed_body(spec, "pedestal"), "pedestal", (0.03, 0.03, 0.0075))

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw places and colours; can on one side, bin on the other."""
        side = 1.0 if rng.random() < 0.5 else -1.0
        can = rng.uniform((0.40, 0.05), (0.50, 0.10)) * (1, side)
        bin_ = rng.uniform((0.40, 0.05), (0.50, 0.10)) * (1, -side)
        height = 0.015 if shift else 0.0
        scene.place("can", np.array([*can, CAN_HALF_M + height + 1e-3]))
        scene.place("pedestal", np.array([*can, 0.0075 if shift else -0.2]))
        scene.place("bin", np.array([*bin_, 0.0]))
        scene.paint("can", near_hue(scene.colours, scene.colours.random(), 0.5))
        shade = colour(scene.colours, saturation=(0.1, 0.7), value=(0.3, 0.9))
        scene.paint(tuple(f"bin_{i}" for i in range(4)), shade)
        scene.paint("bin_floor", 0.5 * shade)
        scene.paint("pedestal", (0.5, 0.5, 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self.begin(scene)

    def goal(self, scene: Scene) -> Vector:
        """Can's centre when it stands in the bin."""
        return scene.point("bin", (0, 0, FLOOR_M + CAN_HALF_M))

    def success(self, scene: Scene) -> bool:
        """The can is inside the walls, lying or standing, and nobody holds it."""
        inside = np.abs((scene.position("can") - scene.position("bin"))[:2]).max() < BIN_HALF_M
        low = scene.position("can")[2] < FLOOR_M + CAN_HALF_M + self.rest_m
        return bool(inside and low) and scene.fingers_touching("can") == 0
