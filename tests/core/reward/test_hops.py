"""Hop labels and keyframe states: as tables, then as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.fusion import step
from dopamine_core.reward.hops import BalanceConfig, balance, cells_of, hop_label
from dopamine_core.reward.keyframe_states import frame_progress, state_frames, states_per_segment

unit = st.floats(0.0, 1.0, allow_nan=False)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0.0, 1.0, 1.0),
        (0.0, 0.25, 0.25),
        (0.5, 0.75, 0.5),
        (0.5, 0.25, -0.5),
        (0.8, 0.0, -1.0),
        (1.0, 1.0, 0.0),  # H(M, M) = 0
        (0.0, 0.0, 0.0),
        (0.4, 0.4005, 0.0),  # Eq. 3
        (1.0, 0.25, -0.75),
    ],
)
def test_hop_table(before: float, after: float, expected: float) -> None:
    assert hop_label(before, after) == pytest.approx(expected)


@given(unit, unit)
def test_a_hop_leads_back_to_its_progress(before: float, after: float) -> None:
    hop = float(hop_label(before, after, eps=0.0))
    assert -1.0 <= hop <= 1.0
    assert before + step(before, hop) == pytest.approx(after, abs=1e-9)


@given(unit)
def test_anchored_hops_read_progress(phi: float) -> None:
    assert hop_label(0.0, phi, eps=0.0) == pytest.approx(phi)  # Eq. 6
    assert 1.0 + hop_label(1.0, phi, eps=0.0) == pytest.approx(phi)  # Eq. 7


@pytest.mark.parametrize(
    ("frames", "segments", "expected"), [(400, 4, 5), (80, 4, 1), (79, 4, 0), (100, 1, 5)]
)
def test_states_per_segment_floors_twice(frames: int, segments: int, expected: int) -> None:
    assert states_per_segment(frames, segments) == expected


def test_every_segment_gets_equal_progress() -> None:
    progress = frame_progress([0, 10, 14, 99], 100)
    assert progress[[0, 10, 14, 99]] == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])
    assert np.all(np.diff(progress) > 0.0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_states_carry_i_over_m(lengths: list[int]) -> None:
    keyframes = [0, *np.cumsum(lengths).tolist()]
    states = state_frames(keyframes, keyframes[-1] + 1)
    progress = np.interp(
        states, np.arange(keyframes[-1] + 1), frame_progress(keyframes, keyframes[-1] + 1)
    )
    assert progress == pytest.approx(np.arange(len(states)) / (len(states) - 1))


@pytest.mark.parametrize("keyframes", [[], [0], [0, 5], [1, 9], [0, 4, 4, 9], [0, 6, 3, 9]])
def test_keyframes_that_do_not_fit_are_named(keyframes: list[int]) -> None:
    with pytest.raises(DemonstrationError, match="keyframes from 0 to 9"):
        frame_progress(keyframes, 10)


def test_balance_flattens_a_lopsided_supply() -> None:
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.uniform(-0.04, 0.04, 9000), rng.uniform(-1.0, 1.0, 2000)])
    gaps = rng.integers(0, 80, scores.size)
    picked = balance(scores, gaps, 500, rng)
    assert len(picked) == len(set(picked.tolist())) == 500
    counts = np.bincount(cells_of(scores, gaps, BalanceConfig(), 80.0)[picked], minlength=100)
    assert counts.max() <= 6 and counts.min() >= 3


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 50)), max_size=60), st.integers(0, 80))
def test_balance_picks_what_there_is(pairs: list[tuple[float, int]], count: int) -> None:
    scores, gaps = [p[0] for p in pairs], [p[1] for p in pairs]
    picked = balance(scores, gaps, count, np.random.default_rng(1))
    assert sorted(set(picked.tolist())) == sorted(picked.tolist())
    assert len(picked) == min(count, len(pairs))


def test_balance_fills_from_the_centre() -> None:
    scores, gaps = np.array([0.0, 0.0, -0.9, 0.9]), np.zeros(4)
    assert set(balance(scores, gaps, 1, np.random.default_rng(0)).tolist()) <= {0, 1}
