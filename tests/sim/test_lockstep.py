"""Lock-step episodes: reproducible bit for bit, whole, and ended by the right authority."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.control.from_files import command_core_of
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.types import EpisodeKind, Outcome
from dopamine_sim.cell import Cell
from dopamine_sim.lockstep import Asked, Lockstep, LockstepResult, ScriptedOperator

SIZE = (160, 120)


def _lockstep() -> Lockstep:
    kinematics = Kinematics()
    return Lockstep(Cell("insert_peg"), lambda: command_core_of(kinematics), image_size=SIZE)


class Still:
    """Asks for nothing."""

    def act(self, seen: object) -> Asked:
        return Asked(np.zeros(6), 1.0)


def _demonstrate(lockstep: Lockstep, seed: int) -> LockstepResult:
    return lockstep.play(
        lambda cell: ScriptedOperator(cell, seed=seed), seed=seed, kind=EpisodeKind.DEMONSTRATION
    )


@pytest.fixture(scope="module")
def demonstrations() -> tuple[LockstepResult, LockstepResult]:
    """The same seed twice, once with another episode before it."""
    first, second = _lockstep(), _lockstep()
    _demonstrate(second, 4)
    return _demonstrate(first, 3), _demonstrate(second, 3)


def test_same_seed_gives_the_same_episode_bit_for_bit(
    demonstrations: tuple[LockstepResult, LockstepResult],
) -> None:
    one, other = (result.episode for result in demonstrations)
    assert len(one) == len(other)
    assert np.array_equal(one.actions, other.actions, equal_nan=True)
    for left, right in zip(one.pairs, other.pairs, strict=True):
        assert left is not None and right is not None
        assert (left.front.data, left.wrist.data) == (right.front.data, right.wrist.data)


def test_a_demonstration_is_whole_and_ends_in_success(
    demonstrations: tuple[LockstepResult, LockstepResult],
) -> None:
    result = demonstrations[0]
    assert result.true_success and result.episode.info.outcome is Outcome.SUCCESS
    assert np.isfinite(result.episode.actions[:-1]).all()
    assert all(sample is not None for sample in result.episode.joints)


def test_executed_displacement_agrees_with_the_measured_motion(
    demonstrations: tuple[LockstepResult, LockstepResult],
) -> None:
    episode, kinematics = demonstrations[0].episode, Kinematics()
    poses = [kinematics.forward(kinematics.arm_positions(sample)).position for sample in episode.joints]
    moved, commanded = poses[-1] - poses[0], episode.actions[:-1, :3].sum(axis=0)
    assert np.abs(moved - commanded).max() < 0.02  # contact keeps the peg behind the command


def test_time_limit_truncates_a_policy_that_does_nothing() -> None:
    result = _lockstep().play(lambda cell: Still(), seed=1, max_decisions=4)
    assert result.episode.info.truncated and not result.episode.info.terminated
    assert result.episode.info.outcome is Outcome.TIME_LIMIT and len(result.episode) == 5
    assert np.abs(result.episode.actions[:-1, :6]).max() == 0.0
