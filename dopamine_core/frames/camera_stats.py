"""One camera's admitted and refused frames come in; rate, loss and the last fault go out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

_WINDOW = 90  # frames: 3 s at 30 Hz
_STEADY = 30


@dataclass(frozen=True)
class CameraReport:
    """How a camera fares."""

    camera: str
    frames: int  # admitted since the start
    refused: int  # since the start
    lost: int  # gaps in the stamps since the start, in frames
    rate_hz: float  # over the last frames, by stamp; NaN before the second
    last_stamp_ns: int  # 0 before the first
    last_arrival_ns: int  # 0 before the first
    last_error: str  # why the last refused frame was refused; empty when none was
    last_error_ns: int


class CameraStats:
    """Counts of one camera.

    :param camera: its name.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._stamps: deque[int] = deque(maxlen=_WINDOW)
        self._frames = self._refused = self._lost = 0
        self._last_arrival_ns = self._last_error_ns = 0
        self._last_error = ""

    def admit(self, stamp_ns: int, now_ns: int) -> None:
        """Count a good frame."""
        if self._stamps and stamp_ns <= self._stamps[-1]:  # the clock was restarted
            self._stamps.clear()
        self._count_gap(stamp_ns)
        self._stamps.append(stamp_ns)
        self._frames += 1
        self._last_arrival_ns = now_ns

    def refuse(self, text: str, now_ns: int) -> None:
        """Count a bad frame and remember why."""
        self._refused += 1
        self._last_error, self._last_error_ns = text, now_ns

    @property
    def rate_hz(self) -> float:
        """Frames per second by stamp, over the last frames; NaN before the second."""
        return self._rate_hz(2)

    @property
    def steady_rate_hz(self) -> float:
        """The same, NaN before a second's worth of frames: a burst is no rate."""
        return self._rate_hz(_STEADY)

    def _rate_hz(self, enough: int) -> float:
        if len(self._stamps) < enough:
            return float("nan")
        span_ns = self._stamps[-1] - self._stamps[0]
        return (len(self._stamps) - 1) * 1e9 / span_ns

    def report(self) -> CameraReport:
        """Give the present figures."""
        return CameraReport(
            camera=self._camera,
            frames=self._frames,
            refused=self._refused,
            lost=self._lost,
            rate_hz=self.rate_hz,
            last_stamp_ns=self._stamps[-1] if self._stamps else 0,
            last_arrival_ns=self._last_arrival_ns,
            last_error=self._last_error,
            last_error_ns=self._last_error_ns,
        )

    def _count_gap(self, stamp_ns: int) -> None:
        """A gap of n usual periods means n - 1 lost frames."""
        if len(self._stamps) < 3:
            return
        gaps_ns = np.diff(np.array(self._stamps))
        period_ns = float(np.median(gaps_ns))
        if period_ns < float(np.mean(gaps_ns)) / 2.0:
            return  # it sends in bursts: there is no usual period
        self._lost += max(0, round((stamp_ns - self._stamps[-1]) / period_ns) - 1)
