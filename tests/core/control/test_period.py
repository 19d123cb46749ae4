"""How well a period is kept."""

from __future__ import annotations

import pytest

from dopamine_core.control.period import PeriodMeter


def test_no_interval_is_no_error() -> None:
    meter = PeriodMeter(100)
    assert meter.error() is None
    meter.mark(0)
    assert meter.error() is None


def test_early_and_late_are_errors_and_a_slow_loop_cannot_hide() -> None:
    meter = PeriodMeter(100)
    for now in (0, 100, 190, 300, 500):
        meter.mark(now)
    error = meter.error()
    assert error is not None
    assert (error.p50, error.worst, error.intervals) == (pytest.approx(0.1), pytest.approx(1.0), 4)
    assert error.p50 <= error.p99 <= error.worst


def test_a_pause_is_no_interval_and_old_intervals_are_forgotten() -> None:
    meter = PeriodMeter(100, size=3)
    for now in (0, 500, 600):
        meter.mark(now)
    meter.pause()
    for now in (9000, 9100, 9200):
        meter.mark(now)
    error = meter.error()
    assert error is not None and error.worst == 0.0 and error.intervals == 3
