"""The running cell's state in; the same scene in this process out: the eyes of a scripted operator elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from dopamine_sim.cell import Cell
from dopamine_sim.config import CellConfig


class Mirror:
    """Rebuilds a cell's scene from its task, seed, shift and newest state; renders nothing."""

    def __init__(self) -> None:
        self._cell: Cell | None = None
        self._scene_key: tuple[str, int, bool] | None = None
        self.seen_ns = 0

    @property
    def cell(self) -> Cell | None:
        """The rebuilt cell; None before the first :meth:`set_scene`."""
        return self._cell

    def set_scene(self, task: str, seed: int, shift: bool) -> None:
        """Follow the cell to a scene; does nothing when it is the present one.

        :raises UnknownNameError: when the task is unknown.
        """
        if self._scene_key == (task, seed, shift):
            return
        if self._cell is None or self._cell.task.info.name != task:
            self._cell = Cell(task, config=CellConfig(look=0.0))
        self._cell.reset(seed, shift=shift)
        self._scene_key = task, seed, shift
        self.seen_ns = 0

    def see(self, values: Sequence[float], now_ns: int) -> bool:
        """Take the newest state.

        :param values: as in ``SceneState``: active equalities, then positions.
        :return: False when it belongs to another scene; it is then ignored.
        """
        if self._cell is None:
            return False
        model, data = self._cell.scene.model, self._cell.scene.data
        if len(values) != model.neq + model.nq:
            return False
        state = np.asarray(values, dtype=np.float64)
        data.eq_active[:] = state[: model.neq] > 0.5
        data.qpos[:] = state[model.neq :]
        mujoco.mj_forward(model, data)
        self.seen_ns = now_ns
        return True
