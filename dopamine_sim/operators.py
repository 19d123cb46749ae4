"""A task's plan in, what a person's device would send out: an imperfect teleoperator.

It looks at privileged state, as a person looks at the scene, but speaks only in device commands: an end-effector
twist in [-1, 1] per axis and a gripper button. It bows its paths, varies its speed, pauses, overshoots and trembles,
tries again when it has failed, and on request stops early, goes back, misses widely or narrowly without noticing, drops
things (where nothing is carried it goes back instead) or wanders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import UnknownNameError
from dopamine_sim.scene import Scene
from dopamine_sim.tasks.base import MODES, Phase, Task

Vector = NDArray[np.float64]
MAX_STEP_M = 0.011  # full stick over one decision of 100 ms
_BOW_M = 0.02
_OVERSHOOT_M = 0.012
_MISS_M = {"missed_grasp": (0.028, 0.042), "near_miss": (0.003, 0.012)}
_PAUSE_SHARE = 0.02
_HONEST = ("expert", "regresses")  # modes that look at the outcome and try again
_ATTEMPTS = 3


@dataclass(frozen=True)
class DeviceCommand:
    """What a game controller says at one moment."""

    twist: Vector  # (6,) in [-1, 1]: x y z rx ry rz along base_link
    gripper: float  # 0 open ... 1 closed: a held button
    done: bool  # the person believes that it is over


class Operator:
    """One person doing one task once.

    :param task: the task whose plan is followed.
    :param mode: one of ``dopamine_sim.tasks.base.MODES``.
    :param seed: the person's mood.
    :param gain: share of a short remaining way that is asked for at once; lower where the arm answers late.
    :raises UnknownNameError: on an unknown mode.
    """

    def __init__(
        self, task: Task, scene: Scene, mode: str = "expert", *, seed: int = 0, gain: float = 0.75
    ) -> None:
        if mode not in MODES:
            raise UnknownNameError(kind="operator mode", name=mode, known=list(MODES))
        self._rng = np.random.default_rng([abs(int(seed)), 7, MODES.index(mode)])
        self._scene, self._mode, self._task, self._gain = scene, mode, task, gain
        self._phases = list(task.plan(scene, self._rng))
        self._index, self._age, self._dwelt = 0, 0, 0
        self._attempts_left = _ATTEMPTS if mode in _HONEST else 0
        self._visited = [scene.tcp()]
        self._tremble = np.zeros(3)
        self._pause = 0
        self._speed = task.info.pace * self._rng.uniform(0.8, 1.0)
        self._gripper = task.info.start_gripper
        self._dropped = False
        self._idle = 0
        self._draw_mistake()
        self._begin_phase()

    @property
    def phase(self) -> str:
        """Name of the present phase."""
        return self._phases[self._index].name if self._index < len(self._phases) else "done"

    def command(self) -> DeviceCommand:
        """Look at the scene and say what the device sends for the next 100 ms."""
        if self._mode == "wanders":
            return self._wander()
        if self._index >= len(self._phases) and self._attempts_left and not self._task.success(self._scene):
            self._try_again()
        if self._index >= len(self._phases) or self._has_stopped():
            self._idle += 1
            return DeviceCommand(self._with_tremble(np.zeros(3), 0.15), self._gripper, self._idle > 4)
        phase = self._phases[self._index]
        target = self._target(phase)
        self._advance_phase(phase, target)
        if self._pause > 0:
            self._pause -= 1
            return DeviceCommand(self._with_tremble(np.zeros(3), 0.05), self._gripper, False)
        if self._dwelt > 0 and phase.dwell:
            self._gripper = self._wanted_gripper(phase)
            return DeviceCommand(self._with_tremble(self._towards(target, phase), 0.03), self._gripper, False)
        noise = 0.05 if phase.precise else 0.14
        return DeviceCommand(self._with_tremble(self._towards(target, phase), noise), self._gripper, False)

    def _try_again(self) -> None:
        self._attempts_left -= 1
        self._phases = list(self._task.plan(self._scene, self._rng))
        self._index, self._visited = 0, [self._scene.tcp()]
        self._begin_phase()

    def _draw_mistake(self) -> None:
        count = len(self._phases)
        rng = self._rng
        carries = [i for i, phase in enumerate(self._phases) if phase.carry]
        mode = "regresses" if self._mode == "drops" and not carries else self._mode
        self._stop_at = int(rng.integers(0, count)) if self._mode == "stops_early" else count + 1
        self._stop_age = int(rng.integers(2, 8))
        moves = [i for i, phase in enumerate(self._phases) if i and not phase.dwell] or [0]
        self._regress_at = int(rng.choice(moves)) if mode == "regresses" else -1
        self._regress_left = int(rng.integers(10, 22))
        angle = rng.uniform(-np.pi, np.pi)
        size = rng.uniform(*_MISS_M[self._mode]) if self._mode in _MISS_M else 0.0
        self._miss = size * np.array([np.cos(angle), np.sin(angle), 0.0])
        self._drop_age = int(rng.integers(2, 7))
        self._drop_at = int(rng.choice(carries)) if mode == "drops" else -1

    def _begin_phase(self) -> None:
        self._age, self._dwelt = 0, 0
        side = self._rng.normal(size=3) * np.array([1.0, 1.0, 0.4])
        self._bow = self._rng.uniform(0.3, 1.0) * _BOW_M * side / np.linalg.norm(side)
        overshoots = self._rng.random() < 0.3
        self._overshoot = self._rng.uniform(0.4, 1.0) * _OVERSHOOT_M if overshoots else 0.0
        self._start = self._scene.tcp()
        self._pace = self._speed * self._rng.uniform(0.85, 1.0)

    def _target(self, phase: Phase) -> Vector:
        if self._going_back():
            return self._visited[max(self._index - 1, 0)]
        target = phase.target(self._scene)
        return target + self._miss if self._mode in _MISS_M else target

    def _going_back(self) -> bool:
        return self._index == self._regress_at and self._age > 4 and self._regress_left > 0

    def _has_stopped(self) -> bool:
        return self._index >= self._stop_at and self._age >= self._stop_age

    def _advance_phase(self, phase: Phase, target: Vector) -> None:
        self._age += 1
        if self._going_back():
            self._regress_left -= 1
            empty = phase.gripper == self._phases[0].gripper
            if self._regress_left == 0 and empty:
                self._try_again()  # what it was after may have moved
                self._regress_at = -1
            return
        if self._index == self._drop_at and self._age >= self._drop_age:
            self._dropped = True
            self._gripper = self._wanted_gripper(phase)
        arrived = np.linalg.norm(target - self._scene.tcp()) < phase.tolerance_m
        if arrived or self._dwelt > 0 or self._age > phase.patience:
            self._dwelt += 1
        if self._dwelt > phase.dwell:
            self._gripper = self._wanted_gripper(phase)
            self._visited.append(self._scene.tcp())
            self._index += 1
            self._pause = int(self._rng.integers(1, 4)) if self._rng.random() < 0.15 else 0
            self._begin_phase()
        elif self._rng.random() < _PAUSE_SHARE:
            self._pause = int(self._rng.integers(2, 5))

    def _wanted_gripper(self, phase: Phase) -> float:
        return 0.0 if self._dropped else phase.gripper

    def _towards(self, target: Vector, phase: Phase) -> Vector:
        """Stick deflection ``(3,)``: fast far away, slow near, along a bowed path."""
        here = self._scene.tcp()
        way = target - here
        left = float(np.linalg.norm(way))
        total = max(float(np.linalg.norm(target - self._start)), 1e-3)
        if not phase.precise and left > 0.012:
            done = np.clip(1.0 - left / total, 0.0, 1.0)
            away = self._bow * np.sin(np.pi * done) * min(1.0, total / 0.1)
            over = self._overshoot * way / max(left, 1e-6) if left < 0.05 else 0.0
            way = way + away + over
        speed = self._pace * phase.speed * MAX_STEP_M
        step = way * min(1.0, speed / max(float(np.linalg.norm(way)), 1e-9))
        step *= 1.0 if left > 2 * speed else self._gain  # eases in
        return step / MAX_STEP_M

    def _with_tremble(self, stick: Vector, amount: float) -> Vector:
        self._tremble = 0.7 * self._tremble + 0.7 * self._rng.normal(size=3)
        shaken = stick + amount * self._tremble * (0.3 + np.abs(stick).max())
        return np.concatenate([np.clip(shaken, -1.0, 1.0), np.zeros(3)])

    def _wander(self) -> DeviceCommand:
        self._age += 1
        if self._age % 12 == 1:
            info = self._task.info
            low, high = np.array(info.workspace_low), np.array(info.workspace_high)
            self._goal = self._rng.uniform(low + 0.1 * (high - low), high - 0.3 * (high - low))
            self._speed = self._rng.uniform(0.3, 1.0)
            if self._task.info.uses_gripper and self._rng.random() < 0.25:
                self._gripper = 1.0 - round(self._gripper)
        way = self._goal - self._scene.tcp()
        stick = self._speed * way / max(float(np.linalg.norm(way)), MAX_STEP_M)
        return DeviceCommand(self._with_tremble(stick, 0.2), self._gripper, False)
