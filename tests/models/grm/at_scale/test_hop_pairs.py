"""States and pairs of an episode: tables of Eq. 1 and 2 first, then laws."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.grm.official_data import Segment
from dopamine_core.reward.grm.training_at_scale.hop_pairs import (
    OFFICIAL,
    PairConfig,
    choose_pairs,
    state_ids,
)
from dopamine_core.reward.hops import BalanceConfig, cells_of
from dopamine_core.reward.keyframe_states import state_frames

TWO = (Segment("a", 10, 40), Segment("b", 40, 100))


@pytest.mark.parametrize(
    ("chunk", "rounding", "states"),
    [
        (20, "floor", [10, 20, 30, 40, 60, 80, 100]),  # floor(floor(91 / 20) / 2) = 2 between
        (30, "floor", [10, 25, 40, 70, 100]),  # floor(floor(91 / 30) / 2) = 1 between
        (20, OFFICIAL, [10, 25, 40, 70, 100]),  # round(90 / 20 / 2) = 2 steps
        (15, OFFICIAL, [10, 20, 30, 40, 60, 80, 100]),  # round(90 / 15 / 2) = 3 steps
        (80, OFFICIAL, [10, 40, 100]),  # round(0.56) = 1 step
    ],
)
def test_states_of_an_episode(chunk, rounding, states):
    found = state_ids(TWO, PairConfig(chunk=chunk, rounding=rounding))
    assert found.tolist() == states


@pytest.mark.parametrize("chunk", [7, 13, 20])
def test_floored_states_are_those_of_a_demonstration(chunk):
    whole = (Segment("a", 0, 31), Segment("b", 31, 77), Segment("c", 77, 149))
    states = state_ids(whole, PairConfig(chunk=chunk))
    assert states.tolist() == np.rint(state_frames([0, 31, 77, 149], 150, chunk)).tolist()


def test_a_gap_between_parts_has_no_states():
    parts = (Segment("a", 0, 40), Segment("b", 60, 100))
    states = state_ids(parts, PairConfig(chunk=20))
    assert not [k for k in states if 40 < k < 60]
    assert {0, 40, 60, 100} <= set(states.tolist())


def test_fewer_than_three_states_are_refused():
    with pytest.raises(DemonstrationError, match="at least 3 states, got 2"):
        state_ids((Segment("a", 0, 10),), PairConfig())


def test_labels_are_shares_of_what_was_left_and_what_was_reached():
    states = np.array([3, 10, 20, 33, 47])
    step = {frame: k for k, frame in enumerate(states.tolist())}
    pairs = choose_pairs(states, PairConfig(pairs=20, zero_share=0.0), np.random.default_rng(0))
    assert len({(pair.before, pair.after) for pair in pairs}) == 20  # all there are
    for pair in pairs:
        p, q = step[pair.before], step[pair.after]
        assert pair.hop == pytest.approx((q - p) / (4 - p) if q > p else (q - p) / p)


def test_zero_hops_stay_near_a_state_and_inside():
    states = np.arange(0, 400, 40)
    config = PairConfig(pairs=400, zero_share=0.5)
    zeros = [p for p in choose_pairs(states, config, np.random.default_rng(1)) if p.hop == 0.0]
    assert len(zeros) == 200
    near = {abs(pair.before - pair.after) for pair in zeros}
    assert near == {3, 6}  # 7.5 % of 40 at the ends, of 80 between
    assert all(0 <= pair.after <= 360 and pair.before in states for pair in zeros)


def test_cells_of_hop_and_gap_are_filled_alike():
    config = PairConfig(pairs=2000, zero_share=0.0)
    pairs = choose_pairs(np.arange(0, 4000, 20), config, np.random.default_rng(2))
    gaps = [abs(pair.after - pair.before) / 20 for pair in pairs]
    cells = cells_of([pair.hop for pair in pairs], gaps, BalanceConfig(), 200)
    counts = np.bincount(cells)
    assert len(pairs) == 2000
    assert np.median(counts[counts > 0]) >= 0.9 * counts.max()


def test_official_balance_takes_what_lacks_from_the_smallest_hops():
    config = PairConfig(pairs=1003, zero_share=0.0, balance=OFFICIAL)
    states = np.arange(200)
    pairs = choose_pairs(states, config, np.random.default_rng(2))
    assert len({(pair.before, pair.after) for pair in pairs}) == 1003
    bins = np.array([np.clip(int((pair.hop + 1.0) * 12.5), 0, 24) for pair in pairs])
    counts = np.bincount(bins, minlength=25)
    assert counts[[0, 1, 2, 22, 23, 24]].tolist() == [40] * 6  # 1003 // 25, all four gap bins full
    assert counts.argmax() == 12 and counts[12] > 4 * 41  # the rest, as the centre has enough
    assert np.delete(counts, 12).max() <= 41
    gaps = [abs(pair.after - pair.before) for pair, k in zip(pairs, bins, strict=True) if k == 24]
    assert np.histogram(gaps, bins=4, range=(1, 199))[0].tolist() == [10, 10, 10, 10]


def test_official_balance_gives_everything_when_there_is_too_little():
    config = PairConfig(pairs=500, zero_share=0.0, balance=OFFICIAL)
    pairs = choose_pairs(np.arange(10), config, np.random.default_rng(2))
    assert len({(pair.before, pair.after) for pair in pairs}) == len(pairs) == 90


def test_very_long_episodes_give_different_pairs_too():
    pairs = choose_pairs(np.arange(2000), PairConfig(pairs=500), np.random.default_rng(3))
    assert len(pairs) == 500
    chosen = [(pair.before, pair.after) for pair in pairs if pair.hop]
    assert len(set(chosen)) == len(chosen) and all(a != b for a, b in chosen)
