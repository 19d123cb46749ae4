"""Policy actions in; the share of a displacement that one tick executes out: each spread over its period and ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.types import PolicyAction

_ALMOST = 1e-9


@dataclass(frozen=True)
class Share:
    """The part of a policy action that belongs to one tick."""

    action: PolicyAction
    fraction: float  # of the action's displacement, in (0, 1]
    last: bool  # nothing of it is left, and no other action waits

    @property
    def displacement(self) -> NDArray[np.float64]:
        """(6,) m and rad in this tick."""
        return self.action.displacement * self.fraction


class PolicyStream:
    """Executes one action after the other.

    An action that comes before its forerunner has ended waits (one waits at most, the newest), so that jitter of the
    sender neither cuts displacement off nor stretches it. A tick belongs to exactly one action: what is left after
    the last whole tick goes with it.
    """

    def __init__(self) -> None:
        self._action: PolicyAction | None = None
        self._waiting: PolicyAction | None = None
        self._done = 0.0  # fraction of the action that was executed

    @property
    def active(self) -> bool:
        """Whether there is something to execute."""
        return self._action is not None

    def add(self, action: PolicyAction) -> None:
        """Take the next action."""
        if self._action is None:
            self._action, self._done = action, 0.0
        else:
            self._waiting = action

    def clear(self) -> None:
        """Forget everything: another source has the arm."""
        self._action = self._waiting = None
        self._done = 0.0

    def take(self, elapsed_ns: int, tick_ns: int) -> Share | None:
        """Take the share of one tick.

        :param elapsed_ns: since the tick before.
        :param tick_ns: the nominal tick.
        :return: None when there is nothing to execute.
        """
        if self._action is None:
            return None
        action = self._action
        left = 1.0 - self._done
        fraction = elapsed_ns / action.period_ns
        if left - fraction < 0.5 * tick_ns / action.period_ns + _ALMOST:
            fraction = left
        self._done += fraction
        if self._done >= 1.0 - _ALMOST:
            self._action, self._waiting, self._done = self._waiting, None, 0.0
        return Share(action=action, fraction=fraction, last=self._action is None)
