"""A MuJoCo state in, rgb images out: headless rendering on EGL, on OSMesa where EGL is missing.

One GL context per renderer; it belongs to the thread that made it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import CellError

_BACKENDS = ("egl", "osmesa")
_MAX_GEOMS = 1000
_HIDDEN_GROUPS = (3, 4, 5)  # collision shapes


class Renderer:
    """Renders cameras of one model off screen, in two steps.

    ``prepare`` reads the state, in any thread; ``draw`` makes the image, always in one thread: that of its first call
    owns the GL context. So a cell can go on moving while its images are drawn.

    :param model: compiled model; its look may change between frames, its geometry may not.
    :param max_width: largest image width in pixels.
    :param max_height: largest image height in pixels.
    """

    def __init__(self, model: mujoco.MjModel, *, max_width: int = 640, max_height: int = 480) -> None:
        self._model = model
        self._size = (max_width, max_height)
        self._options = mujoco.MjvOption()
        for group in _HIDDEN_GROUPS:
            self._options.geomgroup[group] = 0
        self._scenes: dict[str, mujoco.MjvScene] = {}
        self._gl: Any = None
        self._context: mujoco.MjrContext | None = None
        self.backend = ""

    @property
    def name(self) -> str:
        """Back end and driver, as printed in reports: determinism holds for one of them. Needs a first ``draw``."""
        if self._context is None:
            return "not open yet"
        from OpenGL import GL

        self._gl.make_current()
        driver = GL.glGetString(GL.GL_RENDERER)
        return f"{self.backend}: {driver.decode() if driver else 'unknown driver'}"

    def prepare(self, data: mujoco.MjData, cameras: Sequence[str]) -> None:
        """Take the state of one moment for some cameras.

        :raises CellError: on an unknown camera.
        """
        for name in cameras:
            camera = mujoco.MjvCamera()
            camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
            camera.fixedcamid = self._camera_id(name)
            if name not in self._scenes:
                self._scenes[name] = mujoco.MjvScene(self._model, maxgeom=_MAX_GEOMS)
            every = mujoco.mjtCatBit.mjCAT_ALL
            mujoco.mjv_updateScene(
                self._model, data, self._options, None, camera, every, self._scenes[name]
            )

    def draw(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the rgb image ``(height, width, 3)`` of the last prepared moment.

        :raises CellError: on a size above the one given at construction, or without a working EGL or OSMesa; the
            latter names the packages to install.
        """
        if not 0 < width <= self._size[0] or not 0 < height <= self._size[1]:
            raise CellError(
                expected=f"an image of at most {self._size[0]}x{self._size[1]}",
                got=f"{width}x{height}",
                remedy="correct the image size, or raise max_image_width and max_image_height",
            )
        if self._context is None:
            self._open()
        self._gl.make_current()
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(viewport, self._scenes[camera], self._context)
        image = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, viewport, self._context)
        return np.ascontiguousarray(image[::-1])  # OpenGL's first row is the lowest

    def close(self) -> None:
        """Free the GL context; call it in the thread that draws."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None

    def _open(self) -> None:
        self.backend, self._gl = _open_context(*self._size)
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._filter_textures_cheaply()

    def _filter_textures_cheaply(self) -> None:
        # On a CPU, filtering the table's texture over two mip levels takes a third of a frame's time.
        from OpenGL import GL

        assert self._context is not None
        for texture in self._context.texture[: self._context.ntexture]:
            GL.glBindTexture(GL.GL_TEXTURE_2D, int(texture))
            GL.glTexParameteri(GL.GL_TEXTURE_2D, GL.GL_TEXTURE_MIN_FILTER, GL.GL_LINEAR)

    def _camera_id(self, name: str) -> int:
        camera_id = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, name)
        if camera_id < 0:
            known = [self._model.camera(i).name for i in range(self._model.ncam)]
            raise CellError(
                expected=f"a camera of {', '.join(known)}", got=repr(name), remedy="correct the name"
            )
        return camera_id


def _open_context(width: int, height: int) -> tuple[str, Any]:
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    problems = []
    for backend in (wanted,) if wanted in _BACKENDS else _BACKENDS:
        try:
            # PyOpenGL chooses its platform at first import, and mujoco's contexts insist on theirs.
            os.environ.setdefault("PYOPENGL_PLATFORM", backend)
            module = importlib.import_module(f"mujoco.{backend}")
            context = module.GLContext(width, height)
            context.make_current()
            return backend, context
        except Exception as error:  # PyOpenGL raises whatever the missing library makes it raise
            problems.append(f"{backend}: {error}")
            if os.environ.get("PYOPENGL_PLATFORM") == backend:
                del os.environ["PYOPENGL_PLATFORM"]
    raise CellError(
        expected="a working EGL or OSMesa for headless rendering",
        got="; ".join(problems),
        remedy="apt-get install libegl1 libgl1-mesa-dri libosmesa6 (MUJOCO_GL=egl|osmesa chooses one)",
    )
