"""Readings of one episode come in, one success event with its decision stamp goes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dopamine_core.config import check, setting
from dopamine_core.reward.session import PROGRESS
from dopamine_core.types import Reading

#: Two let the embedded model call a peg inserted one decision early. Of 16 unshifted episodes in one cell, 5 ended too
#: soon with two readings in a row and 1 with three on the scenes of a report; 4 and 1 on scenes that no report shows.
CONSECUTIVE = 3


@dataclass(frozen=True)
class SuccessConfig:
    """When progress counts as success."""

    threshold: float = setting(
        0.0,
        doc="Progress, or the success probability of a model that gives one, that counts as success; "
        "0 takes the one calibrated with the model.",
        low=0.0,
        high=1.0,
    )
    consecutive: int = setting(
        CONSECUTIVE, doc="Valid readings in a row at or above the threshold.", low=1, high=100
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SuccessEvent:
    """The rule held for the first time in this episode."""

    stamp_ns: int  # decision stamp of the reading that completed the row
    progress: float
    threshold: float
    consecutive: int


class SuccessRule:
    """Threshold and consecutive rule over the readings of one episode, in order.

    One noisy reading does not end an episode; an invalid reading breaks the row, because nothing is
    known of that moment.

    :param threshold: in (0, 1].
    :param consecutive: readings in a row, >= 1.
    :param signal: what the threshold is compared with: ``PROGRESS`` or ``PROBABILITY``.
    """

    def __init__(
        self, threshold: float, consecutive: int = CONSECUTIVE, signal: str = PROGRESS
    ) -> None:
        self.threshold = threshold
        self.consecutive = consecutive
        self._signal = signal
        self._row = 0
        self._event: SuccessEvent | None = None

    @property
    def holds(self) -> bool:
        """Whether the rule holds at the last reading."""
        return self._row >= self.consecutive

    @property
    def event(self) -> SuccessEvent | None:
        """The event of this episode, once there was one."""
        return self._event

    def update(self, stamp_ns: int, reading: Reading) -> SuccessEvent | None:
        """Take the next reading; return the event only the first time."""
        value = reading.progress if self._signal == PROGRESS else reading.success_probability
        above = reading.ok and value >= self.threshold
        self._row = self._row + 1 if above else 0
        if not self.holds or self._event is not None:
            return None
        self._event = SuccessEvent(stamp_ns, reading.progress, self.threshold, self.consecutive)
        return self._event


def held_level(progress: ArrayLike, consecutive: int = CONSECUTIVE) -> float:
    """Highest level that so many readings in a row hold.

    :param progress: (T,), T >= 1; NaN where there is no reading. With fewer readings than asked for, the lowest.
    """
    values = np.asarray(progress, np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(values, min(consecutive, len(values)))
    lowest = windows.min(axis=1)  # NaN breaks the row
    return float(np.nanmax(lowest)) if np.isfinite(lowest).any() else float("nan")
