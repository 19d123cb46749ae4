"""Times at which something happened in; how well its period was kept (median and 99th percentile of the error) out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PeriodError:
    """Relative error |interval - period| / period over the last intervals."""

    p50: float
    p99: float
    worst: float
    intervals: int


class PeriodMeter:
    """Measure intervals against their nominal length.

    A loop that is slower than its nominal rate must say so, and not be stamped as nominal.

    :param period_ns: nominal.
    :param size: how many intervals are kept.
    """

    def __init__(self, period_ns: int, size: int = 1000) -> None:
        self._period_ns = period_ns
        self._intervals: deque[int] = deque(maxlen=size)
        self._last: int | None = None

    def mark(self, now_ns: int) -> None:
        """It happened now."""
        if self._last is not None:
            self._intervals.append(now_ns - self._last)
        self._last = now_ns

    def pause(self) -> None:
        """The next mark begins anew: the gap before it is no interval."""
        self._last = None

    def error(self) -> PeriodError | None:
        """Error over the kept intervals; None before the first one."""
        if not self._intervals:
            return None
        errors = np.abs(np.array(self._intervals) - self._period_ns) / self._period_ns
        return PeriodError(
            p50=float(np.percentile(errors, 50)),
            p99=float(np.percentile(errors, 99)),
            worst=float(errors.max()),
            intervals=len(errors),
        )
