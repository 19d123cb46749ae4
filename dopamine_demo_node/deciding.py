"""While a person drives: the newest frames and joints come in, a decision per period goes out."""

from __future__ import annotations

import threading

from dopamine_core.types import Decision, DecisionOwner, EpisodeInfo
from dopamine_demo_node.senses import Senses


class Deciding:
    """Fixes the decisions of demonstrations; no decision without frames and joints.

    :param senses: newest frames and joints.
    :param max_age_s: without frames or joints as fresh as this there is no decision.
    """

    def __init__(self, senses: Senses, max_age_s: float) -> None:
        self._senses = senses
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self._episode_id = ""
        self._index = 0
        self._last_ns = 0

    def decide(self, info: EpisodeInfo, now_ns: int) -> Decision | None:
        """Fix a decision.

        :param info: the open demonstration.
        :returns: None while frames or joints are missing, or when the clock has not moved.
        """
        with self._lock:
            self._follow(info.episode_id)
            frames, joints = self._senses.frames_key, self._senses.joints
            age_s = max(self._senses.age_s(name) for name in ("cameras", "joint states"))
            if frames is None or joints is None or age_s > self._max_age_s:
                return None
            if now_ns <= self._last_ns:
                return None
            decision = Decision(
                stamp_ns=now_ns,
                episode_id=info.episode_id,
                index=self._index,
                owner=DecisionOwner.DEMO,
                front_stamp_ns=frames[0],
                wrist_stamp_ns=frames[1],
                joint_stamp_ns=joints.stamp_ns,
            )
            self._index, self._last_ns = self._index + 1, now_ns
            return decision

    def count(self, episode_id: str) -> int:
        """Decisions fixed in an episode so far."""
        return self._index if episode_id == self._episode_id else 0

    def _follow(self, episode_id: str) -> None:
        if episode_id != self._episode_id:
            self._episode_id, self._index, self._last_ns = episode_id, 0, 0
