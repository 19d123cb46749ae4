"""Frame pairs come in as they are made; decisions look them up by the two stamps that name them."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from dopamine_core.types import FramePair


class FrameBuffer:
    """The last seconds of frame pairs, by key; one thread adds while others look up.

    :param capacity_s: how far back a decision may look, in seconds of stamp time.
    """

    def __init__(self, capacity_s: float) -> None:
        self._capacity_ns = int(capacity_s * 1e9)
        self._pairs: OrderedDict[tuple[int, int], FramePair] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._pairs)

    @property
    def newest(self) -> FramePair | None:
        """The pair added last."""
        with self._lock:
            return next(reversed(self._pairs.values()), None)

    def add(self, pair: FramePair) -> None:
        """Add a pair and forget those older than the capacity."""
        horizon_ns = pair.stamp_ns - self._capacity_ns
        with self._lock:
            if self._pairs and pair.stamp_ns < next(iter(self._pairs.values())).stamp_ns:
                self._pairs.clear()  # the clock was restarted
            self._pairs[pair.key] = pair
            while next(iter(self._pairs.values())).stamp_ns < horizon_ns:
                self._pairs.popitem(last=False)

    def get(self, key: tuple[int, int]) -> FramePair | None:
        """Return the pair that a decision names, or None when it is not there."""
        with self._lock:
            return self._pairs.get(key)
