"""Scoring through the reward model's seam: curves from hops, figures and the success rule against the truth."""

import numpy as np
import pytest

from dopamine_core.errors import ModelError
from dopamine_core.evaluation.score import (
    JudgedEpisode,
    curves,
    figures,
    score_pairs,
    success_figures,
    success_index,
)
from dopamine_core.reward.hops import hop_label
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import References
from tests.core.reward.toy_model import BarModel, bar_pair

NAN = float("nan")


def hops_of(phi: np.ndarray) -> np.ndarray:
    """Hops that a perfect model answers."""
    before = np.concatenate([phi[:1], phi[:-1]])
    return np.stack([hop_label(before, phi), hop_label(phi[0], phi), hop_label(1.0, phi)], axis=1)


def test_perfect_hops_give_the_truth() -> None:
    phi = np.array([0.0, 0.2, 0.5, 0.3, 0.9, 1.0])
    for curve in curves(hops_of(phi)).values():
        np.testing.assert_allclose(curve, phi, atol=1e-9)


def test_invalid_sample_holds_the_chain() -> None:
    phi = np.array([0.0, 0.4, 0.4, 0.8])
    hops = hops_of(phi)
    hops[2] = NAN
    fused = curves(hops)["fused"]
    assert np.isnan(fused[2]) and fused[3] == pytest.approx(0.8)


def test_scores_through_the_seam() -> None:
    pairs = [bar_pair(share, k + 1) for k, share in enumerate((0.0, 0.25, 0.5, 1.0))]
    model = PairwiseModel(BarModel())
    scored = score_pairs(model, References("fill", (pairs[-1],), pairs[0]), pairs)
    np.testing.assert_allclose(scored.progress, [0.0, 0.25, 0.5, 1.0], atol=0.03)
    np.testing.assert_allclose(curves(scored.hops)["fused"], scored.progress, atol=1e-9)
    assert scored.invalid == 0
    with pytest.raises(ModelError, match="frame pair"):
        score_pairs(model, References("fill", (pairs[-1],)), [])


@pytest.mark.parametrize(
    ("progress", "consecutive", "index"),
    [
        ([0.1, 0.9, 0.9], 2, 2),
        ([0.9, 0.1, 0.9], 2, None),
        ([0.9, NAN, 0.9], 2, None),
        ([0.9, 0.9, 0.9, 0.1], 3, 2),
        ([0.5], 1, None),
        ([], 2, None),
    ],
)
def test_success_rule(progress: list[float], consecutive: int, index: int | None) -> None:
    assert success_index(progress, 0.8, consecutive) == index


def judged(progress: list[float], truth: list[float], expert: bool = True) -> JudgedEpisode:
    values = np.array(truth)
    return JudgedEpisode(np.array(progress), values, values >= 1.0, expert)


def test_false_missed_and_late_successes() -> None:
    episodes = [
        judged([0.1, 0.5, 0.9, 0.9], [0.2, 0.6, 1.0, 1.0]),  # right, one decision late
        judged([0.9, 0.9, 0.9, 0.9], [0.2, 0.6, 1.0, 1.0]),  # too early: false
        judged([0.9, 0.9, 0.2, 0.2], [0.2, 0.3, 0.1, 0.1]),  # never true: false
        judged([0.1, 0.2, 0.3, 0.4], [0.2, 0.6, 1.0, 1.0]),  # missed
    ]
    counts = success_figures(episodes, 0.8, consecutive=2)
    expected = {"episodes": 4, "true_successes": 3, "right": 1, "false": 2, "missed": 1}
    assert {name: counts[name] for name in expected} == expected
    assert counts["delay_decisions"] == 1.0
    assert np.isnan(success_figures([], 0.8)["delay_decisions"])


def test_figures_say_nothing_where_nothing_is_known() -> None:
    table = figures([judged([0.0, 0.5, 1.0], [0.0, 0.5, 1.0])])
    assert table["voc"] == pytest.approx(1.0) and table["rmse"] == 0.0
    assert np.isnan(table["rank_imperfect"]) and np.isnan(table["regressions_seen"])
