"""Stored episodes come in; batches of hop queries go out: which frames to encode, who meets whom, and the labels.

Each frame of a batch is encoded once and takes part in many queries. References (start and goal) come from a sibling
demonstration of the same task in another scene: that is what a robot has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.hops import balance, hop_label
from dopamine_core.reward.nano.config import TrainingConfig
from dopamine_core.reward.nano.store import EpisodeStore

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """One step's frames and queries."""

    frames: Indices  # (B,) into the store
    look: Indices  # (B,) frames of one look group share their photometric augmentation
    phi: NDArray[np.float32]  # (B,)
    task: Indices  # (B,)
    roles: Indices  # (Q, 4) start, goal, before, after: positions in ``frames``
    present: NDArray[np.float32]  # (Q, 4, 2)
    hop: NDArray[np.float32]  # (Q,)


@dataclass(frozen=True)
class _Group:
    """Positions in the batch of one episode's frames."""

    start: int
    goal: int
    first: int
    moments: Indices  # (m,)
    times: Indices  # (m,)
    twin: int  # the first moment again, augmented anew


class BatchMaker:
    """Draws batches from a store.

    :raises DemonstrationError: when a task has fewer than two experts.
    """

    def __init__(self, store: EpisodeStore, config: TrainingConfig, seed: int) -> None:
        self._store = store
        self._config = config
        self._rng = np.random.default_rng(seed)
        self._experts = [
            np.flatnonzero((store.task == t) & store.expert) for t in range(len(store.tasks))
        ]
        self._others = [
            np.flatnonzero((store.task == t) & ~store.expert) for t in range(len(store.tasks))
        ]
        for name, experts in zip(store.tasks, self._experts, strict=True):
            if len(experts) < 2:
                raise DemonstrationError(
                    expected=f"at least two expert episodes of {name}",
                    got=str(len(experts)),
                    remedy="generate more episodes per task",
                )

    def make(self) -> Batch:
        """Draw one batch."""
        frames: list[int] = []
        looks: list[int] = []
        groups = [self._group(frames, looks) for _ in range(self._config.episodes_per_step)]
        index = np.array(frames, np.int64)
        phi = self._store.label[index].astype(np.float32)
        episode = np.searchsorted(self._store.start, index, side="right") - 1
        roles = self._queries(groups, phi)
        hop = hop_label(phi[roles[:, 2]], phi[roles[:, 3]]).astype(np.float32)
        return Batch(
            frames=index,
            look=np.array(looks, np.int64),
            phi=phi,
            task=self._store.task[episode],
            roles=roles,
            present=self._present(len(roles)),
            hop=hop,
        )

    def _group(self, frames: list[int], looks: list[int]) -> _Group:
        """Choose an episode, its references and its moments; append their frames."""
        task = int(self._rng.integers(len(self._experts)))
        expert = self._rng.random() < self._config.expert_share or not len(self._others[task])
        episode = int(self._rng.choice(self._experts[task] if expert else self._others[task]))
        span, look = self._store.span(episode), 2 * len(looks)
        references = self._references(task, episode, expert)

        def add(frame: int, group: int) -> int:
            frames.append(frame)
            looks.append(group)
            return len(frames) - 1

        start, goal = (add(frame, look) for frame in references)
        first = add(span.start, look + 1)
        times = self._times(span.stop - span.start)
        moments = np.array([add(span.start + int(t), look + 1) for t in times])
        return _Group(start, goal, first, moments, times, add(span.start + int(times[0]), look))

    def _references(self, task: int, episode: int, expert: bool) -> tuple[int, int]:
        """Start and goal frame, of a sibling demonstration or (experts only) its own."""
        own = expert and self._rng.random() >= self._config.sibling_share
        siblings = self._experts[task][self._experts[task] != episode]
        span = self._store.span(episode if own else int(self._rng.choice(siblings)))
        return span.start, span.stop - 1

    def _times(self, length: int) -> Indices:
        """Moments spread over the episode, often its end, each with a near neighbour (small hops)."""
        anchors = self._rng.integers(0, length, self._config.moments)
        if self._rng.random() < 0.5:
            anchors[0] = length - 1 - self._rng.integers(0, min(3, length))
        gaps = self._rng.integers(1, 5, self._config.moments) * self._rng.choice(
            [-1, 1], self._config.moments
        )
        return np.concatenate([anchors, np.clip(anchors + gaps, 0, length - 1)])

    def _queries(self, groups: list[_Group], phi: NDArray[np.float32]) -> Indices:
        """Balanced pairs within episodes, zero hops, and the two anchored questions of every moment."""
        pairs, anchored, zeros = [], [], []
        for group in groups:
            references = (group.start, group.goal)
            m = len(group.moments)
            a, b = (grid.ravel() for grid in np.meshgrid(np.arange(m), np.arange(m)))
            a, b = a[a != b], b[a != b]
            gaps = np.abs(group.times[a] - group.times[b])
            pairs.append(_rows(references, group.moments[a], group.moments[b], gaps))
            anchored.append(_rows(references, np.full(m, group.first), group.moments))  # Eq. 6
            anchored.append(_rows(references, np.full(m, group.goal), group.moments))  # Eq. 7
            zeros.append(_rows(references, group.moments[:1], np.array([group.twin])))
            zeros.append(_rows(references, np.array([group.first]), np.array([group.first])))
        supply = np.concatenate(pairs)
        scores = hop_label(phi[supply[:, 2]], phi[supply[:, 3]])
        picked = balance(scores, supply[:, 4], self._config.pairs_per_step, self._rng)
        rows = np.concatenate([supply[picked], *anchored])
        count = int(self._config.zero_share * len(rows))
        zero = self._rng.permutation(np.concatenate(zeros))[:count]
        return np.concatenate([rows, zero])[:, :4]

    def _present(self, count: int) -> NDArray[np.float32]:
        """Which views a query sees: wrist, front and context dropout."""
        config, rng = self._config, self._rng
        present = np.ones((count, 4, 2), np.float32)
        wrist, everywhere = rng.random(count) < config.wrist_dropout, rng.random(count) < 0.6
        present[wrist, :2, 1] = 0.0
        present[wrist & everywhere, 2:, 1] = 0.0
        blind = (rng.random(count) < config.front_dropout) & ~wrist
        present[blind, :, 0] = 0.0
        present[rng.random(count) < config.start_dropout, 0] = 0.0
        return present


def _rows(
    references: tuple[int, int], before: Indices, after: Indices, gaps: Indices | None = None
) -> Indices:
    """Queries as rows (Q, 5): start, goal, before, after, gap in frames."""
    rows = np.zeros((len(before), 5), np.int64)
    rows[:, 0], rows[:, 1] = references
    rows[:, 2], rows[:, 3] = before, after
    rows[:, 4] = 0 if gaps is None else gaps
    return rows
