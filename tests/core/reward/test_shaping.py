"""Reward terms: tables worked out by hand, then the laws that make shaping harmless."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.errors import ConfigError, LearnerError
from dopamine_core.reward.shaping import (
    EpisodeEnd,
    ShapingConfig,
    decisions_kept,
    episode_rewards,
    lower_bounds,
    q_range,
    transition_terms,
)
from dopamine_core.types import (
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    Outcome,
)

SUCCESS = EpisodeEnd(success=True, terminated=True)
FAILURE = EpisodeEnd(terminated=True)
TIMEOUT = EpisodeEnd(truncated=True)
EXACT, PAPER = ShapingConfig(0.9, "exact"), ShapingConfig(0.9, "paper")
PHI = [0.0, 0.5, 0.8]
POTENTIALS = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=60)
ENDS = st.sampled_from([SUCCESS, FAILURE, TIMEOUT])
CONFIGS = st.builds(ShapingConfig, st.floats(0.5, 0.999), st.sampled_from(["exact", "paper"]))


@pytest.mark.parametrize(
    ("end", "config", "last_shaping", "gold"),
    [
        (SUCCESS, EXACT, -0.5, 1.0),
        (FAILURE, EXACT, -0.5, 0.0),
        (TIMEOUT, EXACT, 0.9 * 0.8 - 0.5, 0.0),
        (SUCCESS, PAPER, 0.9 * 0.8 - 0.5, 1.0),
        (FAILURE, PAPER, 0.9 * 0.8 - 0.5, 0.0),
        (TIMEOUT, PAPER, 0.9 * 0.8 - 0.5, 0.0),
    ],
)
def test_last_transition(
    end: EpisodeEnd, config: ShapingConfig, last_shaping: float, gold: float
) -> None:
    rewards = episode_rewards(PHI, end, config)
    assert rewards.shaping == pytest.approx([0.9 * 0.5, last_shaping])
    assert rewards.r_gold.tolist() == [0.0, gold]
    assert rewards.total == pytest.approx([0.9 * 0.5, last_shaping + gold])
    assert rewards.terminated.tolist() == [False, end.terminated]
    assert rewards.truncated.tolist() == [False, end.truncated]
    assert rewards.potential_next[-1] == (0.0 if end.terminated and config is EXACT else 0.8)


def test_strides_use_gamma_to_the_k() -> None:
    rewards = episode_rewards([0.1, 0.4, 0.6], TIMEOUT, EXACT, steps=[3, 2])
    assert rewards.gamma == pytest.approx([0.9**3, 0.9**2])
    assert rewards.shaping == pytest.approx([0.9**3 * 0.4 - 0.1, 0.9**2 * 0.6 - 0.4])


@pytest.mark.parametrize("phi", [[], [0.3]])
def test_an_episode_without_transitions_has_no_reward(phi: list[float]) -> None:
    assert episode_rewards(phi, SUCCESS, EXACT).total.shape == (0,)
    assert lower_bounds(phi, SUCCESS, EXACT).shape == (0,)


def test_a_missing_potential_is_never_a_number() -> None:
    rewards = episode_rewards([0.1, np.nan, 0.3], TIMEOUT, EXACT)
    assert np.isnan(rewards.total).all()
    assert np.isnan(episode_rewards([0.1, 0.2, np.nan, 0.3], TIMEOUT, EXACT).total).tolist() == [
        False,
        True,
        True,
    ]


@given(POTENTIALS, ENDS, CONFIGS, st.integers(1, 5))
def test_shaping_telescopes(
    phi: list[float], end: EpisodeEnd, config: ShapingConfig, stride: int
) -> None:
    """Sum of gamma^t F_t = gamma^T Phi(s_T) - Phi(s_0), with Phi(s_T) as the mode takes it."""
    rewards = episode_rewards(phi, end, config, steps=stride)
    discount = config.gamma ** (stride * np.arange(len(phi) - 1))
    zero = end.terminated and config.terminal_mode == "exact"
    last = 0.0 if zero else phi[-1]
    expected = config.gamma ** (stride * (len(phi) - 1)) * last - phi[0]
    assert np.sum(discount * rewards.shaping) == pytest.approx(expected, abs=1e-5)


@given(POTENTIALS, ENDS, CONFIGS)
def test_gold_is_paid_exactly_once_and_only_by_success(
    phi: list[float], end: EpisodeEnd, config: ShapingConfig
) -> None:
    gold = episode_rewards(phi, end, config).r_gold
    assert gold.sum() == (1.0 if end.success else 0.0)
    assert (gold[:-1] == 0.0).all()


@given(POTENTIALS, POTENTIALS, CONFIGS)
def test_in_exact_mode_potentials_do_not_change_which_episode_is_better(
    a: list[float], b: list[float], config: ShapingConfig
) -> None:
    """From one start state, the shaped returns of two ended episodes differ as the plain ones
    do.
    """
    exact = ShapingConfig(config.gamma, "exact")
    b[0] = a[0]
    returns = [_return(episode_rewards(phi, SUCCESS, exact).total, exact) for phi in (a, b)]
    plain = [exact.gamma ** (len(phi) - 2) for phi in (a, b)]
    assert returns[0] - returns[1] == pytest.approx(plain[0] - plain[1], abs=1e-6)


@given(POTENTIALS, ENDS, CONFIGS)
def test_lower_bound_is_below_the_return_and_exact_at_true_terminals(
    phi: list[float], end: EpisodeEnd, config: ShapingConfig
) -> None:
    rewards = episode_rewards(phi, end, config)
    bounds = lower_bounds(phi, end, config)
    to_go = np.array([_return(rewards.total[k:], config) for k in range(len(phi) - 1)])
    if end.terminated and config.terminal_mode == "exact":
        assert to_go == pytest.approx(bounds, abs=1e-6)
    elif end.terminated:
        assert (to_go >= bounds - 1e-6).all()
    low, high = q_range(config)
    assert (bounds >= low - 1e-9).all() and (to_go <= high + 1e-9).all()


def test_lower_bound_of_a_truncation_is_gold_only() -> None:
    assert lower_bounds(PHI, TIMEOUT, EXACT) == pytest.approx([0.0, -0.5])
    assert lower_bounds(PHI, SUCCESS, EXACT) == pytest.approx([0.9, 1.0 - 0.5])
    assert lower_bounds(PHI, SUCCESS, EXACT, steps=[3, 2]) == pytest.approx([0.9**3, 0.5])


def test_step_cost_takes_its_endless_sum_off() -> None:
    costly = lower_bounds(PHI, TIMEOUT, EXACT, step_cost=0.01)
    assert costly == pytest.approx([-0.1, -0.6])
    with pytest.raises(LearnerError, match="gamma < 1"):
        lower_bounds(PHI, TIMEOUT, ShapingConfig(1.0), step_cost=0.01)


def info(outcome: Outcome, success_ns: int = 0) -> EpisodeInfo:
    return EpisodeInfo(
        "e",
        EpisodeState.CLOSED,
        EpisodeKind.ROLLOUT,
        "t",
        100,
        1,
        100,
        outcome,
        success_ns=success_ns,
    )


def test_decisions_after_the_success_stamp_are_dropped() -> None:
    stamps = [10, 20, 30, 40]
    assert decisions_kept(stamps, info(Outcome.SUCCESS, 30)) == 3
    assert decisions_kept(stamps, info(Outcome.SUCCESS, 35)) == 3
    assert decisions_kept(stamps, info(Outcome.SUCCESS)) == 4
    assert decisions_kept(stamps, info(Outcome.TIME_LIMIT, 30)) == 4


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Outcome.SUCCESS, SUCCESS),
        (Outcome.FAILURE, FAILURE),
        (Outcome.TIME_LIMIT, TIMEOUT),
        (Outcome.STOP, TIMEOUT),
        (Outcome.SAFETY_ABORT, TIMEOUT),
        (Outcome.CAMERA_LOSS, TIMEOUT),
        (Outcome.DISCARDED, TIMEOUT),
    ],
)
def test_the_end_comes_from_the_authority(outcome: Outcome, end: EpisodeEnd) -> None:
    assert EpisodeEnd.of(info(outcome)) == end


def test_success_that_did_not_end_the_episode_pays_nothing() -> None:
    assert transition_terms(0.5, 0.95, EXACT, EpisodeEnd(success=True)).r_gold == 0.0


def test_wrong_shapes_and_settings_are_named() -> None:
    with pytest.raises(LearnerError, match="one episode at a time"):
        episode_rewards([[0.1, 0.2]], TIMEOUT, EXACT)
    with pytest.raises(LearnerError, match="steps"):
        episode_rewards(PHI, TIMEOUT, EXACT, steps=[1, 2, 3])
    with pytest.raises(LearnerError, match="steps >= 1"):
        episode_rewards(PHI, TIMEOUT, EXACT, steps=0)
    with pytest.raises(ConfigError, match="exact, paper"):
        ShapingConfig(terminal_mode="zero")


def test_one_transition_equals_the_row_of_the_episode() -> None:
    terms = transition_terms(0.5, 0.8, EXACT, SUCCESS)
    assert terms.total == episode_rewards(PHI, SUCCESS, EXACT).total[-1]
    assert terms.success and terms.terminated and not terms.truncated


def _return(rewards: np.ndarray, config: ShapingConfig) -> float:
    return float(np.sum(config.gamma ** np.arange(len(rewards)) * rewards))
