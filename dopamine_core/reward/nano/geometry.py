"""A cell comes in; the privileged places that the encoder's features must tell go out.

Columns: tool position (3) in base_link; then for each place of the task its offset from the tool (3) and its image
position in the front (2) and wrist (2) camera, in units of half the image height; then the offsets between
neighbouring places (3). Metres; NaN where a place is not in the picture. Image positions are scaled by
``IMAGE_SCALE_M`` so that one scale fits all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOOL_COLUMNS = 3
PLACE_COLUMNS = 7
IMAGE_SCALE_M = 0.15  # half an image height counts as this many metres
_VISIBLE = 1.4  # half image heights


def places_of(model: Any, base_bodies: frozenset[str]) -> tuple[str, ...]:
    """Names of the bodies that a task added to the cell, in order."""
    names = (model.body(i).name for i in range(1, model.nbody))
    return tuple(sorted(name for name in names if name not in base_bodies))


def geometry_of(scene: Any, places: tuple[str, ...]) -> NDArray[np.float32]:
    """Read the columns (G,) described above off a scene."""
    tool = scene.tcp()
    points = [scene.position(name) for name in places]
    columns = [tool]
    for point in points:
        columns += [point - tool, *(project(scene, camera, point) for camera in ("front", "wrist"))]
    columns += [b - a for a, b in zip(points[:-1], points[1:], strict=True)]
    return np.concatenate(columns).astype(np.float32)


def project(scene: Any, camera: str, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Image position (2,) of a point, right and down, times ``IMAGE_SCALE_M``; NaN when it is not in the picture."""
    state = scene.data.camera(camera)
    x, y, z = state.xmat.reshape(3, 3).T @ (point - state.xpos)
    half = np.tan(np.deg2rad(float(scene.model.camera(camera).fovy[0])) / 2.0)
    if z > -1e-3:  # behind the camera, which looks along -z
        return np.full(2, np.nan)
    image = np.array([x, -y]) / (-z * half)
    return image * IMAGE_SCALE_M if np.abs(image).max() < _VISIBLE else np.full(2, np.nan)
