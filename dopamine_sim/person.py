"""What a person sees at the cell in, what their hands do at the controller out: one demonstration at a time.

Pure: time is an argument. Twice per decision the person says what the controller sends.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.control.teleop import Button, JoyMap
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState
from dopamine_sim.mirror import Mirror
from dopamine_sim.operators import MAX_STEP_M, DeviceCommand, Operator

DECISION_S = 0.1
_RESTING_MESSAGES = 2  # sent before and after, so that presses are edges
_STALE_NS = 500_000_000
_SURE_AFTER = 3  # decisions of success before it is kept
_PATIENCE = 1.25  # of the task's own number of decisions


class _State(enum.Enum):
    IDLE = "idle"
    DRIVING = "driving"
    LETTING_GO = "letting go"


@dataclass(frozen=True)
class PadMessage:
    """One message of a game controller."""

    axes: list[float]
    buttons: list[int]


class Person:
    """Teleoperates every demonstration that is opened, and keeps or discards it by their own eyes.

    :param mirror: what they see.
    :param joy_map: their controller.
    :param mode: how they work; one of ``dopamine_sim.tasks.base.MODES``.
    :param seed: their mood.
    :param gain: see :class:`~dopamine_sim.operators.Operator`.
    :param recordings: how many recordings they start by themselves.
    """

    def __init__(
        self,
        mirror: Mirror,
        joy_map: JoyMap,
        *,
        mode: str = "expert",
        seed: int = 0,
        gain: float = 0.4,
        recordings: int = 0,
    ) -> None:
        self._mirror, self._map, self._mode, self._gain = mirror, joy_map, mode, gain
        self._seed, self._recordings = seed, recordings
        self._state = _State.IDLE
        self._episode_id = ""
        self._operator: Operator | None = None
        self._twist: NDArray[np.float64] = np.zeros(6)
        self._tick = self._decisions = self._successes = self._resting = 0
        self._gripper_wanted = self._gripper_level = 0.0
        self._held_before: set[Button] = set()
        self._presses: list[Button] = []

    @property
    def doing(self) -> str:
        """What they do, in words."""
        return self._state.value if self._operator is None else f"{self._state.value}: {self._operator.phase}"

    def on_episode(self, info: EpisodeInfo) -> None:
        """Hear how the episode stands: an opened demonstration is driven, a closed one is let go."""
        wanted = info.state is EpisodeState.OPEN and info.kind is EpisodeKind.DEMONSTRATION
        if wanted and info.episode_id != self._episode_id:
            self._episode_id = info.episode_id
            self._state, self._operator, self._resting = _State.DRIVING, None, _RESTING_MESSAGES
            self._tick = self._decisions = self._successes = 0
            self._presses = []
        elif not wanted and self._state is not _State.IDLE:
            self._let_go()

    def on_gripper(self, level: float) -> None:
        """See the gripper's commanded level (0 open ... 1 closed); NaN: not known yet."""
        if np.isfinite(level):
            self._gripper_level = level

    def start_recording(self) -> bool:
        """Press record when there is still one to be made; True when pressed."""
        if self._state is not _State.IDLE or self._recordings <= 0:
            return False
        self._recordings -= 1
        self._state, self._resting = _State.LETTING_GO, _RESTING_MESSAGES
        self._presses = [Button.RECORD]
        return True

    def message(self, now_ns: int) -> PadMessage | None:
        """What the controller sends now; None: nobody has it in their hands. Call it twice per decision."""
        if self._state is _State.IDLE:
            return None
        if self._state is _State.LETTING_GO:
            return self._rest()
        if now_ns - self._mirror.seen_ns > _STALE_NS or self._mirror.cell is None:
            return self._pad(set())  # blind: hands off
        if self._tick % 2 == 0:
            self._decide()
        self._tick += 1
        if self._state is _State.LETTING_GO:
            return self._rest()
        return self._drive()

    def _decide(self) -> None:
        cell = self._mirror.cell
        assert cell is not None
        if self._operator is None:
            self._seed += 1
            self._operator = Operator(cell.task, cell.scene, self._mode, seed=self._seed, gain=self._gain)
            self._gripper_wanted = cell.task.info.start_gripper
        self._decisions += 1
        self._successes = self._successes + 1 if cell.task.success(cell.scene) else 0
        command = self._operator.command()
        late = self._decisions > _PATIENCE * cell.task.info.max_decisions
        if self._successes >= _SURE_AFTER:
            self._end(Button.KEEP)
        elif command.done or late:
            self._end(Button.DISCARD)
        else:
            self._take(command)

    def _take(self, command: DeviceCommand) -> None:
        self._twist = command.twist * (MAX_STEP_M / DECISION_S)  # (6,) m/s
        self._gripper_wanted = command.gripper

    def _drive(self) -> PadMessage:
        held = {Button.DEAD_MAN}
        toggle = round(self._gripper_wanted) != round(self._gripper_level)
        if toggle and Button.GRIPPER not in self._held_before and self._decisions > 1:
            held.add(Button.GRIPPER)
        return self._pad(held, self._twist)

    def _end(self, button: Button) -> None:
        self._presses = [button]
        self._let_go()

    def _let_go(self) -> None:
        self._state, self._resting, self._operator = _State.LETTING_GO, _RESTING_MESSAGES, None
        self._twist = np.zeros(6)

    def _rest(self) -> PadMessage:
        """Hands off; then press what is to be pressed; then put the controller down."""
        if self._resting > 0:
            self._resting -= 1
            return self._pad(set())
        if self._presses:
            self._resting = _RESTING_MESSAGES
            return self._pad({self._presses.pop(0)})
        self._state = _State.IDLE
        return self._pad(set())

    def _pad(self, held: set[Button], twist: NDArray[np.float64] | None = None) -> PadMessage:
        self._held_before = held
        axes = self._map.axes_of((np.zeros(6) if twist is None else twist).tolist())
        return PadMessage(axes, self._map.buttons_of(held))
