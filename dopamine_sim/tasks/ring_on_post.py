"""ring_on_post: hang the ring over the post."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import colour, near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import TaskInfo, Vector
from dopamine_sim.tasks.blocks import PlaceTask
from dopamine_sim.tasks.shapes import CYLINDER, fixed_body, free_body, solid

# The inner finger of the open gripper must fit into the ring.
RING_HALF_M, BAR_HALF_M, RING_HALF_HEIGHT_M = 0.042, 0.006, 0.010
POST_RADIUS_M, POST_HEIGHT_M = 0.009, 0.045
BASE_HALF_M = 0.004


class RingOnPost(PlaceTask):
    """Put the ring over the post."""

    info = TaskInfo(
        name="ring_on_post",
        sentence="put the ring over the post",
        axes=PlaceTask.axes,
        shift="the ring stands 15 mm higher, on a pedestal",
        max_decisions=90,
        start_low=(0.42, -0.04, 0.14),
        start_high=(0.48, 0.04, 0.18),
    )
    body = "ring"
    grip_at = (0.0, RING_HALF_M - BAR_HALF_M, 0.002)
    rim_m = RING_HALF_M - 2 * BAR_HALF_M - POST_RADIUS_M + 0.002
    rest_m = 0.010
    lower_to_m = 0.012
    transport_m = 0.075

    def build(self, spec: mujoco.MjSpec) -> None:
        """A square ring, a post on a base, and a pedestal that shows up with the shift."""
        ring = free_body(spec, "ring")
        middle = RING_HALF_M - BAR_HALF_M
        for index, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            length = RING_HALF_M - 2 * BAR_HALF_M
            size = (BAR_HALF_M, length, RING_HALF_HEIGHT_M) if x else (RING_HALF_M, BAR_HALF_M, RING_HALF_HEIGHT_M)
            solid(ring, f"ring_{index}", size, pos=(x * middle, y * middle, 0), mass=0.008)
        post = fixed_body(spec, "post")
        solid(post, "post_base", (0.04, BASE_HALF_M), kind=CYLINDER, pos=(0, 0, BASE_HALF_M))
        solid(post, "post", (POST_RADIUS_M, POST_HEIGHT_M / 2), kind=CYLINDER, pos=(0, 0, POST_HEIGHT_M / 2))
        solid(fixed_body(spec, "pedestal"), "pedestal", (0.05, 0.05, 0.0075))

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw places and colours; ring on one side, post on the other."""
        side = 1.0 if rng.random() < 0.5 else -1.0
        ring = rng.uniform((0.40, 0.055), (0.50, 0.085)) * (1, side)
        post = rng.uniform((0.40, 0.055), (0.50, 0.085)) * (1, -side)
        height = 0.015 if shift else 0.0
        scene.place("ring", np.array([*ring, RING_HALF_HEIGHT_M + height + 1e-3]), rng.uniform(-0.1, 0.1))
        scene.place("post", np.array([*post, 0.0]))
        scene.place("pedestal", np.array([*ring, 0.0075 if shift else -0.2]))
        scene.paint(tuple(f"ring_{i}" for i in range(4)), near_hue(scene.colours, scene.colours.random(), 0.5))
        scene.paint("post", near_hue(scene.colours, scene.colours.random(), 0.5))
        scene.paint("post_base", colour(scene.colours, saturation=(0.0, 0.4), value=(0.2, 0.8)))
        scene.paint("pedestal", (0.5, 0.5, 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self.begin(scene)

    def goal(self, scene: Scene) -> Vector:
        """Ring's centre when it lies on the post's base."""
        return scene.point("post", (0, 0, 2 * BASE_HALF_M + RING_HALF_HEIGHT_M))
