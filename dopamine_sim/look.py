"""Colours, light, camera poses, background and bystanders, drawn anew from a seed."""

from __future__ import annotations

import colorsys

import mujoco
import numpy as np

from dopamine_sim.scene import Scene
from dopamine_sim.world import (
    DISTRACTORS,
    FRONT_FOVY_DEG,
    FRONT_POSITION,
    FRONT_TARGET,
    TABLE_MATERIALS,
    WALL_GEOMS,
    look_at,
)

Rng = np.random.Generator
_CAMERA_SHIFT_M, _CAMERA_TARGET_SHIFT_M, _CAMERA_FOVY_DEG = 0.03, 0.015, 1.5
_WRIST_TURN_RAD, _WRIST_SHIFT_M = 0.012, 0.0015
# Bystanders stand where neither the task nor the arm goes, but the cameras look.
_DISTRACTOR_SPOTS = ((0.20, -0.42), (0.52, -0.44), (0.05, 0.42), (0.75, -0.30))


def colour(rng: Rng, *, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """A random rgb colour ``(3,)`` in [0, 1] of bounded saturation and value."""
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))


def near_hue(rng: Rng, hue: float, spread: float = 0.05) -> np.ndarray:
    """A vivid rgb colour ``(3,)`` whose hue is within ``spread`` of ``hue``, both in turns."""
    shade = colorsys.hsv_to_rgb(
        (hue + rng.uniform(-spread, spread)) % 1.0, rng.uniform(0.7, 0.95), rng.uniform(0.7, 0.95)
    )
    return np.array(shade)


def furnish(scene: Scene, rng: Rng, strength: float, distractors: int) -> None:
    """Draw a room: table, walls, light, camera mounts and bystanders.

    :param strength: 0 keeps the nominal look, 1 is the full range.
    :param distractors: largest number of bystanders.
    """
    _room(scene, rng, strength)
    _light(scene, rng, strength)
    _cameras(scene, rng, strength)
    _bystanders(scene, rng, distractors if strength > 0 else 0)


def unsettle(scene: Scene, rng: Rng, strength: float) -> None:
    """Change what changes from hour to hour in one room: brightness, and cameras that were touched a little."""
    for name in ("key_light", "fill_light"):
        scene.model.light(name).diffuse[:] *= 1.0 + strength * rng.uniform(-0.15, 0.15)
    front = scene.model.camera("front")
    front.pos[:] += strength * rng.uniform(-1, 1, 3) * 0.1 * _CAMERA_SHIFT_M
    turn = strength * rng.uniform(-1, 1, 3) * 0.002
    quat = np.zeros(4)
    mujoco.mju_mulQuat(quat, front.quat, np.array([1.0, *(turn / 2)]))
    front.quat[:] = quat / np.linalg.norm(quat)


def _room(scene: Scene, rng: Rng, strength: float) -> None:
    kind = TABLE_MATERIALS[int(rng.integers(len(TABLE_MATERIALS)))] if strength > 0 else "plain"
    material = scene.model.material(kind)
    scene.model.geom("table").matid = material.id
    nominal = np.array([0.80, 0.79, 0.76])
    table = colour(rng, saturation=(0.03, 0.30), value=(0.55, 0.95))
    material.rgba[:3] = nominal + strength * (table - nominal)
    for wall in WALL_GEOMS:
        shade = colour(rng, saturation=(0.0, 0.25), value=(0.45, 0.9))
        plain = np.array([0.75, 0.78, 0.80])
        scene.paint(wall, plain + strength * (shade - plain))


def _light(scene: Scene, rng: Rng, strength: float) -> None:
    for name, brightness in (("key_light", 0.55), ("fill_light", 0.25)):
        light = scene.model.light(name)
        tint = 1.0 + strength * rng.uniform(-0.08, 0.08, 3)
        light.diffuse[:] = brightness * (1.0 + strength * rng.uniform(-0.25, 0.25)) * tint
        position = np.array({"key_light": (0.9, 0.7, 1.4), "fill_light": (0.6, -0.9, 1.2)}[name])
        position = position + strength * rng.uniform(-0.3, 0.3, 3)
        light.pos[:] = position
        light.dir[:] = (np.array([0.4, 0, 0]) - position) / np.linalg.norm(np.array([0.4, 0, 0]) - position)


def _cameras(scene: Scene, rng: Rng, strength: float) -> None:
    front = scene.model.camera("front")
    position = FRONT_POSITION + strength * rng.uniform(-1, 1, 3) * _CAMERA_SHIFT_M
    target = FRONT_TARGET + strength * rng.uniform(-1, 1, 3) * _CAMERA_TARGET_SHIFT_M
    front.pos[:] = position
    front.quat[:] = look_at(position, target)
    front.fovy[:] = FRONT_FOVY_DEG + strength * rng.uniform(-1, 1) * _CAMERA_FOVY_DEG
    wrist = scene.model.camera("wrist")
    turn = strength * rng.uniform(-1, 1, 3) * _WRIST_TURN_RAD
    quat = np.zeros(4)
    mujoco.mju_mulQuat(quat, np.array([0.0, 1.0, 0.0, 0.0]), np.array([1.0, *(turn / 2)]))
    wrist.quat[:] = quat / np.linalg.norm(quat)
    wrist.pos[:] = strength * rng.uniform(-1, 1, 3) * _WRIST_SHIFT_M


def _bystanders(scene: Scene, rng: Rng, largest: int) -> None:
    count = int(rng.integers(largest + 1))
    spots = rng.permutation(len(_DISTRACTOR_SPOTS))
    for index, name in enumerate(DISTRACTORS):
        size = rng.uniform(0.02, 0.045, 3)
        geom = scene.model.geom(name)
        geom.size[:] = size
        geom.rbound[:] = np.linalg.norm(size)
        shade = colour(rng, saturation=(0.2, 0.8), value=(0.3, 0.9))
        spot = np.array(_DISTRACTOR_SPOTS[spots[index]]) + rng.uniform(-0.05, 0.05, 2)
        yaw = rng.uniform(-np.pi, np.pi)
        height = size[1] if geom.type == mujoco.mjtGeom.mjGEOM_CYLINDER else size[2]
        height = size[0] if geom.type == mujoco.mjtGeom.mjGEOM_SPHERE else height
        scene.place(name, np.array([*spot, height if index < count else -1.0]), yaw)
        scene.paint(name, shade)
