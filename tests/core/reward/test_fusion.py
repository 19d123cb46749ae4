"""Fusion against numbers worked out by hand, then its laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.errors import ConfigError
from dopamine_core.reward.fusion import Chain, FusionConfig, fuse, read, step

HOP = st.floats(-1.0, 1.0)
UNIT = st.floats(0.0, 1.0)
MODES = st.sampled_from(["mean", "consistency", "absolute_gap"])
CHAINS = st.sampled_from(["fused", "own"])


@pytest.mark.parametrize(
    ("progress", "hop", "expected"),
    [(0.0, 0.5, 0.5), (0.6, 0.5, 0.2), (0.6, -0.5, -0.3), (0.0, -1.0, 0.0), (1.0, 1.0, 0.0)],
)
def test_step_is_eq_4(progress: float, hop: float, expected: float) -> None:
    assert step(progress, hop) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mode", "progress", "weight"),
    [
        # Phi* = 0.4, H_I = 0.5 -> dPhi = 0.3; Phi_I = 0.7, Phi_F = 0.6, Phi_B = 0.8, m = 0.7
        ("mean", 0.7, math.nan),
        # D = 0.2 / 0.7, w = exp(-20 D^2) = 0.195411; 0.4 + w / 2 * (0.7 - 0.4 + 0.3)
        ("consistency", 0.458623, 0.195411),
        # w = exp(-20 * 0.04) = 0.449329; 0.7 + w / 2 * (0.7 - 0.7)
        ("absolute_gap", 0.7, 0.449329),
    ],
)
def test_modes_by_hand(mode: str, progress: float, weight: float) -> None:
    sample = fuse((0.5, 0.6, -0.2), 0.4, 0.4, FusionConfig(mode=mode))
    assert sample.readings == pytest.approx((0.7, 0.6, 0.8))
    assert sample.progress == pytest.approx(progress, abs=1e-6)
    assert sample.consistency == pytest.approx(weight, abs=1e-6, nan_ok=True)


def test_absolute_gap_corrects_the_prediction_by_the_anchors() -> None:
    # Phi_I = 0.2 + 0.8 * 0.5 = 0.6; m = 0.35, gap 0.1, w = exp(-0.2) = 0.818731
    sample = fuse((0.5, 0.3, -0.6), 0.2, 0.2, FusionConfig(mode="absolute_gap"))
    assert sample.progress == pytest.approx(0.6 + 0.818731 / 2 * (0.35 - 0.6), abs=1e-6)


@pytest.mark.parametrize(("gap", "weight"), [(0.1, 0.82), (0.2, 0.45), (0.5, 0.007)])
def test_published_weights_of_the_consistency_check(gap: float, weight: float) -> None:
    half = 0.5 * gap / 2
    sample = fuse((0.0, 0.5 + half, -0.5 - half), 0.5, 0.5, FusionConfig(mode="consistency"))
    assert sample.consistency == pytest.approx(weight, abs=0.005)


def test_each_reading_is_clamped_before_the_mean() -> None:
    assert read((1.0, -0.5, 0.9), 0.5) == (1.0, 0.0, 1.0)
    assert fuse((1.0, -0.5, 0.9), 0.5, 0.5, FusionConfig()).progress == pytest.approx(2 / 3)


def test_chain_from_fused_or_own_value() -> None:
    hops = [(math.nan, 0.0, -1.0), (0.5, 0.2, -0.8), (0.5, 0.2, -0.8)]
    expected = {
        # Phi_I = .5, Phi* = .3; then Phi_I = .3 + .7 * .5 = .65, Phi* = .35
        "fused": [0.0, 0.3, 0.35],
        # Phi_I = .5, Phi* = .3; then Phi_I = .5 + .5 * .5 = .75, Phi* = .383333
        "own": [0.0, 0.3, 0.3833333],
    }
    for chain, values in expected.items():
        recursion = Chain(FusionConfig(chain=chain))
        for hop, value in zip(hops, values, strict=True):
            sample = recursion.fuse(hop)
            recursion.advance(sample)
            assert sample.progress == pytest.approx(value)


@given(st.lists(st.tuples(HOP, HOP, HOP), min_size=1, max_size=30), MODES, CHAINS)
def test_everything_stays_in_the_unit_interval(
    hops: list[tuple[float, float, float]], mode: str, chain: str
) -> None:
    recursion = Chain(FusionConfig(mode=mode, chain=chain))
    for hop in hops:
        sample = recursion.fuse(hop)
        recursion.advance(sample)
        assert all(0.0 <= value <= 1.0 for value in (*sample.readings, sample.progress))
        assert math.isnan(sample.consistency) or 0.0 <= sample.consistency <= 1.0


@given(UNIT, UNIT, HOP)
def test_agreeing_anchors_meet_half_way(phi: float, before: float, hop: float) -> None:
    """Anchors that agree (w = 1): Eq. 11 is the mean of prediction and anchors, in both forms."""
    hops = (hop, phi, phi - 1.0)
    middle = (before + step(before, hop) + phi) / 2.0
    for mode in ("consistency", "absolute_gap"):
        sample = fuse(hops, before, before, FusionConfig(mode=mode))
        assert sample.progress == pytest.approx(middle, abs=1e-6)


@given(HOP, UNIT)
def test_a_hop_back_and_its_label_are_inverse(hop: float, before: float) -> None:
    """Eq. 4 undoes Eq. 2: stepping by the labelled hop lands on the labelled progress."""
    after = before + step(before, hop)
    assert 0.0 <= after <= 1.0
    share = 1.0 - before if hop >= 0.0 else before
    if share > 1e-6:
        assert (after - before) / share == pytest.approx(hop, abs=1e-6)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="mean, consistency, absolute_gap"):
        FusionConfig(mode="median")
