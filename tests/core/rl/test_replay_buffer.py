"""Rings keep the newest; symmetric batches are half and half."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.errors import LearnerError
from dopamine_core.rl.buffer import Buffer, Transitions, sample_symmetric


def marked(values: list[float]) -> Transitions:
    column = np.array(values, np.float32)
    wide = np.repeat(column[:, None], 2, axis=1)
    return Transitions(
        wide, wide, column, wide, column * 0, column * 0 + 1, column, column * 0, column * 0
    )


def test_the_oldest_go_first() -> None:
    buffer = Buffer(3)
    buffer.add(marked([1.0, 2.0]))
    buffer.add(marked([3.0, 4.0]))
    assert sorted(buffer.data.rewards.tolist()) == [2.0, 3.0, 4.0]


def test_rows_stay_together() -> None:
    buffer = Buffer(10)
    buffer.add(marked([1.0, 2.0, 3.0]))
    batch = buffer.sample(50, np.random.default_rng(0))
    assert (batch.observations[:, 0] == batch.rewards).all()
    assert (batch.bounds == batch.rewards).all()


@pytest.mark.parametrize(("share", "online"), [(0.0, 0), (0.5, 50), (1.0, 100)])
def test_symmetric_sampling(share: float, online: int) -> None:
    first, second = Buffer(10), Buffer(10)
    first.add(marked([1.0]))
    second.add(marked([2.0]))
    batch = sample_symmetric(first, second, 100, np.random.default_rng(0), share)
    assert int((batch.rewards == 2.0).sum()) == online
    assert len(batch) == 100


def test_an_empty_online_buffer_leaves_the_demonstrations() -> None:
    first = Buffer(10)
    first.add(marked([1.0]))
    batch = sample_symmetric(first, Buffer(10), 8, np.random.default_rng(0), 0.5)
    assert batch.rewards.tolist() == [1.0] * 8


def test_an_empty_buffer_says_so() -> None:
    with pytest.raises(LearnerError, match="empty buffer"):
        Buffer(10).sample(1, np.random.default_rng(0))
