"""Bounded waits of a job's own thread, on the node's clock; never used in a callback."""

from __future__ import annotations

import time
from collections.abc import Callable

from dopamine_core.errors import DopamineError

_POLL_S = 0.02
_SLOWEST_CLOCK = 10.0  # a simulation may run this much slower than real time


class Cancelled(DopamineError):
    """The one who asked for a job took it back."""

    def __init__(self) -> None:
        super().__init__(expected="the job to go on", got="a cancel", remedy="ask again")


class Waiting:
    """Waits until something holds, a time is up, or the job is cancelled.

    :param now_ns: the node's clock; it may be simulated and may stand still.
    :param cancelled: whether the job was taken back.
    """

    def __init__(
        self, now_ns: Callable[[], int], cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        self._now_ns = now_ns
        self._cancelled = cancelled

    def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for a condition; say whether it held in time.

        :raises Cancelled: when the job was taken back.
        """
        start_ns, start_s = self._now_ns(), time.monotonic()
        while not holds():
            if self._cancelled():
                raise Cancelled
            over = self._now_ns() - start_ns >= timeout_s * 1e9
            if over or time.monotonic() - start_s >= timeout_s * _SLOWEST_CLOCK + 1.0:
                return False
            time.sleep(_POLL_S)
        return True

    def rest(self, duration_s: float) -> None:
        """Let time pass on the node's clock."""
        self.until(lambda: False, duration_s)
