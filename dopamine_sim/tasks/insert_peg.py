"""insert_peg: a peg in the gripper, a hole anywhere in 8 x 8 cm, 1 mm of play on each side, 20 mm deep."""

from __future__ import annotations

import mujoco
import numpy as np

from dopamine_sim.look import colour, near_hue
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import CLOSED, Phase, Task, TaskInfo, Vector, above, nearness
from dopamine_sim.tasks.shapes import chamfered_rod, fixed_body, free_body, ghost, solid
from dopamine_sim.world import FINGER_JOINTS, VISUAL_GROUP, WORLD_CONTACT

PEG_RADIUS_M = 0.010
HOLE_HALF_M = 0.011  # 2 mm total clearance
HOLE_DEPTH_M = 0.020
SUCCESS_DEPTH_M = 0.018
PEG_LENGTH_M = 0.060
PEG_BELOW_TCP_M = 0.042  # tip below the tool centre point
CHAMFER_M = 0.0015
BLOCK_HALF_M = 0.036
FLOOR_M = 0.006
HOVER_M = 0.012
CENTRE = (0.45, 0.0)
HOLE_RANGE_M = 0.04
# Along the pads, in the tool frame: away from the base. Towards it, the arm's give under pressure would undo it.
SHIFT_DIRECTION = np.array([-1.0, 0.0, 0.0])
SHIFT_M, SHIFT_SPREAD_M = 0.004, 0.001
_RELEASE_BELOW = 0.5  # gripper command that lets go of the peg


class InsertPeg(Task):
    """Insert the peg that the gripper holds."""

    info = TaskInfo(
        name="insert_peg",
        sentence="insert the peg into the hole",
        pace=0.75,
        axes=("x", "y", "z"),
        shift="the peg is held 4 mm off-centre along the pads, +- 1 mm per episode",
        start_gripper=CLOSED,
        start_low=(0.42, -0.03, 0.15),
        start_high=(0.48, 0.03, 0.18),
        workspace_low=(0.34, -0.12, 0.04),
        workspace_high=(0.56, 0.12, 0.24),
    )
    stages = 3  # over the hole, at its mouth, in it

    def build(self, spec: mujoco.MjSpec) -> None:
        """A peg welded into the gripper and a block with a square hole."""
        self._build_peg(spec)
        block = fixed_body(spec, "block")
        wall = (BLOCK_HALF_M - HOLE_HALF_M) / 2
        middle, height = HOLE_HALF_M + wall, HOLE_DEPTH_M / 2
        for index, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            size = (wall, BLOCK_HALF_M, height) if x else (HOLE_HALF_M, wall, height)
            pos = (x * middle, y * middle, FLOOR_M + height)
            solid(block, f"wall_{index}", size, pos=pos, friction=[0.35, 0.005, 0.0001])
        solid(block, "hole_floor", (BLOCK_HALF_M, BLOCK_HALF_M, FLOOR_M / 2), pos=(0, 0, FLOOR_M / 2))
        ghost(block, "hole_dark", (HOLE_HALF_M, HOLE_HALF_M, 0.0004), pos=(0, 0, FLOOR_M), rgb=(0.03,) * 3)

    def _build_peg(self, spec: mujoco.MjSpec) -> None:
        chamfered_rod(spec, "peg", PEG_RADIUS_M, PEG_LENGTH_M, CHAMFER_M)
        peg = free_body(spec, "peg")
        peg.add_geom(
            name="peg",
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname="peg",
            mass=0.08,
            contype=WORLD_CONTACT[0],
            conaffinity=WORLD_CONTACT[1],
            group=VISUAL_GROUP,
            friction=[0.35, 0.005, 0.0001],
            condim=3,
            solref=[0.004, 1.0],
            solimp=[0.95, 0.99, 0.001, 0.5, 2.0],
        )
        weld = spec.add_equality(name="grip", type=mujoco.mjtEq.mjEQ_WELD)
        weld.objtype = mujoco.mjtObj.mjOBJ_BODY
        weld.name1, weld.name2 = "gripper_link", "peg"
        weld.solref = [0.004, 1.0]
        weld.solimp = [0.98, 0.999, 0.001, 0.5, 2.0]

    def reset(self, scene: Scene, rng: np.random.Generator, shift: bool) -> None:
        """Draw hole and colours, and take the peg between the fingers."""
        for finger in FINGER_JOINTS:
            scene.set_joint(finger, PEG_RADIUS_M)
        hole = np.array([*(np.array(CENTRE) + rng.uniform(-HOLE_RANGE_M, HOLE_RANGE_M, 2)), 0.0])
        scene.place("block", hole)
        size = SHIFT_M + rng.uniform(-SHIFT_SPREAD_M, SHIFT_SPREAD_M)  # drawn always: the rest stays the same
        self._grip(scene, SHIFT_DIRECTION * size if shift else np.zeros(3))
        shade = colour(scene.colours, saturation=(0.1, 0.5), value=(0.6, 0.95))
        scene.paint(("wall_0", "wall_1", "wall_2", "wall_3"), shade)
        scene.paint("hole_floor", shade * 0.3)
        scene.paint("peg", near_hue(scene.colours, scene.colours.choice([0.02, 0.58, 0.35, 0.12])))
        mujoco.mj_forward(scene.model, scene.data)
        self._start_m = float(np.linalg.norm(self._over(scene) - self.tip(scene)))

    def _grip(self, scene: Scene, offset_tool: Vector) -> None:
        """Weld the peg to the gripper, upright along the tool, its middle ``offset_tool`` metres off."""
        gripper = scene.data.body("gripper_link")
        rotation = gripper.xmat.reshape(3, 3)
        # The rod's mesh points from tip (0) to top (+z): half a turn about x against the tool.
        turned = np.zeros(4)
        mujoco.mju_mulQuat(turned, gripper.xquat, np.array([0.0, 1.0, 0.0, 0.0]))
        tip = scene.tcp() + rotation @ (offset_tool + np.array([0.0, 0.0, PEG_BELOW_TCP_M]))
        scene.place_turned("peg", tip, turned)
        index = scene.model.equality("grip").id
        relative = rotation.T @ (tip - gripper.xpos)
        # Weld data: anchor in the second body, then its pose in the first, then the torque scale.
        scene.model.eq_data[index, :3] = 0.0
        scene.model.eq_data[index, 3:6] = relative
        scene.model.eq_data[index, 6:10] = [0.0, 1.0, 0.0, 0.0]
        scene.model.eq_data[index, 10] = 1.0
        scene.data.eq_active[index] = 1

    def command(self, scene: Scene, gripper: float) -> None:
        """Let go of the peg when the gripper opens."""
        if gripper < _RELEASE_BELOW:
            scene.data.eq_active[scene.model.equality("grip").id] = 0

    def tip(self, scene: Scene) -> Vector:
        """Lowest point ``(3,)`` of the peg's axis."""
        return scene.position("peg")

    def depth(self, scene: Scene) -> float:
        """How deep the tip is below the hole's mouth, metres; negative above or beside it."""
        aside = self._aside(scene)
        below = FLOOR_M + HOLE_DEPTH_M - float(self.tip(scene)[2])
        return below if aside < 2 * HOLE_HALF_M - PEG_RADIUS_M else -abs(below)

    def success(self, scene: Scene) -> bool:
        """The tip is at least 18 mm deep in the hole."""
        return self.depth(scene) >= SUCCESS_DEPTH_M

    def stage(self, scene: Scene) -> tuple[int, float]:
        """Over the hole, at its mouth, in it."""
        height = float(self.tip(scene)[2]) - (FLOOR_M + HOLE_DEPTH_M)
        aside = self._aside(scene)
        if aside < 0.003 and height < 0.0:
            return 2, -height / SUCCESS_DEPTH_M
        if aside < 0.004 and height < HOVER_M:
            return 1, 1.0 - height / HOVER_M
        return 0, nearness(float(np.linalg.norm(self._over(scene) - self.tip(scene))), self._start_m)

    def plan(self, scene: Scene, rng: np.random.Generator) -> tuple[Phase, ...]:
        """Go over the hole, settle, push in."""
        hover = float(rng.uniform(0.008, 0.016))
        return (
            Phase("over", lambda s: self._tcp_for(s, hover), CLOSED, 0.004, speed=0.8, carry=True),
            Phase("align", lambda s: self._tcp_for(s, 0.004), CLOSED, 0.0012, speed=0.35, precise=True),
            Phase("insert", lambda s: self._tcp_for(s, -0.0195), CLOSED, 0.0012, speed=0.5, precise=True, dwell=3),
        )

    def _tcp_for(self, scene: Scene, height: float) -> Vector:
        """Where the tcp must be for the tip to be over the hole; as if held when the peg is lost."""
        hole = above(scene.position("block"), FLOOR_M + HOLE_DEPTH_M + height)
        held = bool(scene.data.eq_active[scene.model.equality("grip").id])
        offset = scene.tcp() - self.tip(scene) if held else np.array([0.0, 0.0, PEG_BELOW_TCP_M])
        return hole + offset

    def _over(self, scene: Scene) -> Vector:
        return above(scene.position("block"), FLOOR_M + HOLE_DEPTH_M + HOVER_M)

    def _aside(self, scene: Scene) -> float:
        return float(np.linalg.norm((self.tip(scene) - scene.position("block"))[:2]))
