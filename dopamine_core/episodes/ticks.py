"""Ticks of the command path come in, the action executed between two decisions goes out: the one
definition of it.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dopamine_core.types import ACTION_AXES, CommandRecord, Decision, DecisionOwner

_HOLE = 2.0  # median intervals; what a person did meanwhile is no action of one period


class TickLog:
    """Command ticks in order of their stamps, however they arrived.

    A tick that executes a policy action belongs to the decision whose stamp it carries, any other
    to the interval (t_k, t_k+1] that holds its stamp. The executed action of a decision is the sum
    of its ticks' displacements and the gripper level of its last tick.

    :param max_gap_ns: a longer silence between ticks means that some were lost, so the action is
        unknown.
    """

    def __init__(self, max_gap_ns: int) -> None:
        self._max_gap_ns = max_gap_ns
        self._stamps: list[int] = []
        self._records: list[CommandRecord] = []

    def __len__(self) -> int:
        return len(self._records)

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest tick, 0 without one."""
        return self._stamps[-1] if self._stamps else 0

    def add(self, record: CommandRecord) -> None:
        """Add a tick; a second one with the same stamp is a repetition and ignored."""
        at = bisect.bisect_left(self._stamps, record.stamp_ns)
        if at < len(self._stamps) and self._stamps[at] == record.stamp_ns:
            return
        self._stamps.insert(at, record.stamp_ns)
        self._records.insert(at, record)

    def forget_before(self, stamp_ns: int) -> None:
        """Drop older ticks, but keep the last one of them: it says what is commanded since."""
        count = max(bisect.bisect_left(self._stamps, stamp_ns) - 1, 0)
        del self._stamps[:count], self._records[:count]

    def actions(self, decisions: Sequence[Decision]) -> NDArray[np.float64]:
        """Give the executed action of each decision.

        :param decisions: N decisions in order of time.
        :return: (N, 7) metres, radians, gripper 0 ... 1. A row is NaN where the next decision or
            ticks are missing, or where a person moved on over a hole in the decisions; the last row
            always is. The gripper alone is NaN before it was first commanded.
        """
        actions = np.full((len(decisions), len(ACTION_AXES)), np.nan)  # (N, 7)
        longest_ns = _longest_interval_ns(decisions)
        for k, (decision, following) in enumerate(itertools.pairwise(decisions)):
            driven = decision.owner is DecisionOwner.DEMO
            hole = driven and following.stamp_ns - decision.stamp_ns > longest_ns
            if following.index == decision.index + 1 and not hole:
                actions[k] = self._action(decision.stamp_ns, following.stamp_ns)
        return actions

    def commanded(self, stamp_ns: int) -> NDArray[np.float64] | None:
        """Give the newest commanded joint positions (J,) [rad] not after a moment, None if nothing
        was commanded.
        """
        for at in range(bisect.bisect_right(self._stamps, stamp_ns) - 1, -1, -1):
            if self._records[at].joint_positions.size:
                return self._records[at].joint_positions
        return None

    def _action(self, start_ns: int, stop_ns: int) -> NDArray[np.float64]:
        """Sum the ticks of the decision at ``start_ns``, whose successor is at ``stop_ns``."""
        own = [tick for tick in self._following(start_ns) if _belongs(tick, start_ns, stop_ns)]
        end_ns = max([stop_ns, *(tick.stamp_ns for tick in own)])
        if not own or not self._covered(start_ns, end_ns):
            return np.full(len(ACTION_AXES), np.nan)
        displacement = np.sum([tick.executed for tick in own], axis=0)  # (6,)
        return np.array([*displacement, own[-1].gripper_executed])  # (7,)

    def _following(self, start_ns: int) -> list[CommandRecord]:
        return self._records[bisect.bisect_right(self._stamps, start_ns) :]

    def _covered(self, start_ns: int, end_ns: int) -> bool:
        """Whether ticks came without a gap from before an interval's start until its end."""
        first = bisect.bisect_right(self._stamps, start_ns)
        last = bisect.bisect_left(self._stamps, end_ns)
        before = self._stamps[first - 1] if first else start_ns
        moments = [before, *self._stamps[first : last + 1]]
        reached = moments[-1] + self._max_gap_ns >= end_ns
        return reached and all(b - a <= self._max_gap_ns for a, b in itertools.pairwise(moments))


def _longest_interval_ns(decisions: Sequence[Decision]) -> float:
    """Longest time that counts as one decision interval of a person."""
    stamps = [decision.stamp_ns for decision in decisions]
    return _HOLE * float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0


def _belongs(tick: CommandRecord, start_ns: int, stop_ns: int) -> bool:
    if tick.decision_stamp_ns:
        return tick.decision_stamp_ns == start_ns
    return start_ns < tick.stamp_ns <= stop_ns
