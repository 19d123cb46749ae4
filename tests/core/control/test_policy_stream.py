"""A displacement is spread over its period's ticks and ends there, whatever the sender's jitter."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.control.policy_stream import PolicyStream
from dopamine_core.types import PolicyAction

TICK = 20_000_000


def action(stamp: int, period: int = 100_000_000) -> PolicyAction:
    return PolicyAction(stamp, "e", 0, np.arange(6.0), 1.0, period)


def test_five_equal_ticks_then_nothing() -> None:
    stream = PolicyStream()
    stream.add(action(1))
    shares = [stream.take(TICK, TICK) for _ in range(6)]
    assert shares[5] is None and not stream.active
    np.testing.assert_allclose([share.fraction for share in shares[:5]], 0.2)
    assert [share.last for share in shares[:5]] == [False] * 4 + [True]


def test_an_early_action_waits_and_the_newest_one_wins() -> None:
    stream = PolicyStream()
    for stamp in (1, 2, 3):
        stream.add(action(stamp))
    stamps = [stream.take(TICK, TICK).action.decision_stamp_ns for _ in range(10)]
    assert stamps == [1] * 5 + [3] * 5
    assert stream.take(TICK, TICK) is None


@given(
    st.lists(st.integers(10_000_000, 30_000_000), min_size=60, max_size=60),
    st.sampled_from([20_000_000, 50_000_000, 100_000_000, 130_000_000]),
)
def test_nothing_of_a_displacement_is_lost_or_doubled(ticks: list[int], period: int) -> None:
    stream = PolicyStream()
    stream.add(action(1, period))
    stream.add(action(2, period))
    done = {1: 0.0, 2: 0.0}
    for tick in ticks:
        share = stream.take(tick, TICK)
        if share is not None:
            assert 0.0 < share.fraction <= 1.0
            done[share.action.decision_stamp_ns] += share.fraction
    np.testing.assert_allclose(list(done.values()), 1.0)
    assert not stream.active


def test_clear_forgets_the_waiting_one_too() -> None:
    stream = PolicyStream()
    stream.add(action(1))
    stream.add(action(2))
    stream.clear()
    assert stream.take(TICK, TICK) is None
