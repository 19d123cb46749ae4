"""Task, seed and mode in, one whole scripted episode out: images, joints, actions and privileged progress.

Material for the reward model and for looking at tasks; policies practise elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_sim.cell import Cell
from dopamine_sim.config import CellConfig
from dopamine_sim.operators import MAX_STEP_M, Operator
from dopamine_sim.servo import Servo

DECISION_NS = 100_000_000
_AFTER_SUCCESS = 3  # decisions shown after the task is done


@dataclass(frozen=True)
class SimEpisode:
    """N decisions at 10 Hz; action k is executed between images k and k + 1."""

    task: str
    sentence: str
    mode: str
    seed: int
    shift: bool
    front: NDArray[np.uint8]  # (N, H, W, 3) rgb
    wrist: NDArray[np.uint8]  # (N, H, W, 3) rgb
    joints: NDArray[np.float64]  # (N, 7) rad, finger m
    tcp: NDArray[np.float64]  # (N, 3) m
    actions: NDArray[np.float64]  # (N - 1, 7): x y z rx ry rz in m and rad, gripper 0 open ... 1 closed
    progress: NDArray[np.float64]  # (N,) privileged, [0, 1]
    stage: NDArray[np.int64]  # (N,) privileged
    success: NDArray[np.bool_]  # (N,) privileged
    keyframes: tuple[int, ...]  # 0, first index of each new highest stage, last

    @property
    def succeeded(self) -> bool:
        """Whether the task was done when the episode ended."""
        return bool(self.success[-1])


def generate_episode(
    task: str,
    seed: int,
    mode: str = "expert",
    *,
    shift: bool = False,
    image_size: tuple[int, int] | None = (160, 120),
    cell: Cell | None = None,
    config: CellConfig | None = None,
    observe: Callable[[Cell], None] | None = None,
) -> SimEpisode:
    """Play one episode.

    :param task: task name.
    :param seed: scene and operator; the same seed gives the same episode.
    :param mode: one of ``dopamine_sim.tasks.base.MODES``.
    :param shift: the task's declared shift.
    :param image_size: (width, height) in pixels; None renders nothing and leaves images of size 0.
    :param cell: reuse a cell of this task (saves compiling the model and making a GL context).
    :param observe: called with the cell at every decision, when the images are taken.
    :raises UnknownNameError: on an unknown task or mode.
    """
    own = cell is None
    cell = cell or Cell(task, config=config)
    try:
        cell.reset(seed, shift=shift)
        operator = Operator(cell.task, cell.scene, mode, seed=seed)
        return _play(cell, operator, task, seed, mode, shift, image_size, observe)
    finally:
        if own:
            cell.close()


def _play(
    cell: Cell,
    operator: Operator,
    task: str,
    seed: int,
    mode: str,
    shift: bool,
    image_size: tuple[int, int] | None,
    observe: Callable[[Cell], None] | None,
) -> SimEpisode:
    servo = Servo(cell)
    rows: list[tuple] = []
    actions: list[np.ndarray] = []
    done_for = 0
    while True:
        rows.append(_look(cell, image_size))
        if observe is not None:
            observe(cell)
        done_for = done_for + 1 if cell.truth().success else 0
        command = operator.command()
        if len(rows) > cell.task.info.max_decisions or done_for > _AFTER_SUCCESS or command.done:
            break
        displacement = command.twist[:3] * MAX_STEP_M
        actions.append(np.array([*displacement, 0.0, 0.0, 0.0, command.gripper]))
        servo.execute(displacement, command.gripper, DECISION_NS)
    front, wrist, joints, tcp, progress, stage, success = (np.array(c) for c in zip(*rows, strict=True))
    return SimEpisode(
        task=task,
        sentence=cell.task.info.sentence,
        mode=mode,
        seed=seed,
        shift=shift,
        front=front,
        wrist=wrist,
        joints=joints,
        tcp=tcp,
        actions=np.array(actions).reshape(-1, 7),
        progress=progress,
        stage=stage,
        success=success,
        keyframes=_keyframes(stage),
    )


def _look(cell: Cell, image_size: tuple[int, int] | None) -> tuple:
    empty = np.zeros((0, 0, 3), np.uint8)
    front, wrist = (
        (cell.render("front", *image_size), cell.render("wrist", *image_size))
        if image_size
        else (empty, empty)
    )
    truth = cell.truth()
    joints = cell.joint_state().position
    return front, wrist, joints, cell.scene.tcp(), truth.progress, truth.stage, truth.success


def _keyframes(stage: NDArray[np.int64]) -> tuple[int, ...]:
    highest = np.maximum.accumulate(stage)
    rises = np.flatnonzero(np.diff(highest) > 0) + 1
    return tuple(sorted({0, *rises.tolist(), len(stage) - 1}))
