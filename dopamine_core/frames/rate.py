"""Stamps come in, a yes or no goes out: lets at most so many per second pass."""

from __future__ import annotations

_SLACK = 0.75  # a 30 Hz stream that jitters still passes a 30 Hz gate whole


class RateGate:
    """Keeps a rate in stamp time.

    :param rate_hz: at most so many per second; 0 lets all pass.
    """

    def __init__(self, rate_hz: float) -> None:
        self._gap_ns = int(_SLACK * 1e9 / rate_hz) if rate_hz > 0 else 0
        self._last_ns: int | None = None

    def passes(self, stamp_ns: int) -> bool:
        """Say whether this one passes, and remember it if so; time that falls back starts anew."""
        last_ns = self._last_ns
        if last_ns is not None and 0 <= stamp_ns - last_ns < self._gap_ns:
            return False
        self._last_ns = stamp_ns
        return True
