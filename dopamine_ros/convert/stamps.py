"""Stamps and durations: nanoseconds in the core, two integers in messages."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time

from dopamine_core.episodes import decode

_NS = 1_000_000_000


def to_ns(time: Time | Duration) -> int:
    """Return nanoseconds of a time or duration message."""
    return decode.ns(time)


def from_ns(stamp_ns: int) -> Time:
    """Return the time message of a stamp, >= 0 ns."""
    sec, nanosec = divmod(int(stamp_ns), _NS)
    return Time(sec=sec, nanosec=nanosec)


def duration_from_ns(span_ns: int) -> Duration:
    """Return the duration message of a span in ns; it may be negative."""
    sec, nanosec = divmod(int(span_ns), _NS)
    return Duration(sec=sec, nanosec=nanosec)
