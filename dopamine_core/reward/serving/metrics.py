"""What happens in the server comes in, a page in Prometheus' text format goes out."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator
from threading import Lock

PREFIX = "dopamine_serve"
_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_RATE_WINDOW_S = 60.0


class Histogram:
    """Counts of seconds by upper bound."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_S) + 1)
        self.total_s = 0.0

    @property
    def count(self) -> int:
        """Observations."""
        return sum(self._counts)

    def observe(self, seconds: float) -> None:
        """Take one observation."""
        self._counts[bisect_left(_BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def lines(self, name: str) -> Iterator[str]:
        """Write it as a Prometheus histogram."""
        yield f"# TYPE {name} histogram"
        seen = 0
        for bound, count in zip((*_BOUNDS_S, math.inf), self._counts, strict=True):
            seen += count
            yield f'{name}_bucket{{le="{"+Inf" if math.isinf(bound) else bound}"}} {seen}'
        yield f"{name}_sum {self.total_s:.6f}"
        yield f"{name}_count {seen}"


class Metrics:
    """Counters of one server; any thread may write and read.

    :param clock_s: seconds that never go back.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._errors: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._frames = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._began_s = clock_s()
        self.request_s, self.waited_s, self.computed_s = Histogram(), Histogram(), Histogram()

    def answered(self, path: str, code: int, seconds: float) -> None:
        """Count an answered request."""
        with self._lock:
            self._requests[path, code] += 1
            self.request_s.observe(seconds)

    def failed(self, kind: str) -> None:
        """Count an error by its name."""
        with self._lock:
            self._errors[kind] += 1

    def rejected(self, reason: str) -> None:
        """Count a request that was not taken in."""
        with self._lock:
            self._rejected[reason] += 1

    def computed(self, frames: int, waited_s: float, computed_s: float) -> None:
        """Count what the model answered."""
        with self._lock:
            self._frames += frames
            self._recent.append((self._clock_s(), frames))
            self.waited_s.observe(waited_s)
            self.computed_s.observe(computed_s)

    def pace(self) -> float:
        """Requests that the model answers a second, over the last minute."""
        with self._lock:
            return len(self._last_minute()) / self._span_s()

    def requests(self) -> int:
        """Requests answered so far."""
        with self._lock:
            return sum(self._requests.values())

    def frames_per_second(self) -> float:
        """Frames that the model answers a second, over the last minute."""
        with self._lock:
            return sum(frames for _, frames in self._last_minute()) / self._span_s()

    def page(self, gauges: dict[str, float]) -> str:
        """Write everything; ``gauges`` are values of the moment."""
        gauges = {**gauges, "frames_per_second": self.frames_per_second()}
        with self._lock:
            return "\n".join([*self._lines(gauges), ""])

    def _last_minute(self) -> deque[tuple[float, int]]:
        while self._recent and self._recent[0][0] < self._clock_s() - _RATE_WINDOW_S:
            self._recent.popleft()
        return self._recent

    def _span_s(self) -> float:
        return min(_RATE_WINDOW_S, max(1.0, self._clock_s() - self._began_s))

    def _lines(self, gauges: dict[str, float]) -> Iterator[str]:
        yield f"# TYPE {PREFIX}_requests_total counter"
        for (path, code), count in sorted(self._requests.items()):
            yield f'{PREFIX}_requests_total{{path="{path}",code="{code}"}} {count}'
        for name, label, counter in (
            ("errors_total", "kind", self._errors),
            ("rejected_total", "reason", self._rejected),
        ):
            yield f"# TYPE {PREFIX}_{name} counter"
            for value, count in sorted(counter.items()):
                yield f'{PREFIX}_{name}{{{label}="{value}"}} {count}'
        yield f"# TYPE {PREFIX}_frames_total counter"
        yield f"{PREFIX}_frames_total {self._frames}"
        for name, number in gauges.items():
            yield f"# TYPE {PREFIX}_{name} gauge"
            yield f"{PREFIX}_{name} {number:.6g}"
        yield from self.request_s.lines(f"{PREFIX}_request_seconds")
        yield from self.waited_s.lines(f"{PREFIX}_wait_seconds")
        yield from self.computed_s.lines(f"{PREFIX}_model_seconds")
