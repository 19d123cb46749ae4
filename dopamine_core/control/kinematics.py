"""Joint positions in, end-effector poses out, and back: Pinocchio's view of the arm in ``urdf/``.

All poses are in ``base_link``, metres and radians. Displacements are ``(6,)``: three metres of translation and a
rotation vector in radians, both along the axes of ``base_link``. Never imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pinocchio
from numpy.typing import NDArray

from dopamine_core.errors import KinematicsError
from dopamine_core.types import JointSample

ARM_JOINTS = tuple(f"joint_{i}" for i in range(1, 7))
FINGER_JOINT = "finger_joint"
TOOL_DOWN = np.diag([-1.0, 1.0, -1.0])  # (3, 3) tool z points down, tool x back to the base
_URDF_NAME = "dopamine_arm.urdf"

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """A frame in ``base_link``."""

    position: Vector  # (3,) m
    rotation: Vector  # (3, 3)

    def moved(self, displacement: Vector) -> Pose:
        """Return the pose displaced by ``(6,)`` metres and rotation vector along the axes of ``base_link``."""
        turn = pinocchio.exp3(np.asarray(displacement[3:], dtype=np.float64))
        return Pose(self.position + displacement[:3], turn @ self.rotation)

    def error_to(self, target: Pose) -> Vector:
        """Displacement ``(6,)`` that takes this pose to ``target``; ``self.moved(self.error_to(t)) == t``."""
        turn = pinocchio.log3(target.rotation @ self.rotation.T)
        return np.concatenate([target.position - self.position, turn])


@dataclass(frozen=True)
class IkStep:
    """One differential step of inverse kinematics."""

    q: Vector  # (J,) rad, inside the joint limits and finite
    limited: bool  # a joint limit or a joint's speed cut the step
    remaining: Vector  # (6,) m and rad still to go to the wanted pose


def default_urdf_path() -> Path:
    """Path of the suite's own arm: the source tree first, then every installed ROS prefix.

    :raises KinematicsError: when neither has it.
    """
    candidates = [Path(__file__).resolve().parents[2] / "urdf" / _URDF_NAME]
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":")):
        candidates.append(Path(prefix) / "share" / "robo_dopamine" / "urdf" / _URDF_NAME)
    for path in candidates:
        if path.is_file():
            return path
    raise KinematicsError(
        expected=f"{_URDF_NAME} in the source tree or under share/robo_dopamine/urdf of a ROS prefix",
        got="neither",
        remedy="install robo_dopamine, or pass the robot description's path",
    )


class Kinematics:
    """Forward and differential kinematics of one arm.

    :param urdf_path: robot description; the suite's own arm by default.
    :param frame: end-effector frame.
    :param joint_names: arm joints in the order in which ``(J,)`` arrays are given; all other joints stay at zero.
    :param damping: damping of the least squares, in metres per radian (Wampler 1986: dq = J^T (J J^T + d^2 I)^-1 e).
    :raises KinematicsError: when the file cannot be read, or lacks the frame or a joint.
    """

    def __init__(
        self,
        urdf_path: Path | None = None,
        *,
        frame: str = "tcp",
        joint_names: Sequence[str] = ARM_JOINTS,
        damping: float = 0.02,
    ) -> None:
        path = default_urdf_path() if urdf_path is None else Path(urdf_path)
        full = _read_model(path)
        for name in joint_names:
            _require(full.existJointName(name), f"a joint '{name}'", path, list(full.names)[1:])
        _require(full.existFrame(frame), f"a frame '{frame}'", path, [f.name for f in full.frames])
        locked = [i for i, name in enumerate(full.names) if i > 0 and name not in joint_names]
        self._model = pinocchio.buildReducedModel(full, locked, pinocchio.neutral(full))
        self._data = self._model.createData()
        self._frame = self._model.getFrameId(frame)
        self._order = np.array([self._model.joints[self._model.getJointId(n)].idx_q for n in joint_names])
        self._damping = damping
        self.joint_names = tuple(joint_names)
        self.lower_rad = self._model.lowerPositionLimit[self._order]  # (J,)
        self.upper_rad = self._model.upperPositionLimit[self._order]  # (J,)
        self.max_velocity_rad_s = self._model.velocityLimit[self._order]  # (J,)
        self.max_effort_nm = self._model.effortLimit[self._order]  # (J,)

    def arm_positions(self, sample: JointSample) -> Vector:
        """Pick the arm's positions ``(J,)`` out of a joint sample, by name.

        :raises KinematicsError: when a joint is missing or not finite.
        """
        by_name = dict(zip(sample.names, sample.position, strict=True))
        missing = [name for name in self.joint_names if name not in by_name]
        if missing:
            raise KinematicsError(
                expected=f"joint states of {', '.join(self.joint_names)}",
                got=f"none of {', '.join(missing)}",
                remedy="check the joint names of the robot description and of joint_state_broadcaster",
            )
        q = np.array([by_name[name] for name in self.joint_names])
        self._check(q)
        return q

    def forward(self, q: Vector) -> Pose:
        """Pose of the end effector.

        :param q: ``(J,)`` rad.
        :raises KinematicsError: on a wrong size or a non-finite value.
        """
        self._check(q)
        pinocchio.framesForwardKinematics(self._model, self._data, self._to_model(q))
        placement = self._data.oMf[self._frame]
        return Pose(placement.translation.copy(), placement.rotation.copy())

    def jacobian(self, q: Vector) -> Vector:
        """Jacobian ``(6, J)`` of the end effector: m/s and rad/s along ``base_link`` per rad/s.

        :raises KinematicsError: on a wrong size or a non-finite value.
        """
        self._check(q)
        frame = pinocchio.ReferenceFrame.LOCAL_WORLD_ALIGNED
        full = pinocchio.computeFrameJacobian(self._model, self._data, self._to_model(q), self._frame, frame)
        return full[:, self._order].copy()

    def step_towards(self, q: Vector, target: Pose, *, max_step_rad: Vector | float | None = None) -> IkStep:
        """Take one damped-least-squares step from ``q`` towards a pose, inside the joint limits.

        :param q: ``(J,)`` rad.
        :param target: wanted pose of the end effector; near ``q``'s (a few centimetres) for small errors.
        :param max_step_rad: largest change per joint; longer steps are shortened as a whole, so that the direction
            stays. None: no bound.
        :return: the next joint positions, whether a limit cut the step, and what remains to be done.
        :raises KinematicsError: on non-finite input.
        """
        error = self.forward(q).error_to(target)
        if not np.isfinite(error).all():
            raise _not_finite("target pose", error)
        dq = self._damped_solution(self.jacobian(q), error)
        scale = 1.0 if max_step_rad is None else float(np.min(max_step_rad / np.maximum(np.abs(dq), 1e-12)))
        wanted = q + dq * min(1.0, scale)
        q_next = np.clip(wanted, self.lower_rad, self.upper_rad)
        limited = scale < 1.0 or bool(np.any(q_next != wanted))
        return IkStep(q_next, limited, self.forward(q_next).error_to(target))

    def step(self, q: Vector, displacement: Vector, *, max_step_rad: Vector | float | None = None) -> IkStep:
        """As :meth:`step_towards`, for a displacement ``(6,)`` (m, rad) relative to the pose at ``q``."""
        return self.step_towards(q, self.forward(q).moved(displacement), max_step_rad=max_step_rad)

    def solve(
        self,
        target: Pose,
        q_seed: Vector,
        *,
        max_iterations: int = 200,
        tolerance_m: float = 1e-4,
        tolerance_rad: float = 1e-3,
    ) -> Vector:
        """Find joint positions ``(J,)`` that reach a pose, starting from a seed.

        :raises KinematicsError: when the pose is unreachable from this seed, with the distance that is left.
        """
        q = np.clip(np.asarray(q_seed, dtype=np.float64), self.lower_rad, self.upper_rad)
        remaining = self.forward(q).error_to(target)
        for _ in range(max_iterations):
            if np.linalg.norm(remaining[:3]) < tolerance_m and np.linalg.norm(remaining[3:]) < tolerance_rad:
                return q
            outcome = self.step_towards(q, target, max_step_rad=0.2)
            q, remaining = outcome.q, outcome.remaining
        raise KinematicsError(
            expected=f"a reachable pose, got position {np.round(target.position, 3).tolist()} m",
            got=f"{np.linalg.norm(remaining[:3]) * 1e3:.1f} mm and {np.linalg.norm(remaining[3:]):.3f} rad left",
            remedy="move the target into the arm's workspace or seed nearer to it",
        )

    def _damped_solution(self, jacobian: Vector, error: Vector) -> Vector:
        damped = jacobian @ jacobian.T + self._damping**2 * np.eye(6)
        return jacobian.T @ np.linalg.solve(damped, error)

    def _to_model(self, q: Vector) -> Vector:
        full = np.zeros(self._model.nq)
        full[self._order] = q
        return full

    def _check(self, q: Vector) -> None:
        if np.shape(q) != (len(self.joint_names),):
            raise KinematicsError(
                expected=f"({len(self.joint_names)},) joint positions",
                got=f"shape {np.shape(q)}",
                remedy=f"give {', '.join(self.joint_names)} in this order",
            )
        if not np.isfinite(q).all():
            raise _not_finite("joint positions", q)


def _read_model(path: Path) -> pinocchio.Model:
    if not path.is_file():
        raise KinematicsError(expected=f"a robot description at {path}", got="no file", remedy="check the path")
    try:
        return pinocchio.buildModelFromUrdf(str(path))
    except (ValueError, RuntimeError) as error:
        raise KinematicsError(
            expected=f"a URDF at {path}", got=str(error), remedy="check it with check_urdf"
        ) from error


def _require(found: bool, wanted: str, path: Path, known: list[str]) -> None:
    if not found:
        raise KinematicsError(
            expected=f"{wanted} in {path.name}", got=f"only {', '.join(known)}", remedy="correct the name"
        )


def _not_finite(what: str, values: Vector) -> KinematicsError:
    return KinematicsError(
        expected=f"finite {what}", got=np.asarray(values).tolist().__repr__(), remedy="drop this command"
    )
