"""Keyframes as tables: hand-made motions on a 10 Hz grid, and where their keyframes must lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.episodes.keyframes import KeyframeConfig, find_keyframes, toggle_mark

STEP = 100_000_000
PLAIN = KeyframeConfig(min_gap_s=0.3, gripper_settle_s=0.2)


def motion(*legs: tuple[int, float, float, float]) -> np.ndarray:
    """Actions (N, 7): legs of (decisions, dx, dy, gripper), the last decision only an observation."""
    rows = [[dx, dy, 0, 0, 0, 0, gripper] for count, dx, dy, gripper in legs for _ in range(count)]
    return np.array([*rows, [np.nan] * 7])


def keyframes(actions: np.ndarray, marks: tuple[int, ...] = ()) -> tuple[int, ...]:
    stamps = [k * STEP for k in range(len(actions))]
    return find_keyframes(stamps, actions, [mark * STEP for mark in marks], PLAIN)


@pytest.mark.parametrize(
    ("name", "legs", "expected"),
    [
        ("straight", [(20, 0.01, 0, 0)], (0, 20)),
        ("a rest", [(10, 0.01, 0, 0), (4, 0.0, 0, 0), (10, 0.01, 0, 0)], (0, 10, 24)),
        ("a corner", [(10, 0.01, 0, 0), (10, 0, 0.01, 0)], (0, 10, 20)),
        ("there and back", [(10, 0.01, 0, 0), (10, -0.01, 0, 0)], (0, 10, 20)),
        ("a slight bend", [(10, 0.01, 0, 0), (10, 0.01, 0.003, 0)], (0, 20)),
        ("closing", [(10, 0.01, 0, 0), (10, 0.01, 0, 1)], (0, 12, 20)),
        ("closing, opening", [(8, 0.01, 0, 0), (8, 0.01, 0, 1), (8, 0.01, 0, 0)], (0, 10, 18, 24)),
        ("never moved", [(20, 0.0, 0, 0)], (0, 20)),
        ("a rest at each end", [(5, 0, 0, 0), (15, 0.01, 0, 0), (5, 0, 0, 0)], (0, 20, 25)),
        ("one decision", [], (0,)),
    ],
)
def test_motions(name: str, legs: list, expected: tuple[int, ...]) -> None:  # type: ignore[type-arg]
    assert keyframes(motion(*legs)) == expected


def test_without_decisions_there_are_none() -> None:
    assert find_keyframes([], np.zeros((0, 7))) == ()


def test_a_mark_wins_over_what_lies_near() -> None:
    actions = motion((10, 0.01, 0, 0), (10, 0, 0.01, 0))
    assert keyframes(actions, marks=(12,)) == (0, 12, 20)
    assert keyframes(actions, marks=(5,)) == (0, 5, 10, 20)


def test_first_and_last_win_over_a_mark() -> None:
    assert keyframes(motion((20, 0.01, 0, 0)), marks=(1, 19)) == (0, 20)


def test_unknown_actions_are_no_evidence() -> None:
    actions = motion((10, 0.01, 0, 0), (10, 0, 0.01, 0))
    actions[6:14] = np.nan
    assert keyframes(actions) == (0, 20)
    assert keyframes(np.full((21, 7), np.nan)) == (0, 20)


@pytest.mark.parametrize(
    ("marks", "now", "expected"),
    [
        ((), 5, (5,)),
        ((5,), 50, (5, 50)),
        ((5, 50), 52, (5,)),  # pressed again: taken back
        ((5,), 15, (5, 15)),
    ],
)
def test_a_second_press_takes_a_mark_back(
    marks: tuple[int, ...], now: int, expected: tuple[int, ...]
) -> None:
    assert toggle_mark(marks, now, gap_ns=10) == expected


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02), st.sampled_from([0.0, 1.0])),
        min_size=1,
        max_size=60,
    ),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_laws(rows: list[tuple[float, float, float]], marks: list[int]) -> None:
    """First and last are always there, indices increase, and neighbours keep the gap."""
    actions = motion(*[(1, dx, dy, gripper) for dx, dy, gripper in rows])
    found = keyframes(actions, tuple(marks))
    assert found[0] == 0 and found[-1] == len(rows)
    gaps = np.diff(found) * STEP / 1e9
    assert (gaps > 0).all()
    assert (gaps[:-1] >= PLAIN.min_gap_s - 1e-9).all() and len(set(found)) == len(found)
