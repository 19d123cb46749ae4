"""The learner counts, waits with a reason, keeps its numbers feasible and learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dopamine_core.errors import LearnerError
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.rl.learner import Learner
from dopamine_core.types import Outcome
from tests.core.rl.small import demonstrations, practice, small_learner


@pytest.fixture(scope="module")
def offline() -> Learner:
    learner = small_learner()
    learner.set_demonstrations(demonstrations(4))
    for _ in range(150):
        learner.update_offline()
    return learner


def test_cloning_moves_the_policy_to_the_demonstrations(offline: Learner) -> None:
    episodes = demonstrations(4)
    rows = np.concatenate([e.observations[:-1] for e in episodes])
    actions = np.concatenate([e.actions[:-1] for e in episodes])
    error = np.mean((offline.greedy(rows) - actions) ** 2)
    assert error < 0.3 * np.mean((actions - actions.mean(axis=0)) ** 2)


def test_values_stay_feasible(offline: Learner) -> None:
    health = offline.health()
    assert health is not None
    assert -1.1 < health.q_data < 1.1
    assert health.warnings == ()
    assert np.isfinite(dataclasses.astuple(health)[:-1]).all()


def test_values_are_higher_on_the_demonstrated_than_on_random_actions(offline: Learner) -> None:
    data = offline.offline.data
    assert offline.agent is not None
    random = np.random.default_rng(0).uniform(-1, 1, data.actions.shape).astype(np.float32)
    on_data = offline.agent.value(data.observations, data.actions).mean()
    assert on_data > offline.agent.value(data.observations, random).mean()


def test_waiting_is_explained() -> None:
    learner = small_learner(warmup_episodes=2)
    assert "demonstrations" in learner.waiting_for()
    learner.set_demonstrations(demonstrations(1))
    assert "2 more practice episode(s)" in learner.waiting_for()
    learner.add_practice(practice()[0])
    assert learner.waiting_for().startswith("1 more")
    learner.add_practice(practice()[0])
    assert learner.waiting_for() == ""
    while learner.pending:
        learner.update_online()
    assert learner.waiting_for().startswith("new practice")


def test_each_new_transition_pays_for_its_updates() -> None:
    learner = small_learner(critic_updates=3, warmup_episodes=0)
    learner.set_demonstrations(demonstrations(1))
    count = learner.add_practice(practice()[0])
    assert count == 19
    assert learner.pending == 3 * count


def test_counts_tell_what_was_dropped_and_clipped() -> None:
    learner = small_learner()
    learner.set_demonstrations(demonstrations(2))
    episode = practice()[0]
    rows, actions = episode.observations.copy(), episode.actions.copy()
    rows[0], actions[4] = np.nan, 2.0
    learner.add_practice(dataclasses.replace(episode, observations=rows, actions=actions))
    counts = learner.counts
    assert (counts.offline_episodes, counts.online_episodes) == (2, 1)
    assert (counts.dropped, counts.out_of_range) == (1, 1)
    assert counts.online_transitions == 18


@pytest.mark.parametrize(("clipped", "said"), [(1, False), (6, True)])
def test_actions_beyond_the_policys_range_are_told_when_they_are_many(
    clipped: int, said: bool
) -> None:
    learner = small_learner()
    learner.set_demonstrations(demonstrations(2))
    episode = practice()[0]
    actions = episode.actions.copy()
    actions[2 : 2 + clipped] = 2.0
    learner.add_practice(dataclasses.replace(episode, actions=actions))
    learner.update_online()
    health = learner.health()
    assert health is not None
    assert any("exceed the policy's range" in text for text in health.warnings) == said


def test_online_updates_use_the_online_weights(offline: Learner) -> None:
    assert offline.agent is not None
    offline.agent.begin_phase(online=True)
    impl = offline.agent.impl
    assert (impl._conservative_weight, impl.cloning_weight) == (0.0, 0.5)
    offline.agent.begin_phase(online=False)
    assert (impl._conservative_weight, impl.cloning_weight) == (0.1, 1.0)


def test_the_calibrated_bound_lifts_policy_values(offline: Learner) -> None:
    """Cal-QL: inside the log-sum-exp, values of policy actions are at least the bound."""
    import torch

    assert offline.agent is not None
    impl = offline.agent.impl
    rows = torch.from_numpy(offline.offline.data.observations[:8])
    bound = torch.full((8, 1), 50.0)
    values, _ = impl._compute_policy_is_values(rows, rows, bound)
    assert (values == 50.0).all()


def test_orders_and_settings_that_cannot_work_are_named() -> None:
    learner = small_learner()
    with pytest.raises(LearnerError, match="demonstrations before practice"):
        learner.add_practice(practice()[0])
    with pytest.raises(LearnerError, match="expected demonstrations"):
        learner.export()
    with pytest.raises(LearnerError, match="at least two finite observations"):
        learner.set_demonstrations([])
    with pytest.raises(LearnerError, match="one discount"):
        Learner(
            learner.info,
            agent=learner.agent_config,
            config=learner.config,
            shaping=ShapingConfig(gamma=0.9),
            transitions=learner.transitions,
            blocks=(1,),
            floor=np.zeros(1, np.float32),
            seed=0,
        )


def test_infeasible_values_raise_an_alarm() -> None:
    learner = small_learner()
    learner.set_demonstrations(demonstrations(1))
    learner.update_offline()
    learner.update_offline()
    for metrics in learner._metrics:
        metrics["q_data"] = 7.0
    health = learner.health()
    assert health is not None and "outside the feasible" in health.warnings[0]


def test_failed_practice_is_not_cloned() -> None:
    learner = small_learner()
    learner.set_demonstrations(demonstrations(1))
    episode = practice()[0]
    learner.add_practice(episode)
    won = dataclasses.replace(episode.info, outcome=Outcome.SUCCESS)
    learner.add_practice(dataclasses.replace(episode, info=won))
    assert sorted(set(learner.online.data.imitate.tolist())) == [0.0, 1.0]
    assert learner.online.data.imitate.mean() == pytest.approx(0.5)
