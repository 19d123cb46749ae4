"""A thread of its own asks the reward model: decisions and the newest pair, turn and turn about."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Protocol

from dopamine_core.frames.buffer import FrameBuffer
from dopamine_core.frames.intake import Intake
from dopamine_core.frames.rate import RateGate
from dopamine_core.reward.label_lane import NO_TASK_TEXT, LabelLane, LaneOutput
from dopamine_core.reward.monitor import MonitorLane
from dopamine_core.types import FramePair, Reading, Status

_STATUS_PERIOD_NS = 500_000_000
_IDLE_S = 0.05
_WAITING_S = 0.005  # while a decision waits for its frames


class Outlet(Protocol):
    """Where results go."""

    def monitor(self, reading: Reading, pair: FramePair | None) -> None:
        """Take a monitor-lane reading; the pair is None when there was none to look at."""

    def label(self, output: LaneOutput) -> None:
        """Take what a step of the label lane made known."""


class InferenceWorker:
    """One step of the label lane, then one look of the monitor lane if something fresh is there.

    With a model that takes seconds neither starves the other: the monitor looks at the newest pair of that moment, so
    its reading is one inference old and no more, however many decisions wait.

    :param lane: label lane.
    :param buffer: asked for the newest pair.
    :param intake: asked why there are no pairs.
    :param outlet: where results go, called from the worker's thread.
    :param now_ns: the node's clock.
    :param monitor_rate_hz: readings per second at most.
    :param complain: called with a sentence when something unexpected happens.
    """

    def __init__(
        self,
        lane: LabelLane,
        buffer: FrameBuffer,
        intake: Intake,
        outlet: Outlet,
        *,
        now_ns: Callable[[], int],
        monitor_rate_hz: float,
        complain: Callable[[str], None],
    ) -> None:
        self._lane = lane
        self._buffer = buffer
        self._intake = intake
        self._outlet = outlet
        self._now_ns = now_ns
        self._complain = complain
        self._monitor = MonitorLane()
        self._gate = RateGate(monitor_rate_hz)
        self._seen: FramePair | None = None
        self._status_ns = 0
        self._wake = Event()
        self._restart = True
        self._stopping = False
        self._thread = Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, release: Callable[[], None]) -> None:
        """Stop the thread and wait for it.

        :param release: lets the thread wait for the model no longer, so that stopping takes no inference.
        """
        self._stopping = True
        self._wake.set()
        release()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def wake(self) -> None:
        """Say that there is something new."""
        self._wake.set()

    def restart_monitor(self) -> None:
        """Let the monitor start anew with the present task and model."""
        self._restart = True
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                labelled = self._label()
                if self._look() or labelled:
                    continue
            except Exception as error:  # nothing that comes in may end the lanes
                self._complain(f"inference: {type(error).__name__}: {error}")
            self._wake.wait(_WAITING_S if self._lane.backlog else _IDLE_S)
            self._wake.clear()

    def _label(self) -> bool:
        outputs = self._lane.step(self._now_ns())
        for output in outputs:
            self._restart |= output.opened
            self._outlet.label(output)
        return bool(outputs)

    def _look(self) -> bool:
        if self._stopping:
            return False
        if self._restart or self._lane.model is None:  # without one, why may change
            self._restart = False
            lane = self._lane
            why = lane.model_fault if lane.model is None else NO_TASK_TEXT
            self._monitor.restart(lane.model, lane.references, why)
        now_ns = self._now_ns()
        pair = self._buffer.newest
        if pair is None or pair is self._seen or not self._gate.passes(pair.stamp_ns):
            self._tell_fault(now_ns)
            return False
        self._seen, self._status_ns = pair, now_ns
        fault = self._intake.fault(now_ns)
        stale = fault is not None and fault[0] is Status.STALE
        reading = self._monitor.blind(*fault) if stale and fault else self._monitor.look(pair)
        self._outlet.monitor(reading, pair)
        return True

    def _tell_fault(self, now_ns: int) -> None:
        """Without fresh pairs, say why, a few times a second."""
        if 0 <= now_ns - self._status_ns < _STATUS_PERIOD_NS:
            return
        fault = self._intake.fault(now_ns)
        self._status_ns = now_ns
        if fault is not None:
            self._outlet.monitor(self._monitor.blind(*fault), None)
