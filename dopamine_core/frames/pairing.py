"""Frames of two cameras come in one by one, pairs go out, each frame in at most one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from dopamine_core.types import CAMERAS


class Stamped(Protocol):
    """Anything with a stamp: an encoded frame, or a raw one not yet encoded."""

    @property
    def stamp_ns(self) -> int: ...


F = TypeVar("F", bound=Stamped)


@dataclass(frozen=True)
class PairerCounts:
    """What became of the frames since the start."""

    pairs: int
    skewed: int  # frames dropped because no partner lay close enough
    waiting: int


class Pairer(Generic[F]):
    """Pairs by stamp, never by arrival.

    Stamps must increase per camera (see ``checks.FrameCheck``). A frame takes the nearest waiting
    partner within the skew at once; waiting for a possibly better one would cost latency.

    :param max_skew_ns: largest time between the two frames; half a frame period is sensible.
    :param capacity: frames kept per camera while they wait for a partner.
    """

    def __init__(self, max_skew_ns: int, capacity: int = 8) -> None:
        self._max_skew_ns = max_skew_ns
        self._waiting: dict[str, deque[F]] = {name: deque(maxlen=capacity) for name in CAMERAS}
        self._pairs = 0
        self._skewed = 0

    @property
    def counts(self) -> PairerCounts:
        """Counts for diagnostics."""
        waiting = sum(len(queue) for queue in self._waiting.values())
        return PairerCounts(self._pairs, self._skewed, waiting)

    def reset(self) -> None:
        """Forget all waiting frames, e.g. after a clock restart."""
        for queue in self._waiting.values():
            queue.clear()

    def add(self, camera: str, frame: F) -> tuple[F, F] | None:
        """Add a frame; return (front, wrist) when it completes a pair.

        :param camera: ``"front"`` or ``"wrist"``.
        """
        other = CAMERAS[1] if camera == CAMERAS[0] else CAMERAS[0]
        partner = self._nearest(self._waiting[other], frame.stamp_ns)
        if partner is None:
            self._enqueue(camera, frame)
            return None
        self._drop_up_to(self._waiting[other], partner.stamp_ns)
        self._drop_up_to(self._waiting[camera], frame.stamp_ns)
        self._pairs += 1
        return (frame, partner) if camera == CAMERAS[0] else (partner, frame)

    def _nearest(self, queue: deque[F], stamp_ns: int) -> F | None:
        best = min(queue, key=lambda waiting: abs(waiting.stamp_ns - stamp_ns), default=None)
        if best is None or abs(best.stamp_ns - stamp_ns) > self._max_skew_ns:
            return None
        return best

    def _enqueue(self, camera: str, frame: F) -> None:
        queue = self._waiting[camera]
        if len(queue) == queue.maxlen:
            self._skewed += 1
        queue.append(frame)

    def _drop_up_to(self, queue: deque[F], stamp_ns: int) -> None:
        """Stamps increase, so older frames can find no better partner any more."""
        while queue and queue[0].stamp_ns <= stamp_ns:
            if queue.popleft().stamp_ns < stamp_ns:
                self._skewed += 1
