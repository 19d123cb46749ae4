"""Camera messages come in from callbacks; a thread of its own makes frame pairs of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from dopamine_core.errors import ImageError
from dopamine_core.frames.buffer import FrameBuffer
from dopamine_core.frames.intake import Frame, Intake
from dopamine_core.types import FramePair
from dopamine_ros.convert.images import frame_from_msg

_QUEUE = 30  # frames of both cameras: half a second at 30 Hz


class IntakeWorker:
    """Checks, pairs, encodes, keeps and hands on; callbacks only store.

    :param intake: the cameras' checks and pairing.
    :param buffer: where pairs are kept for decisions.
    :param hand_on: called with each new pair, from the worker's thread.
    :param complain: called with a sentence when something unexpected happens.
    """

    def __init__(
        self,
        intake: Intake,
        buffer: FrameBuffer,
        hand_on: Callable[[FramePair], None],
        complain: Callable[[str], None],
    ) -> None:
        self._intake = intake
        self._buffer = buffer
        self._hand_on = hand_on
        self._complain = complain
        self._queue: deque[tuple[str, Any, int]] = deque()
        self._wake = Event()
        self._stopping = False
        self.overflowed = 0  # frames dropped because the worker was behind
        self._thread = Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=2.0)

    def put(self, camera: str, message: Any, now_ns: int) -> None:
        """Store a camera's message with the time of its arrival."""
        if len(self._queue) >= _QUEUE:
            self._queue.popleft()
            self.overflowed += 1
        self._queue.append((camera, message, now_ns))
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            while self._queue and not self._stopping:
                self._take(*self._queue.popleft())

    def _take(self, camera: str, message: Any, now_ns: int) -> None:
        try:
            frame = self._frame(camera, message, now_ns)
            pair = None if frame is None else self._intake.push(camera, frame, now_ns)
            if pair is not None:
                self._buffer.add(pair)
                self._hand_on(pair)
        except ImageError:
            return  # counted and told by diagnostics and status
        except Exception as error:  # no message may end the intake
            self._complain(f"intake: camera '{camera}': {type(error).__name__}: {error}")

    def _frame(self, camera: str, message: Any, now_ns: int) -> Frame | None:
        """The message's frame; None when it cannot be read, which is counted."""
        try:
            return frame_from_msg(message)
        except ImageError as error:
            self._intake.refuse(camera, error, now_ns)
            return None
