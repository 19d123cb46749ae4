"""Whole transitions go in, batches come out: half from demonstrations, half from practice."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import LearnerError


@dataclass(frozen=True)
class Transitions:
    """T transitions of one episode or one batch; every array has T rows."""

    observations: NDArray[np.float32]  # (T, O)
    actions: NDArray[np.float32]  # (T, A) in [-1, 1]
    rewards: NDArray[np.float32]  # (T,) discounted over the interval
    next_observations: NDArray[np.float32]  # (T, O)
    terminals: NDArray[np.float32]  # (T,) 1 where the interval ends in a true terminal
    intervals: NDArray[np.float32]  # (T,) decisions between observation and next observation
    bounds: NDArray[np.float32]  # (T,) lower bound of the value, in the units of the rewards
    next_floors: NDArray[np.float32]  # (T,) smallest feasible value of the next state: -Phi(s')
    imitate: NDArray[np.float32]  # (T,) 1 where the behaviour-cloning term applies

    def __len__(self) -> int:
        return len(self.rewards)

    def rows(self, index: NDArray[np.int64]) -> Transitions:
        """Return the chosen rows."""
        return Transitions(*(getattr(self, field.name)[index] for field in fields(self)))


def concatenate(parts: list[Transitions]) -> Transitions:
    """Join parts row by row."""
    return Transitions(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Transitions)
        )
    )


class Buffer:
    """Growing array of transitions; the oldest go when it is full.

    :param capacity: most transitions kept.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._data: Transitions | None = None
        self._size = 0
        self._next = 0

    def __len__(self) -> int:
        return self._size

    @property
    def data(self) -> Transitions:
        """All transitions held, in storage order."""
        return self._filled().rows(np.arange(self._size))

    def add(self, transitions: Transitions) -> None:
        """Append transitions, overwriting the oldest."""
        if self._data is None:
            self._data = _allocate(transitions, self._capacity)
        index = (self._next + np.arange(len(transitions))) % self._capacity  # (T,)
        for field in fields(Transitions):
            getattr(self._data, field.name)[index] = getattr(transitions, field.name)
        self._next = int((self._next + len(transitions)) % self._capacity)
        self._size = min(self._size + len(transitions), self._capacity)

    def sample(self, count: int, rng: np.random.Generator) -> Transitions:
        """Draw transitions uniformly with replacement.

        :raises LearnerError: when the buffer is empty.
        """
        filled = self._filled()
        return filled.rows(rng.integers(self._size, size=count))

    def _filled(self) -> Transitions:
        if self._data is None or self._size == 0:
            raise LearnerError(
                expected="at least one whole transition",
                got="an empty buffer",
                remedy="record demonstrations first; dropped transitions are counted in the learner's status",
            )
        return self._data


def sample_symmetric(
    offline: Buffer, online: Buffer, count: int, rng: np.random.Generator, online_share: float
) -> Transitions:
    """Draw a batch of both buffers (RLPD, ConRFT: half and half); of the offline one alone while the other is empty.

    :param count: rows of the batch.
    :param online_share: share of the batch that comes from practice, in [0, 1].
    """
    from_online = round(count * online_share) if len(online) else 0
    parts = []
    if count - from_online:
        parts.append(offline.sample(count - from_online, rng))
    if from_online:
        parts.append(online.sample(from_online, rng))
    return concatenate(parts)


def _allocate(like: Transitions, capacity: int) -> Transitions:
    return Transitions(
        *(
            np.empty((capacity, *getattr(like, field.name).shape[1:]), np.float32)
            for field in fields(Transitions)
        )
    )
