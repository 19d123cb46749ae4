"""A cell that runs by itself: one thread moves it against a clock, another draws its cameras.

What it produces goes to a sink; what it is asked to do may come from any thread. No ROS here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import CellError
from dopamine_core.types import CAMERAS
from dopamine_sim.cell import Cell, JointState, Truth
from dopamine_sim.config import CellConfig
from dopamine_sim.joint_trajectory_controller import Point, TrajectoryVerdict
from dopamine_sim.renderer import Renderer

NS = 1_000_000_000
_BEHIND_NS = 100_000_000  # a cell later than this gives up catching up


@dataclass(frozen=True)
class LiveConfig:
    """How fast the cell runs and how often it speaks."""

    task: str = setting("insert_peg", doc="Task at the start.")
    seed: int = setting(0, doc="Seed of the first scene; later ones count up from it.", low=0)
    shift: bool = setting(False, doc="Whether the task's declared shift is on at the start.")
    speed: float = setting(
        1.0,
        doc="1: real time on the system clock; otherwise /clock is published, at most this much faster.",
        low=0.05,
        high=20.0,
    )
    camera_rate_hz: float = setting(30.0, doc="Rate of each camera.", unit="Hz", low=0.5, high=120.0)
    image_width: int = setting(640, doc="Width of the images.", unit="px", low=16, high=1920)
    image_height: int = setting(480, doc="Height of the images.", unit="px", low=16, high=1080)
    joint_state_rate_hz: float = setting(50.0, doc="Rate of joint states.", unit="Hz", low=1.0, high=100.0)
    truth_rate_hz: float = setting(10.0, doc="Rate of the privileged truth.", unit="Hz", low=0.5, high=50.0)
    state_rate_hz: float = setting(
        20.0, doc="Rate of the whole state, for the scripted operator's eyes.", unit="Hz", low=1.0, high=100.0
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def real_time(self) -> bool:
        """Whether time is the system clock's."""
        return self.speed == 1.0


@dataclass(frozen=True)
class SceneState:
    """The whole physical state, from which another process can rebuild what is seen."""

    values: NDArray[np.float64]  # (E + Q,) active equalities, then positions


@dataclass(frozen=True)
class Health:
    """How well the cell keeps its rates, counted since it started."""

    dropped_frames: int = 0  # camera pairs skipped because the one before was still being drawn
    skipped_ns: int = 0  # time that passed without physics (real time only)
    blow_ups: int = 0  # times the physics had to be restarted
    draw_ms: float = float("nan")  # newest time to draw and publish a pair
    renderer: str = ""


class Sink(Protocol):
    """Where the cell's output goes; ``images`` is called from the drawing thread, the rest from the moving one."""

    def clock(self, now_ns: int) -> None:
        """Time has come to this."""

    def joints(self, state: JointState) -> None:
        """Measured joints."""

    def truth(self, stamp_ns: int, truth: Truth, task: str, seed: int, shift: bool) -> None:
        """Privileged truth."""

    def state(self, state: SceneState) -> None:
        """Whole state."""

    def images(self, stamp_ns: int, images: dict[str, NDArray[np.uint8]]) -> None:
        """One camera pair, each ``(H, W, 3)`` rgb."""

    def trouble(self, text: str) -> None:
        """Something went wrong, and the cell goes on."""


class LiveCell:
    """Runs a cell in threads of its own.

    :param config: what runs, how fast, how often it speaks.
    :param cell_config: physics and look.
    :param sink: takes what comes out.
    :param clock: present time in ns; only used in real time.
    :raises UnknownNameError: when the task is unknown.
    """

    def __init__(
        self, config: LiveConfig, cell_config: CellConfig, sink: Sink, clock: Callable[[], int]
    ) -> None:
        self._config, self._cell_config, self._sink, self._clock = config, cell_config, sink, clock
        self._cell = Cell(config.task, config=_with_image_size(cell_config, config), start_ns=clock())
        self._cell.reset(config.seed, shift=config.shift)
        self._next_seed = config.seed + 1
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wanted = threading.Semaphore(0)
        self._drawn = threading.Event()
        self._drawn.set()
        self._job: tuple[Renderer, int] | None = None
        self._due = dict.fromkeys(("joints", "images", "truth", "state"), self._cell.now_ns)
        self._dropped, self._skipped_ns, self._blow_ups = 0, 0, 0
        self._draw_ms, self._renderer_name = float("nan"), ""
        self._threads = [
            threading.Thread(target=self._move, name="cell_move", daemon=True),
            threading.Thread(target=self._draw, name="cell_draw", daemon=True),
        ]

    def start(self) -> None:
        """Begin to move and to draw."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop both threads and wait for them."""
        self._stopping.set()
        self._drawn.set()
        self._wanted.release()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=5.0)

    @property
    def health(self) -> Health:
        """How it is doing."""
        return Health(
            self._dropped, self._skipped_ns, self._blow_ups, self._draw_ms, self._renderer_name
        )

    def submit_trajectory(
        self, joint_names: Sequence[str], points: Sequence[Point], stamp_ns: int
    ) -> TrajectoryVerdict:
        """Send a trajectory to the arm's controller."""
        with self._lock:
            return self._cell.submit_trajectory(joint_names, points, stamp_ns)

    def command_gripper(self, closed: float) -> bool:
        """Command the gripper, 0 open ... 1 closed; False when the value is not finite."""
        with self._lock:
            return self._cell.command_gripper(closed)

    def reset_scene(self, task: str, seed: int, shift: bool) -> str:
        """Restore the scene for the next episode; the arm stays where it is.

        :param task: task name; empty keeps the present one.
        :param seed: -1 takes the next of the cell's own.
        :return: what was set up, in words.
        :raises UnknownNameError: when the task is unknown; nothing has changed then.
        """
        with self._lock:
            if task and task != self._cell.task.info.name:
                self._change_task(task)
            used = self._next_seed if seed < 0 else seed
            self._next_seed = used + 1
            self._cell.reset_scene(used, shift=shift)
            return f"{self._cell.task.info.name}, seed {used}, shift {'on' if shift else 'off'}"

    def _change_task(self, task: str) -> None:
        new = Cell(task, config=_with_image_size(self._cell_config, self._config))
        new.take_over(self._cell)
        self._cell = new  # the drawing thread frees the old renderer

    # --- the moving thread ---------------------------------------------------------------------------------------

    def _move(self) -> None:
        period_ns = self._cell_config.control_period_ns
        anchor = time.monotonic_ns(), self._cell.now_ns
        while not self._stopping.is_set():
            target_ns, anchor = self._target(anchor, period_ns)
            while self._cell.now_ns + period_ns <= target_ns and not self._stopping.is_set():
                self._step(period_ns)
                self._speak()
            self._stopping.wait(self._pause_s(target_ns, period_ns))

    def _target(self, anchor: tuple[int, int], period_ns: int) -> tuple[int, tuple[int, int]]:
        """How far time should have come by now; gives up what cannot be made up for."""
        wall_ns = time.monotonic_ns()
        if self._config.real_time:
            target_ns = self._clock()
            behind_ns = target_ns - self._cell.now_ns
            if behind_ns > _BEHIND_NS:
                self._skip(behind_ns - behind_ns % period_ns)
            return target_ns, anchor
        target_ns = anchor[1] + round((wall_ns - anchor[0]) * self._config.speed)
        if target_ns - self._cell.now_ns > _BEHIND_NS:
            anchor = wall_ns, self._cell.now_ns + period_ns
            target_ns = anchor[1]
        return target_ns, anchor

    def _pause_s(self, target_ns: int, period_ns: int) -> float:
        left_ns = self._cell.now_ns + period_ns - target_ns
        return max(left_ns / NS / self._config.speed, 0.0005)

    def _skip(self, span_ns: int) -> None:
        with self._lock:
            self._cell.skip(span_ns)
        self._skipped_ns += span_ns

    def _step(self, period_ns: int) -> None:
        try:
            with self._lock:
                self._cell.advance(period_ns)
        except CellError as error:
            self._blow_ups += 1
            self._sink.trouble(str(error))
            with self._lock:
                self._cell.reset(self._cell.seed + 1, shift=self._cell.shift)

    def _speak(self) -> None:
        with self._lock:
            cell, now_ns = self._cell, self._cell.now_ns
            joints = cell.joint_state() if self._is_due("joints", now_ns) else None
            truth = cell.truth() if self._is_due("truth", now_ns) else None
            state = _state_of(cell) if self._is_due("state", now_ns) else None
        if not self._config.real_time:
            self._sink.clock(now_ns)
        if joints is not None:
            self._sink.joints(joints)
        if truth is not None:
            self._sink.truth(now_ns, truth, cell.task.info.name, cell.seed, cell.shift)
        if state is not None:
            self._sink.state(state)
        if self._is_due("images", now_ns):
            self._order_images()

    def _is_due(self, what: str, now_ns: int) -> bool:
        if now_ns < self._due[what]:
            return False
        rate_hz = {
            "joints": self._config.joint_state_rate_hz,
            "images": self._config.camera_rate_hz,
            "truth": self._config.truth_rate_hz,
            "state": self._config.state_rate_hz,
        }[what]
        step_ns = round(NS / rate_hz)
        missed = (now_ns - self._due[what]) // step_ns
        self._due[what] += (missed + 1) * step_ns
        return True

    def _order_images(self) -> None:
        # In real time a late frame is lost, as a camera loses it; under /clock time waits for it.
        if not self._drawn.is_set():
            if self._config.real_time:
                self._dropped += 1
                return
            self._drawn.wait()
            if self._stopping.is_set():
                return
        with self._lock:
            renderer = self._cell.renderer
            renderer.prepare(self._cell.scene.data, CAMERAS)
            self._job = renderer, self._cell.now_ns
        self._drawn.clear()
        self._wanted.release()

    # --- the drawing thread --------------------------------------------------------------------------------------

    def _draw(self) -> None:
        last: Renderer | None = None
        while not self._stopping.is_set():
            self._wanted.acquire()
            if self._stopping.is_set() or self._job is None:
                break
            renderer, stamp_ns = self._job
            if last is not None and last is not renderer:
                last.close()
            last = renderer
            self._draw_pair(renderer, stamp_ns)
        if last is not None:
            last.close()

    def _draw_pair(self, renderer: Renderer, stamp_ns: int) -> None:
        began = time.perf_counter()
        size = self._config.image_width, self._config.image_height
        try:
            images = {camera: renderer.draw(camera, *size) for camera in CAMERAS}
            self._renderer_name = self._renderer_name or renderer.name
            self._sink.images(stamp_ns, images)
        except CellError as error:
            self._sink.trouble(str(error))
        finally:
            self._draw_ms = (time.perf_counter() - began) * 1e3
            self._drawn.set()


def _state_of(cell: Cell) -> SceneState:
    data = cell.scene.data
    return SceneState(np.concatenate([data.eq_active.astype(np.float64), data.qpos]))


def _with_image_size(config: CellConfig, live: LiveConfig) -> CellConfig:
    return CellConfig(
        physics_step_ns=config.physics_step_ns,
        control_period_ns=config.control_period_ns,
        max_image_width=live.image_width,
        max_image_height=live.image_height,
        look=config.look,
        look_seed=config.look_seed,
        distractors=config.distractors,
    )
