"""A request to reset comes in; the arm at home, the scene restored and a result code go out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from dopamine_msgs.action import Reset
from dopamine_msgs.srv import ResetScene
from numpy.typing import NDArray

from dopamine_core.control.kinematics import TOOL_DOWN, Kinematics, Pose
from dopamine_core.control.reset_motion import ResetTarget
from dopamine_core.errors import DopamineError, GraphError
from dopamine_core.types import ResetState
from dopamine_demo_node.asking import Asking
from dopamine_demo_node.desk import Desk
from dopamine_demo_node.senses import Senses
from dopamine_demo_node.settings import ResetSettings
from dopamine_demo_node.waiting import Waiting
from dopamine_ros import names

_VERIFY_S = 2.0
_LISTENER_S = 5.0
_AGAIN_S = 0.5
Feedback = Callable[[str, float], None]


@dataclass(frozen=True)
class ResetRequest:
    """What is asked for."""

    scene: bool = True
    task: str = ""
    seed: int = -1
    shift: bool = False


@dataclass(frozen=True)
class ResetOutcome:
    """What came of it; codes of ``Reset.Result``."""

    code: int
    message: str
    joint_error_rad: float

    @property
    def ok(self) -> bool:
        """Whether the robot is ready for an episode."""
        return self.code == Reset.Result.OK


class _Failed(Exception):
    """One step did not work out."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Resetter:
    """Brings the arm home, then restores the scene, then looks whether the arm stands.

    :param send: publishes a reset target.
    :param listened: whether somebody listens to it.
    """

    def __init__(
        self,
        *,
        settings: ResetSettings,
        kinematics: Kinematics,
        senses: Senses,
        asking: Asking,
        desk: Desk,
        send: Callable[[ResetTarget], None],
        listened: Callable[[], bool],
        now_ns: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._kinematics = kinematics
        self._senses = senses
        self._asking = asking
        self._desk = desk
        self._send = send
        self._listened = listened
        self._now_ns = now_ns
        self._count = 0

    def run(self, request: ResetRequest, waiting: Waiting, feedback: Feedback) -> ResetOutcome:
        """Do one reset in the caller's thread.

        :raises Cancelled: when it was taken back; the arm then holds where it is, or goes on home.
        """
        home = self._draw_home(request.seed)
        try:
            self._drive_home_patiently(home, waiting, feedback)
            if request.scene:
                feedback("scene", self._error(home))
                self._restore_scene(request, waiting)
                waiting.rest(self._settings.settle_s)
            self._verify(home, waiting, feedback)
        except _Failed as failure:
            return ResetOutcome(failure.code, str(failure), self._error(home))
        except DopamineError as error:
            if isinstance(error, GraphError):
                return ResetOutcome(Reset.Result.SCENE, str(error), self._error(home))
            raise
        return ResetOutcome(Reset.Result.OK, "ready", self._error(home))

    def _draw_home(self, seed: int) -> NDArray[np.float64]:
        """Joint positions (J,) of a home inside the box; the same seed gives the same home."""
        self._count += 1
        rng = np.random.default_rng([seed + 1, 0] if seed >= 0 else [0, self._count])
        low, high = np.array(self._settings.home_low_m), np.array(self._settings.home_high_m)
        pose = Pose(rng.uniform(low, high), TOOL_DOWN)
        return self._kinematics.solve(pose, np.array(self._settings.home_seed_rad))

    def _drive_home_patiently(
        self, home: NDArray[np.float64], waiting: Waiting, feedback: Feedback
    ) -> None:
        """Ask again when the arm was stopped on its way, e.g. by a hand still on the stick."""
        for left in reversed(range(self._settings.attempts)):
            try:
                return self._drive_home(home, waiting, feedback)
            except _Failed as failure:
                if not left or failure.code != Reset.Result.JOINT_TOLERANCE:
                    raise
                feedback(f"again: {failure}", self._error(home))
                waiting.rest(_AGAIN_S)

    def _drive_home(self, home: NDArray[np.float64], waiting: Waiting, feedback: Feedback) -> None:
        if not waiting.until(self._listened, _LISTENER_S):
            raise _Failed(Reset.Result.TIMEOUT, "nobody listens: is the command node running?")
        settings = self._settings
        stamp_ns = self._now_ns()
        target = ResetTarget(stamp_ns, home, settings.retract_m, settings.home_gripper)
        self._send(target)

        def over() -> bool:
            feedback("arm", self._error(home))
            return self._state(stamp_ns) in (ResetState.DONE, ResetState.FAILED)

        if not waiting.until(over, settings.motion_timeout_s):
            text = f"the arm did not report home within {settings.motion_timeout_s:g} s"
            raise _Failed(Reset.Result.TIMEOUT, f"{text}{self._why()}")
        if self._state(stamp_ns) is ResetState.FAILED:
            why = self._senses.reset_failure or "no reason given"
            raise _Failed(Reset.Result.JOINT_TOLERANCE, f"the arm stopped on its way: {why}")

    def _restore_scene(self, request: ResetRequest, waiting: Waiting) -> None:
        who = self._settings.scene
        if who == "service" or (who == "auto" and self._asking.there(names.RESET_SCENE, 0.5)):
            message = ResetScene.Request(task=request.task, seed=request.seed, shift=request.shift)
            answer = self._asking.call(names.RESET_SCENE, message, self._settings.scene_timeout_s)
            if not answer.success:
                raise _Failed(Reset.Result.SCENE, answer.message)
            return
        self._ask_operator(waiting)

    def _ask_operator(self, waiting: Waiting) -> None:
        """Wait for a person to say that the scene is restored."""
        self._desk.scene_confirmed.clear()
        self._desk.asking_for_scene = True
        try:
            limit_s = self._settings.confirm_timeout_s
            if not waiting.until(self._desk.scene_confirmed.is_set, limit_s):
                text = f"the operator did not confirm the scene within {limit_s:g} s"
                raise _Failed(Reset.Result.TIMEOUT, f"{text}: press keep or call reset/confirm")
        finally:
            self._desk.asking_for_scene = False

    def _verify(self, home: NDArray[np.float64], waiting: Waiting, feedback: Feedback) -> None:
        limit_rad = self._settings.tolerance_rad
        if not waiting.until(lambda: self._error(home) <= limit_rad, _VERIFY_S):
            error_rad = self._error(home)
            text = f"joints {error_rad:.3f} rad from home (allowed {limit_rad:g})"
            raise _Failed(Reset.Result.JOINT_TOLERANCE, text)
        feedback("ready", self._error(home))

    def _error(self, home: NDArray[np.float64]) -> float:
        """Largest distance of a measured joint from home in radians; NaN without joint states."""
        sample = self._senses.joints
        if sample is None or self._senses.age_s("joint states") > 1.0:
            return math.nan
        try:
            return float(np.abs(self._kinematics.arm_positions(sample) - home).max())
        except DopamineError:
            return math.nan

    def _state(self, stamp_ns: int) -> ResetState:
        """How the command path says our request stands."""
        tick = self._senses.command
        if tick is None or tick.reset_stamp_ns != stamp_ns:
            return ResetState.NONE
        return tick.reset_state

    def _why(self) -> str:
        tick = self._senses.command
        if tick is None or self._senses.age_s("command") > 1.0:
            return ": the command node is silent"
        return f": {tick.source.name} {tick.text}".rstrip()
