"""Episodes become whole transitions: counts, rewards that telescope, ends kept apart, bounds that hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.reward.shaping import EpisodeEnd, ShapingConfig, episode_rewards
from dopamine_core.rl.normaliser import Normaliser
from dopamine_core.rl.transitions import ObservedEpisode, TransitionConfig, make_transitions
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState, Outcome

SHAPING = ShapingConfig(gamma=0.9)
SAME = Normaliser(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))


def observed(phi: list[float], outcome: Outcome = Outcome.TIME_LIMIT) -> ObservedEpisode:
    """An episode whose observation is [index / 100, Phi] and whose action is index / 100."""
    count = len(phi)
    info = EpisodeInfo("e", EpisodeState.CLOSED, EpisodeKind.ROLLOUT, "t", 1, 1, 2, outcome)
    rows = np.stack([np.arange(count) / 100, phi], axis=1).astype(np.float32)
    actions = (np.arange(count) / 100).astype(np.float32)[:, None]
    actions[-1] = np.nan
    return ObservedEpisode(info, rows, actions, "m")


def cut(episode: ObservedEpisode, n_step: int = 1, shaping: ShapingConfig = SHAPING):  # type: ignore[no-untyped-def]
    return make_transitions(
        episode, SAME, shaping, TransitionConfig(n_step=n_step), demonstration=False
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_n_decisions_give_n_minus_one_transitions(count: int) -> None:
    assert len(cut(observed([0.1] * count)).transitions) == count - 1


@pytest.mark.parametrize(
    ("outcome", "terminal"),
    [
        (Outcome.SUCCESS, 1.0),
        (Outcome.FAILURE, 1.0),
        (Outcome.TIME_LIMIT, 0.0),
        (Outcome.STOP, 0.0),
        (Outcome.CAMERA_LOSS, 0.0),
        (Outcome.DISCARDED, 0.0),
    ],
)
def test_only_true_terminals_stop_the_bootstrap(outcome: Outcome, terminal: float) -> None:
    transitions = cut(observed([0.0, 0.5, 0.9], outcome)).transitions
    assert transitions.terminals.tolist() == [0.0, terminal]


def test_a_truncated_step_bootstraps_from_its_own_last_observation() -> None:
    transitions = cut(observed([0.0, 0.5, 0.9])).transitions
    assert transitions.next_observations[-1, 0] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("outcome", "mode", "last"),
    [
        (Outcome.SUCCESS, "exact", 1.0 - 0.5),
        (Outcome.SUCCESS, "paper", 1.0 + 0.9 * 0.8 - 0.5),
        (Outcome.FAILURE, "exact", -0.5),
        (Outcome.TIME_LIMIT, "exact", 0.9 * 0.8 - 0.5),
    ],
)
def test_reward_of_the_last_transition(outcome: Outcome, mode: str, last: float) -> None:
    shaping = ShapingConfig(gamma=0.9, terminal_mode=mode)
    rewards = cut(observed([0.2, 0.5, 0.8], outcome), shaping=shaping).transitions.rewards
    assert rewards.tolist() == pytest.approx([0.9 * 0.5 - 0.2, last])


def test_a_lost_potential_drops_only_what_needs_it() -> None:
    result = cut(observed([0.1, 0.2, np.nan, 0.4, 0.5]))
    assert result.transitions.observations[:, 0] == pytest.approx([0.0, 0.03])
    assert result.dropped == 2


def test_n_step_targets_reach_around_a_lost_potential() -> None:
    transitions = cut(observed([0.1, 0.2, np.nan, 0.4, 0.5]), n_step=2).transitions
    assert transitions.intervals.tolist() == [1, 2, 1]


def test_the_floor_of_what_follows_is_minus_its_potential() -> None:
    transitions = cut(observed([0.1, 0.2, 0.7]), n_step=2).transitions
    assert transitions.next_floors.tolist() == pytest.approx([-0.7, -0.7])


def test_an_unknown_action_is_dropped_and_an_outside_one_clipped_and_counted() -> None:
    episode = observed([0.1, 0.2, 0.3, 0.4])
    actions = episode.actions.copy()
    actions[0], actions[1] = np.nan, 3.0
    result = cut(dataclasses.replace(episode, actions=actions))
    assert (result.dropped, result.out_of_range) == (1, 1)
    assert result.transitions.actions[0, 0] == 1.0


def test_successful_practice_is_imitated_and_failed_practice_is_not() -> None:
    assert cut(observed([0.0, 1.0], Outcome.SUCCESS)).transitions.imitate.tolist() == [1.0]
    assert cut(observed([0.0, 1.0], Outcome.TIME_LIMIT)).transitions.imitate.tolist() == [0.0]


@settings(max_examples=60, deadline=None)
@given(
    phi=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12),
    outcome=st.sampled_from([Outcome.SUCCESS, Outcome.FAILURE, Outcome.TIME_LIMIT]),
    mode=st.sampled_from(["exact", "paper"]),
    n_step=st.integers(1, 5),
)
def test_n_step_rewards_are_sums_of_the_one_step_rewards(
    phi: list[float], outcome: Outcome, mode: str, n_step: int
) -> None:
    shaping = ShapingConfig(gamma=0.9, terminal_mode=mode)
    episode = observed(phi, outcome)
    one = episode_rewards(episode.potentials, EpisodeEnd.of(episode.info), shaping).total
    transitions = cut(episode, n_step, shaping).transitions
    for k, (reward, interval) in enumerate(
        zip(transitions.rewards, transitions.intervals, strict=True)
    ):
        window = one[k : k + int(interval)]
        assert reward == pytest.approx(float(window @ 0.9 ** np.arange(len(window))), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    phi=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12),
    outcome=st.sampled_from([Outcome.SUCCESS, Outcome.TIME_LIMIT]),
)
def test_the_bound_is_gold_return_minus_phi(phi: list[float], outcome: Outcome) -> None:
    bounds = cut(observed(phi, outcome)).transitions.bounds
    gold = 1.0 if outcome is Outcome.SUCCESS else 0.0
    expected = [gold * 0.9 ** (len(phi) - 2 - t) - phi[t] for t in range(len(phi) - 1)]
    assert bounds.tolist() == pytest.approx(expected, abs=1e-6)
