"""A compiled model and its state, spoken to by name: what tasks, looks and operators read and move."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
FINGERS = ("finger_link", "finger_mimic_link")


class Scene:
    """Named access to one MuJoCo model and data; positions in ``base_link``, metres."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.colours = np.random.default_rng(0)  # what colours are drawn from; its own stream, so that a room stays
        self._fingers = tuple(model.body(name).id for name in FINGERS)

    def tcp(self) -> Vector:
        """Position ``(3,)`` of the tool centre point."""
        return self.data.body("tcp").xpos.copy()

    def tcp_rotation(self) -> Vector:
        """Rotation ``(3, 3)`` of the tool centre point."""
        return self.data.body("tcp").xmat.reshape(3, 3).copy()

    def position(self, body: str) -> Vector:
        """Position ``(3,)`` of a body's origin."""
        return self.data.body(body).xpos.copy()

    def point(self, body: str, offset: Vector | tuple[float, float, float]) -> Vector:
        """Position ``(3,)`` of a point fixed in a body."""
        state = self.data.body(body)
        return state.xpos + state.xmat.reshape(3, 3) @ np.asarray(offset)

    def up(self, body: str) -> float:
        """Cosine between a body's z axis and the vertical: 1 upright."""
        return float(self.data.body(body).xmat[8])

    def joint(self, name: str) -> float:
        """Position of a hinge (rad) or slide (m)."""
        return float(self.data.joint(name).qpos[0])

    def set_joint(self, name: str, value: float) -> None:
        """Put a hinge or slide somewhere, at rest."""
        self.data.joint(name).qpos[0] = value
        self.data.joint(name).qvel[0] = 0.0

    def speed(self, body: str) -> float:
        """Speed of a free body's origin in m/s."""
        return float(np.linalg.norm(self.data.joint(body).qvel[:3]))

    def place(self, body: str, position: Vector, yaw_rad: float = 0.0) -> None:
        """Put a body somewhere, at rest: free bodies by their joint, fixed ones by their frame."""
        quat = np.array([np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)])
        self.place_turned(body, position, quat)

    def place_turned(self, body: str, position: Vector, quat: Vector) -> None:
        """As :meth:`place`, with any orientation (wxyz)."""
        index = self.model.body(body).id
        joint = self.model.body_jntadr[index]
        if joint >= 0 and self.model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            address = self.model.jnt_qposadr[joint]
            self.data.qpos[address : address + 3] = position
            self.data.qpos[address + 3 : address + 7] = quat
            self.data.qvel[self.model.jnt_dofadr[joint] :][:6] = 0.0
        else:
            self.model.body_pos[index] = position
            self.model.body_quat[index] = quat

    def paint(self, geoms: tuple[str, ...] | str, rgb: Vector | tuple[float, float, float]) -> None:
        """Colour geoms by name."""
        for name in (geoms,) if isinstance(geoms, str) else geoms:
            self.model.geom(name).rgba[:3] = rgb

    def fingers_touching(self, body: str) -> int:
        """How many of the two fingers touch a body: 2 is a grasp."""
        contacts = self.data.contact.geom[: self.data.ncon]  # (C, 2)
        bodies = self.model.geom_bodyid[contacts]
        target = self.model.body(body).id
        pairs = {tuple(pair) for pair in bodies.tolist()}
        return sum((f, target) in pairs or (target, f) in pairs for f in self._fingers)

    def grasped(self, body: str) -> bool:
        """Whether both fingers touch a body."""
        return self.fingers_touching(body) == 2
