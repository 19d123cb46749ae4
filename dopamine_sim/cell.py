"""Joint trajectories and gripper commands in; joint states, camera images and privileged truth out.

The cell without ROS: deterministic, and only as fast as it is advanced. Same seed, same machine, same renderer and
the same calls give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from dopamine_core.control.kinematics import ARM_JOINTS, FINGER_JOINT, TOOL_DOWN, Kinematics, Pose
from dopamine_core.errors import CellError
from dopamine_core.types import CAMERAS, JointSample
from dopamine_sim import look
from dopamine_sim.config import CellConfig
from dopamine_sim.joint_trajectory_controller import (
    JointTrajectoryController,
    Point,
    TrajectoryVerdict,
)
from dopamine_sim.renderer import Renderer
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import Task
from dopamine_sim.tasks.registry import make_task
from dopamine_sim.world import DAMPING, FINGER_OPEN_M, STIFFNESS, build_world

READY_RAD = np.array([0.0, 0.1, 2.0, 0.0, 1.05, 0.0])  # seed of inverse kinematics: elbow up, tool down
JOINTS = (*ARM_JOINTS, FINGER_JOINT)
_SETTLE_STEPS = 60
_BLOW_UPS = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
)


@dataclass(frozen=True)
class JointState:
    """Measured joints, finger last; effort in Nm, for the finger in N."""

    stamp_ns: int
    names: tuple[str, ...]
    position: NDArray[np.float64]  # (7,) rad, finger m
    velocity: NDArray[np.float64]  # (7,) rad/s, finger m/s
    effort: NDArray[np.float64]  # (7,) Nm, finger N

    @property
    def sample(self) -> JointSample:
        """The same as the rest of the suite takes it."""
        return JointSample(self.stamp_ns, self.names, self.position, self.velocity)


@dataclass(frozen=True)
class Truth:
    """What only a simulator knows: for reports and reward-model training, never for a policy or a reward."""

    success: bool
    progress: float  # [0, 1]
    stage: int
    stages: int


class Cell:
    """One arm, one task, two cameras.

    :param task: a name of ``dopamine_sim.tasks.registry``.
    :param config: numbers of the cell.
    :param start_ns: where its clock starts; not 0, which means "no stamp" in messages.
    :raises UnknownNameError: when the task is unknown; the message lists the known ones.
    """

    def __init__(
        self, task: str, *, config: CellConfig | None = None, start_ns: int = 1_000_000_000
    ) -> None:
        self.config = config or CellConfig()
        self.task: Task = make_task(task)
        spec = build_world()
        spec.option.timestep = self.config.physics_step_ns * 1e-9
        self.task.build(spec)
        self.scene = Scene(spec.compile())
        self.kinematics = Kinematics()
        self._renderer: Renderer | None = None
        self._arm_ctrl = np.array([self.scene.model.actuator(n).id for n in ARM_JOINTS])
        self._finger_ctrl = self.scene.model.actuator(FINGER_JOINT).id
        model = self.scene.model
        self._qpos = np.array([model.jnt_qposadr[model.joint(n).id] for n in JOINTS])
        self._dof = np.array([model.jnt_dofadr[model.joint(n).id] for n in JOINTS])
        self._actuators = np.array([*self._arm_ctrl, self._finger_ctrl])
        # Velocity feed-forward: a servo with stiffness k and damping d lags by d/k without it.
        self._lead_s = np.array([DAMPING[n] / STIFFNESS[n] for n in ARM_JOINTS])
        self._controller = JointTrajectoryController(ARM_JOINTS, READY_RAD)
        self._gripper = self.task.info.start_gripper
        self.seed, self.shift = 0, False
        self.now_ns = start_ns
        self._next_control_ns = start_ns
        self.reset(0)

    def reset(self, seed: int, *, shift: bool = False) -> None:
        """Start an episode: arm at a start pose, objects and look drawn from the seed. The clock runs on.

        :param seed: the same seed gives the same scene, bit for bit.
        :param shift: the task's declared shift.
        """
        info = self.task.info
        rng = _rng(seed, 0)
        mujoco.mj_resetData(self.scene.model, self.scene.data)
        start = rng.uniform(info.start_low, info.start_high)
        q = self.kinematics.solve(Pose(start, TOOL_DOWN), READY_RAD)
        self.scene.data.qpos[self._qpos[:6]] = q
        self._gripper = info.start_gripper
        self._set_fingers(FINGER_OPEN_M * (1.0 - self._gripper))
        self.reset_scene(seed, shift=shift)

    def reset_scene(self, seed: int, *, shift: bool = False) -> None:
        """Move the objects only; the arm stays where it is and holds."""
        scene = self.scene
        self.seed, self.shift = seed, shift
        scene.data.qvel[:] = 0.0
        mujoco.mj_forward(scene.model, scene.data)
        room_seed = self.config.look_seed if self.config.look_seed >= 0 else seed
        scene.colours = _rng(room_seed, 3)
        look.furnish(scene, _rng(room_seed, 2), self.config.look, self.config.distractors)
        look.unsettle(scene, _rng(seed, 4), self.config.look)
        self.task.reset(scene, _rng(seed, 1), shift)
        if self.task.info.start_gripper > 0.5:
            self._gripper = self.task.info.start_gripper  # what the gripper holds is put there with the scene
        self._hold_here()
        self._next_control_ns = self.now_ns
        self._settle()

    def submit_trajectory(
        self, names: Sequence[str], points: Sequence[Point], stamp_ns: int = 0
    ) -> TrajectoryVerdict:
        """Send a trajectory to the arm's controller; see :class:`JointTrajectoryController`."""
        return self._controller.submit(names, points, stamp_ns, self.now_ns)

    def command_gripper(self, closed: float) -> bool:
        """Command the gripper: 0 open ... 1 closed.

        :return: False when the value is not finite; it is then ignored.
        """
        if not np.isfinite(closed):
            return False
        self._gripper = float(np.clip(closed, 0.0, 1.0))
        return True

    def advance(self, duration_ns: int) -> None:
        """Let simulated time pass.

        :param duration_ns: a multiple of the physics step.
        :raises CellError: when it is not.
        """
        step = self.config.physics_step_ns
        if duration_ns < 0 or duration_ns % step:
            raise CellError(
                expected=f"a multiple of the physics step, {step} ns",
                got=f"{duration_ns} ns",
                remedy="advance by whole physics steps",
            )
        end_ns = self.now_ns + duration_ns
        while self.now_ns < end_ns:
            if self.now_ns >= self._next_control_ns:
                self._control()
            chunk = min(end_ns, self._next_control_ns) - self.now_ns
            mujoco.mj_step(self.scene.model, self.scene.data, nstep=chunk // step)
            self.now_ns += chunk
        self._check_physics()

    def skip(self, duration_ns: int) -> None:
        """Let time pass without physics: what a real-time cell does that could not keep up."""
        self.now_ns += duration_ns
        self._next_control_ns = self.now_ns

    def take_over(self, other: Cell) -> None:
        """Continue where another cell's arm and clock are; call :meth:`reset_scene` next."""
        mujoco.mj_resetData(self.scene.model, self.scene.data)
        self.scene.data.qpos[self._qpos] = other.scene.data.qpos[other._qpos]
        self._set_fingers(other.scene.joint(FINGER_JOINT))
        self._gripper = other._gripper
        self.now_ns = other.now_ns
        self._next_control_ns = self.now_ns

    def joint_state(self) -> JointState:
        """Measured joints at ``now_ns``."""
        data = self.scene.data
        return JointState(
            stamp_ns=self.now_ns,
            names=JOINTS,
            position=data.qpos[self._qpos].copy(),
            velocity=data.qvel[self._dof].copy(),
            effort=data.actuator_force[self._actuators].copy(),
        )

    def render(self, camera: str, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
        """Take an rgb image ``(height, width, 3)`` at ``now_ns``.

        The first call binds the renderer to the calling thread.

        :param camera: ``front`` or ``wrist``.
        :raises CellError: on an unknown camera, a wrong size, or without a working EGL or OSMesa.
        """
        self.renderer.prepare(self.scene.data, (camera,))
        return self.renderer.draw(camera, width, height)

    @property
    def renderer(self) -> Renderer:
        """The cell's renderer, made at first use."""
        if self._renderer is None:
            self._renderer = Renderer(
                self.scene.model,
                max_width=self.config.max_image_width,
                max_height=self.config.max_image_height,
            )
        return self._renderer

    def truth(self) -> Truth:
        """Privileged truth at ``now_ns``."""
        stage, _ = self.task.stage(self.scene)
        success = self.task.success(self.scene)
        return Truth(success, self.task.progress(self.scene), stage, self.task.stages)

    def state_bytes(self) -> bytes:
        """The whole physical state, for comparing two runs bit by bit."""
        data = self.scene.data
        return b"".join(a.tobytes() for a in (data.qpos, data.qvel, data.ctrl, data.qacc_warmstart))

    def close(self) -> None:
        """Free the renderer; call it in the thread that rendered."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _control(self) -> None:
        desired = self._controller.update(self.now_ns)
        data = self.scene.data
        data.ctrl[self._arm_ctrl] = desired.position + self._lead_s * desired.velocity
        data.ctrl[self._finger_ctrl] = FINGER_OPEN_M * (1.0 - self._gripper)
        self.task.command(self.scene, self._gripper)
        self._next_control_ns = self.now_ns + self.config.control_period_ns

    def _check_physics(self) -> None:
        # MuJoCo restarts its state silently after a blow-up: an arm that jumps home is worse than an error.
        if any(self.scene.data.warning[kind].number for kind in _BLOW_UPS):
            raise CellError(
                expected="stable physics",
                got="a non-finite or huge state",
                remedy="reset the cell; if it comes again with this seed, report task and seed",
            )

    def _set_fingers(self, opening_m: float) -> None:
        self.scene.set_joint(FINGER_JOINT, opening_m)
        self.scene.set_joint(f"{FINGER_JOINT}_mimic", opening_m)

    def _hold_here(self) -> None:
        self._controller.hold(self.scene.data.qpos[self._qpos[:6]])

    def _settle(self) -> None:
        """Let objects come to rest before the episode begins; the clock stands still."""
        data = self.scene.data
        data.qacc_warmstart[:] = 0.0
        data.ctrl[self._arm_ctrl] = data.qpos[self._qpos[:6]]
        data.ctrl[self._finger_ctrl] = FINGER_OPEN_M * (1.0 - self._gripper)
        mujoco.mj_step(self.scene.model, data, nstep=_SETTLE_STEPS)
        mujoco.mj_forward(self.scene.model, data)


def _rng(seed: int, stream: int) -> np.random.Generator:
    """Independent random streams of one seed: start pose 0, objects 1, room 2, colours 3, hourly changes 4."""
    return np.random.default_rng([abs(int(seed)), int(seed < 0), stream])


__all__ = ["CAMERAS", "Cell", "JointState", "Point", "Truth"]
