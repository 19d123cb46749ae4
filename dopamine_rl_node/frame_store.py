"""Serialised frame pairs come in at camera rate; only those that a decision names are unpacked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from dopamine_core.types import Decision, FramePair


class FrameStore:
    """A ring of serialised pairs by stamp; pairs and decisions may come in either order.

    :param unpack: makes a pair of the bytes.
    :param capacity: newest pairs kept.
    """

    def __init__(self, unpack: Callable[[bytes], FramePair], capacity: int = 90) -> None:
        self._unpack, self._capacity = unpack, capacity
        self._stored: OrderedDict[int, bytes] = OrderedDict()  # by the newer stamp of the pair
        self._wanted: OrderedDict[int, None] = OrderedDict()

    def put(self, stamp_ns: int, data: bytes) -> FramePair | None:
        """Take a serialised pair; returns it unpacked when a decision already asked for it."""
        if stamp_ns in self._wanted:
            del self._wanted[stamp_ns]
            return self._unpack(data)
        self._stored[stamp_ns] = data
        while len(self._stored) > self._capacity:
            self._stored.popitem(last=False)
        return None

    def claim(self, decision: Decision) -> FramePair | None:
        """Give the pair that a decision names; None while it has not come."""
        stamp_ns = max(decision.frames_key)
        data = self._stored.get(stamp_ns)
        if data is not None:
            return self._unpack(data)
        self._wanted[stamp_ns] = None
        while len(self._wanted) > self._capacity:
            self._wanted.popitem(last=False)
        return None
