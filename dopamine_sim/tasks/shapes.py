"""Small pieces of scenes that tasks are composed of."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from dopamine_sim.world import VISUAL_GROUP, WORLD_CONTACT

BOX = mujoco.mjtGeom.mjGEOM_BOX
CYLINDER = mujoco.mjtGeom.mjGEOM_CYLINDER
SPHERE = mujoco.mjtGeom.mjGEOM_SPHERE
_SOLID = {"contype": WORLD_CONTACT[0], "conaffinity": WORLD_CONTACT[1], "group": VISUAL_GROUP}
_GHOST = {"contype": 0, "conaffinity": 0, "group": VISUAL_GROUP}
_GRIP = {"friction": [1.0, 0.02, 0.0005], "condim": 4, "solref": [0.005, 1.0]}


def free_body(spec: mujoco.MjSpec, name: str) -> mujoco.MjsBody:
    """A body that can be picked up; its joint bears its name."""
    body = spec.worldbody.add_body(name=name)
    body.add_freejoint(name=name)
    return body


def fixed_body(spec: mujoco.MjSpec, name: str) -> mujoco.MjsBody:
    """A body that stands where ``Scene.place`` puts it."""
    return spec.worldbody.add_body(name=name)


def solid(
    body: mujoco.MjsBody,
    name: str,
    size: Sequence[float],
    *,
    pos: Sequence[float] = (0, 0, 0),
    kind: mujoco.mjtGeom = BOX,
    mass: float = 0.05,
    rgb: Sequence[float] = (0.7, 0.7, 0.7),
    **options: object,
) -> None:
    """A colliding geom with enough friction to be gripped."""
    settings = {**_SOLID, **_GRIP, **options}
    body.add_geom(name=name, type=kind, size=_three(size), pos=pos, mass=mass, rgba=[*rgb, 1], **settings)


def ghost(
    body: mujoco.MjsBody,
    name: str,
    size: Sequence[float],
    *,
    pos: Sequence[float] = (0, 0, 0),
    kind: mujoco.mjtGeom = BOX,
    rgb: Sequence[float] = (0.2, 0.2, 0.2),
) -> None:
    """A geom that is only seen: marks, labels, dark holes."""
    body.add_geom(name=name, type=kind, size=_three(size), pos=pos, mass=0, rgba=[*rgb, 1], **_GHOST)


def chamfered_rod(spec: mujoco.MjSpec, name: str, radius: float, length: float, chamfer: float) -> None:
    """A round rod's mesh, standing on z = 0, with a 45 degree chamfer at its lower end; metres."""
    angles = np.linspace(0.0, 2.0 * np.pi, 20, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (20, 2)
    rings = ((radius - chamfer, 0.0), (radius, chamfer), (radius, length))
    vertices = np.concatenate([np.c_[r * circle, np.full(len(circle), z)] for r, z in rings])
    spec.add_mesh(name=name, uservert=vertices.ravel())


def _three(size: Sequence[float]) -> list[float]:
    return [*size, 0.0, 0.0][:3]
