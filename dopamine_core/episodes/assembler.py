"""Decisions, frames, joints, ticks, potentials and episode states come in, in any order; whole
episodes go out.

Used live by the learner node and by the bag reader, so that both learn from the same transitions.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dopamine_core.config import check, setting
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.ticks import TickLog
from dopamine_core.reward.session import References
from dopamine_core.types import (
    CommandRecord,
    Decision,
    EpisodeInfo,
    EpisodeState,
    FramePair,
    JointSample,
    Outcome,
    Potential,
)

_NS = 1_000_000_000


@dataclass(frozen=True)
class AssemblerConfig:
    """How long the assembler remembers and waits."""

    history_s: float = setting(
        3.0,
        doc="How far a decision may come behind the frames and joints it names.",
        unit="s",
        low=0.1,
        high=60.0,
    )
    settle_s: float = setting(
        0.3,
        doc="Wait after an episode's end before it can count as complete.",
        unit="s",
        low=0.0,
        high=10.0,
    )
    late_s: float = setting(
        10.0,
        doc="Longest wait after an episode's end for late potentials.",
        unit="s",
        low=0.0,
        high=3600.0,
    )
    max_tick_gap_s: float = setting(
        0.1,
        doc="A longer silence of the command path makes the executed action unknown.",
        unit="s",
        low=0.01,
        high=1.0,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass
class _Draft:
    """What has come of one episode so far."""

    info: EpisodeInfo | None = None
    decisions: dict[int, Decision] = field(default_factory=dict)
    pairs: dict[int, FramePair] = field(default_factory=dict)
    joints: dict[int, JointSample] = field(default_factory=dict)
    potentials: dict[int, Potential] = field(default_factory=dict)
    awaited_frames: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    awaited_joints: dict[int, list[int]] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        return self.info is not None and self.info.state is EpisodeState.CLOSED

    @property
    def start_ns(self) -> int | None:
        """Where its ticks begin; None when nothing is known."""
        stamps = [decision.stamp_ns for decision in self.decisions.values()]
        return min(stamps, default=None)

    def ordered(self) -> list[Decision]:
        """Decisions in order of time; those after the close do not belong."""
        decisions = [self.decisions[index] for index in sorted(self.decisions)]
        if not self.closed or self.info is None:
            return decisions
        return [decision for decision in decisions if decision.stamp_ns <= self.info.end_ns]


class EpisodeAssembler:
    """Put episodes together by stamps, never by arrival. Not thread-safe.

    Episodes go out through :meth:`pop_ready` once they are closed and complete, or when their time
    to wait is over; what is missing then stays None. When an operator corrects the outcome of the
    episode that went out last, it goes out again with the new one: the receiver replaces the former
    by its ``episode_id``.
    """

    def __init__(self, config: AssemblerConfig | None = None) -> None:
        self._config = config or AssemblerConfig()
        self._history_ns = int(self._config.history_s * _NS)
        self._pairs: OrderedDict[tuple[int, int], FramePair] = OrderedDict()
        self._joints: OrderedDict[int, JointSample] = OrderedDict()
        self._ticks = TickLog(int(self._config.max_tick_gap_s * _NS))
        self._drafts: OrderedDict[str, _Draft] = OrderedDict()
        self._last: EpisodeData | None = None  # as built, before later decisions were dropped
        self._corrected: EpisodeInfo | None = None

    def add_pair(self, pair: FramePair) -> None:
        """Take a frame pair in; it is kept for the decisions that name it."""
        self._pairs[pair.key] = pair
        _forget(self._pairs, pair.stamp_ns - self._history_ns, lambda key: max(key))
        for draft in self._drafts.values():
            for index in draft.awaited_frames.pop(pair.key, ()):
                draft.pairs[index] = pair

    def add_joints(self, sample: JointSample) -> None:
        """Take a joint sample in."""
        self._joints[sample.stamp_ns] = sample
        _forget(self._joints, sample.stamp_ns - self._history_ns, lambda stamp: stamp)
        for draft in self._drafts.values():
            for index in draft.awaited_joints.pop(sample.stamp_ns, ()):
                draft.joints[index] = sample

    def add_decision(self, decision: Decision) -> None:
        """Take a decision in; a second one with the same index is a repetition and ignored."""
        draft = self._draft(decision.episode_id)
        if draft is None or decision.index in draft.decisions:
            return
        index, frames, joints = decision.index, decision.frames_key, decision.joint_stamp_ns
        draft.decisions[index] = decision
        if frames in self._pairs:
            draft.pairs[index] = self._pairs[frames]
        else:
            draft.awaited_frames.setdefault(frames, []).append(index)
        if joints in self._joints:
            draft.joints[index] = self._joints[joints]
        else:
            draft.awaited_joints.setdefault(joints, []).append(index)

    def add_command(self, record: CommandRecord) -> None:
        """Take a tick of the command path in."""
        self._ticks.add(record)
        starts = [draft.start_ns for draft in self._drafts.values() if draft.start_ns is not None]
        self._ticks.forget_before(min([self._ticks.newest_ns - self._history_ns, *starts]))

    def add_potential(self, potential: Potential) -> None:
        """Take an answer of the label lane in, late or not; the first one counts."""
        draft = self._draft(potential.episode_id)
        if draft is not None:
            draft.potentials.setdefault(potential.index, potential)

    def on_episode(self, info: EpisodeInfo) -> None:
        """Take the state of an episode in."""
        if self._last is not None and info.episode_id == self._last.info.episode_id:
            if info.state is EpisodeState.CLOSED and info.outcome is not self._last.info.outcome:
                self._corrected = info
            return
        draft = self._draft(info.episode_id)
        if draft is not None and not (draft.closed and info.state is EpisodeState.OPEN):
            draft.info = info

    def pop_ready(self, now_ns: int) -> list[EpisodeData]:
        """Give the episodes that are complete, or that waited long enough, in order.

        :param now_ns: present time on the clock of the stamps.
        """
        ready = [name for name, draft in self._drafts.items() if self._is_ready(draft, now_ns)]
        return self._give_out(ready)

    def flush(self) -> list[EpisodeData]:
        """Give all closed episodes as they are, e.g. at the end of a bag."""
        return self._give_out([name for name, draft in self._drafts.items() if draft.closed])

    def _draft(self, episode_id: str) -> _Draft | None:
        """Find or begin the draft of an episode; None for no episode and for one that went out
        already.
        """
        gone = self._last is not None and episode_id == self._last.info.episode_id
        if not episode_id or gone:
            return None
        return self._drafts.setdefault(episode_id, _Draft())

    def _is_ready(self, draft: _Draft, now_ns: int) -> bool:
        if draft.info is None or not draft.closed:
            return False
        waited_ns = now_ns - draft.info.end_ns
        if waited_ns >= self._config.late_s * _NS:
            return True
        return waited_ns >= self._config.settle_s * _NS and self._is_complete(draft)

    def _is_complete(self, draft: _Draft) -> bool:
        decisions = draft.ordered()
        indices = {decision.index for decision in decisions}
        contiguous = indices == set(range(len(indices)))
        answered = all(
            indices <= rows.keys() for rows in (draft.pairs, draft.joints, draft.potentials)
        )
        ticked = not decisions or self._ticks.newest_ns >= decisions[-1].stamp_ns
        return contiguous and answered and ticked

    def _give_out(self, names: list[str]) -> list[EpisodeData]:
        episodes = []
        for name in names:
            draft = self._drafts.pop(name)
            self._drop_unfinished_before(draft)
            self._last = self._build(draft)
            self._corrected = None
            episodes.append(up_to_success(self._last))
        if self._corrected is not None and self._last is not None:
            self._last = dataclasses.replace(self._last, info=self._corrected)
            self._corrected = None
            episodes.append(up_to_success(self._last))
        return episodes

    def _drop_unfinished_before(self, finished: _Draft) -> None:
        """Forget drafts that never closed and are older: only one episode is open at a time."""
        end_ns = finished.info.start_ns if finished.info else 0
        for name, draft in list(self._drafts.items()):
            if not draft.closed and draft.start_ns is not None and draft.start_ns < end_ns:
                del self._drafts[name]

    def _build(self, draft: _Draft) -> EpisodeData:
        assert draft.info is not None
        decisions = draft.ordered()
        rows = [decision.index for decision in decisions]
        return EpisodeData(
            info=draft.info,
            decisions=tuple(decisions),
            pairs=tuple(draft.pairs.get(index) for index in rows),
            joints=tuple(draft.joints.get(index) for index in rows),
            actions=self._ticks.actions(decisions),
            potentials=tuple(draft.potentials.get(index) for index in rows),
            commanded=tuple(self._ticks.commanded(decision.stamp_ns) for decision in decisions),
        )


def up_to_success(episode: EpisodeData, references: References | None = None) -> EpisodeData:
    """Drop the decisions after the success stamp; all are kept when the episode did not succeed."""
    info = episode.info
    succeeded = info.outcome is Outcome.SUCCESS and info.success_ns > 0
    kept = sum(
        not succeeded or decision.stamp_ns <= info.success_ns for decision in episode.decisions
    )
    actions = episode.actions[:kept].copy()
    actions[-1:] = np.nan  # the last decision is only an observation
    return dataclasses.replace(
        episode,
        decisions=episode.decisions[:kept],
        pairs=episode.pairs[:kept],
        joints=episode.joints[:kept],
        actions=actions,
        potentials=episode.potentials[:kept],
        commanded=episode.commanded[:kept],
        references=references or episode.references,
        keyframes=tuple(mark for mark in episode.keyframes if mark < kept),
    )


def _forget(items: OrderedDict[Any, Any], horizon_ns: int, stamp_of: Callable[[Any], int]) -> None:
    """Drop what lies before the horizon; items come nearly in order, so the oldest stand first."""
    while items and stamp_of(next(iter(items))) < horizon_ns:
        items.popitem(last=False)
