"""Things that slide when pulled by a handle: open_drawer and slide_lid."""

from __future__ import annotations

from abc import abstractmethod

import mujoco
import numpy as np

from dopamine_sim.look import colour, near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import CLOSED, OPEN, Phase, Task, TaskInfo, Vector, above, nearness
from dopamine_sim.tasks.shapes import fixed_body, solid

_AXES = ("x", "y", "z", "gripper")


class HandleTask(Task):
    """Grasp a handle and slide it: three stages, reach, grasp, slide."""

    stages = 3
    slide = "slide"  # joint and body
    travel_m = 0.08
    done_m = 0.065
    grip_at: tuple[float, float, float]  # where to hold the sliding body

    @abstractmethod
    def direction(self, scene: Scene) -> Vector:
        """Unit vector ``(3,)`` along which it slides."""

    def grip(self, scene: Scene) -> Vector:
        """Where the tcp must be to hold the handle."""
        return scene.point(self.slide, self.grip_at)

    def begin(self, scene: Scene) -> None:
        """Remember the distance from which progress is measured."""
        self.start_m = float(np.linalg.norm(self.grip(scene) - scene.tcp()))

    def success(self, scene: Scene) -> bool:
        """Slid far enough."""
        return scene.joint(self.slide) >= self.done_m

    def stage(self, scene: Scene) -> tuple[int, float]:
        """Reach the handle, close on it, slide it."""
        slid = scene.joint(self.slide) / self.done_m
        left = float(np.linalg.norm(self.grip(scene) - scene.tcp()))
        if slid > 0.05:
            return 2, slid
        if left < 0.012:
            return 1, 0.5 * scene.fingers_touching(self.slide)
        return 0, nearness(left - 0.012, self.start_m - 0.012)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Above the handle, down, close, slide."""
        hover = float(rng.uniform(0.035, 0.055))

        def slid(s: Scene) -> Vector:
            left = self.travel_m - s.joint(self.slide)
            return s.tcp() + left * self.direction(s) + np.array([0, 0, self.grip(s)[2] - s.tcp()[2]])

        return (
            Phase("above", lambda s: above(self.grip(s), hover), OPEN, 0.010),
            Phase("down", self.grip, OPEN, 0.006, speed=0.7, precise=True),
            Phase("close", self.grip, CLOSED, 0.05, dwell=3),
            Phase("slide", _once(slid), CLOSED, 0.008, speed=0.6, carry=True, precise=True),
        )


def _once(target: object) -> object:
    """A target that stays where it was when first asked."""
    kept: list[Vector] = []

    def remembered(scene: Scene) -> Vector:
        if not kept:
            kept.append(target(scene))
        return kept[0]

    return remembered


class OpenDrawer(HandleTask):
    """Pull the drawer open by its handle."""

    info = TaskInfo(
        name="open_drawer",
        sentence="open the drawer",
        axes=_AXES,
        shift="the handle sits 15 mm aside",
        start_low=(0.42, -0.04, 0.16),
        start_high=(0.48, 0.04, 0.20),
        pace=0.85,
    )
    grip_at = (-0.035, 0.0, 0.018)

    def build(self, spec: mujoco.MjSpec) -> None:
        """A low cabinet, open away from the base (towards the camera), and a drawer with an upright handle."""
        cabinet = fixed_body(spec, "cabinet")
        solid(cabinet, "cabinet_top", (0.055, 0.068, 0.003), pos=(0.055, 0, 0.067))
        solid(cabinet, "cabinet_floor", (0.055, 0.068, 0.003), pos=(0.055, 0, 0.003))
        solid(cabinet, "cabinet_back", (0.003, 0.068, 0.035), pos=(0.108, 0, 0.035))
        for index, side in enumerate((1, -1)):
            solid(cabinet, f"cabinet_{index}", (0.055, 0.004, 0.035), pos=(0.055, side * 0.064, 0.035))
        drawer = cabinet.add_body(name="slide", pos=(0.0, 0, 0.035))
        joint = drawer.add_joint(name="slide", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(-1, 0, 0))
        joint.range, joint.limited, joint.frictionloss = (0.0, self.travel_m + 0.005), True, 1.0
        joint.damping[0] = 4.0
        solid(drawer, "drawer_front", (0.004, 0.062, 0.030), pos=(-0.004, 0, 0), mass=0.1)
        solid(drawer, "drawer_floor", (0.045, 0.054, 0.002), pos=(0.045, 0, -0.02), mass=0.05)
        solid(drawer, "handle_stem", (0.012, 0.006, 0.005), pos=(-0.02, 0, 0.0), mass=0.01)
        solid(drawer, "handle", (0.007, 0.008, 0.022), pos=(-0.035, 0, 0.008), mass=0.02)
        spec.add_exclude(bodyname1="cabinet", bodyname2="slide")

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw place, yaw and colours."""
        spot = np.array([*rng.uniform((0.37, -0.10), (0.42, 0.10)), 0.0])
        scene.place("cabinet", spot, np.pi + rng.uniform(-0.12, 0.12))
        scene.set_joint("slide", 0.0)
        aside = 0.015 if shift else 0.0
        self.grip_at = (-0.035, aside, 0.018)
        for geom in ("handle", "handle_stem"):
            scene.model.geom(geom).pos[1] = aside
        shade = colour(scene.colours, saturation=(0.1, 0.6), value=(0.35, 0.9))
        scene.paint(("cabinet_top", "cabinet_floor", "cabinet_back", "cabinet_0", "cabinet_1"), shade)
        scene.paint("drawer_floor", 0.5 * shade)
        scene.paint("drawer_front", colour(scene.colours, saturation=(0.1, 0.7), value=(0.4, 0.95)))
        scene.paint(("handle", "handle_stem"), near_hue(scene.colours, scene.colours.random(), 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self.begin(scene)

    def direction(self, scene: Scene) -> Vector:
        """Out of the cabinet."""
        return -scene.data.body("cabinet").xmat.reshape(3, 3)[:, 0]


class SlideLid(HandleTask):
    """Slide the lid of a box aside by its knob."""

    info = TaskInfo(
        name="slide_lid",
        sentence="slide the lid off the box",
        axes=_AXES,
        shift="the knob sits 15 mm aside",
        start_low=(0.42, -0.04, 0.16),
        start_high=(0.48, 0.04, 0.20),
        pace=0.85,
    )
    grip_at = (0.0, 0.0, 0.020)

    def build(self, spec: mujoco.MjSpec) -> None:
        """An open box and a lid on rails, with a knob."""
        box = fixed_body(spec, "box")
        solid(box, "box_floor", (0.045, 0.045, 0.002), pos=(0, 0, 0.002))
        for index, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            size = (0.003, 0.045, 0.02) if x else (0.045, 0.003, 0.02)
            solid(box, f"box_{index}", size, pos=(x * 0.045, y * 0.045, 0.02))
        lid = box.add_body(name="slide", pos=(0, 0, 0.0445))
        joint = lid.add_joint(name="slide", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, 1, 0))
        joint.range, joint.limited, joint.frictionloss = (0.0, self.travel_m + 0.005), True, 1.0
        joint.damping[0] = 4.0
        solid(lid, "lid", (0.048, 0.048, 0.003), mass=0.05)
        solid(lid, "knob", (0.012, 0.009, 0.013), pos=(0, 0, 0.016), mass=0.02)
        spec.add_exclude(bodyname1="box", bodyname2="slide")

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw place, yaw, the side to which it slides, and colours."""
        spot = np.array([*rng.uniform((0.40, -0.10), (0.52, 0.02)), 0.0])
        scene.place("box", spot, rng.uniform(-0.12, 0.12))
        scene.set_joint("slide", 0.0)
        aside = 0.015 if shift else 0.0
        self.grip_at = (aside, 0.0, 0.020)
        scene.model.geom("knob").pos[0] = aside
        shade = colour(scene.colours, saturation=(0.1, 0.6), value=(0.35, 0.9))
        scene.paint(tuple(f"box_{i}" for i in range(4)), shade)
        scene.paint("box_floor", 0.25 * shade)
        scene.paint("lid", colour(scene.colours, saturation=(0.1, 0.7), value=(0.4, 0.95)))
        scene.paint("knob", near_hue(scene.colours, scene.colours.random(), 0.5))
        mujoco.mj_forward(scene.model, scene.data)
        self.begin(scene)

    def direction(self, scene: Scene) -> Vector:
        """Along the rails."""
        return scene.data.body("box").xmat.reshape(3, 3)[:, 1].copy()
