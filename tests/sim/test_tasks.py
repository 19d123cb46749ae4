"""Every task: solvable by its operator, measured honestly, and kept on the right list."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.errors import UnknownNameError
from dopamine_core.types import ACTION_AXES
from dopamine_sim.cell import Cell
from dopamine_sim.operators import MAX_STEP_M, Operator
from dopamine_sim.rollout import SimEpisode, generate_episode
from dopamine_sim.scene import Scene
from dopamine_sim.servo import Servo
from dopamine_sim.tasks.base import MODES
from dopamine_sim.tasks.insert_peg import FLOOR_M, HOLE_DEPTH_M, PEG_BELOW_TCP_M, InsertPeg
from dopamine_sim.tasks.registry import (
    DEFAULT_TASK,
    HELD_OUT_TASKS,
    TASKS,
    TRAINING_TASKS,
    VALIDATION_TASKS,
    make_task,
)


def _play(task: str, mode: str, seeds: range, *, shift: bool = False) -> list[SimEpisode]:
    cell = Cell(task)
    return [generate_episode(task, s, mode, shift=shift, image_size=None, cell=cell) for s in seeds]


def test_the_lists_do_not_overlap_and_are_what_was_agreed() -> None:
    lists = (*TRAINING_TASKS, *VALIDATION_TASKS, *HELD_OUT_TASKS)
    assert len(set(lists)) == len(lists) and set(lists) == set(TASKS)
    assert len(TRAINING_TASKS) >= 8 and VALIDATION_TASKS == ("stack",)
    assert "open_drawer" in HELD_OUT_TASKS and len(HELD_OUT_TASKS) == 3
    assert DEFAULT_TASK == "insert_peg" in TRAINING_TASKS
    with pytest.raises(UnknownNameError, match="open_drawer"):
        make_task("insert_pegg")


@pytest.mark.parametrize("task", TASKS)
def test_experts_succeed_and_their_episodes_are_well_formed(task: str) -> None:
    for episode in _play(task, "expert", range(2)):
        info = TASKS[task].info
        assert episode.succeeded and 15 <= len(episode.progress) <= info.max_decisions + 1
        assert episode.progress[0] < 0.15 and episode.progress[-1] == 1.0
        assert np.all((episode.progress >= 0.0) & (episode.progress <= 1.0))
        assert np.all((episode.stage >= 0) & (episode.stage < TASKS[task].stages))
        assert episode.actions.shape == (len(episode.progress) - 1, 7)
        assert np.abs(episode.actions[:, :3]).max() <= MAX_STEP_M + 1e-12
        assert np.abs(np.diff(episode.tcp, axis=0)).max() < 0.02
        assert episode.keyframes[0] == 0 and episode.keyframes[-1] == len(episode.progress) - 1
        assert len(episode.keyframes) >= TASKS[task].stages
        assert set(info.axes) <= set(ACTION_AXES)


@pytest.mark.parametrize("task", ["insert_peg", "pick_place", "stack", "open_drawer"])
def test_experts_also_master_the_shift(task: str) -> None:
    assert sum(episode.succeeded for episode in _play(task, "expert", range(2), shift=True)) == 2


@pytest.mark.parametrize("task", ["insert_peg", "pick_place", "lift"])
def test_who_wanders_gets_nowhere(task: str) -> None:
    assert not any(episode.succeeded for episode in _play(task, "wanders", range(1)))


@pytest.mark.parametrize("task", ["insert_peg", "pick_place"])
@pytest.mark.parametrize("mode", ["missed_grasp", "drops"])
def test_bad_operators_fail_and_the_truth_says_so(task: str, mode: str) -> None:
    episodes = _play(task, mode, range(2))
    assert not any(episode.succeeded for episode in episodes)
    assert np.mean([episode.progress[-1] for episode in episodes]) < 0.5


def test_who_stops_early_has_not_finished() -> None:
    episodes = _play("insert_peg", "stops_early", range(3))
    assert not any(episode.succeeded for episode in episodes)
    assert len({round(float(episode.progress[-1]), 1) for episode in episodes}) > 1


def test_a_missed_grasp_goes_through_the_motions_with_an_empty_gripper() -> None:
    episode = _play("pick_place", "missed_grasp", range(1))[0]
    assert episode.actions[:, 6].max() == 1.0  # it did close
    assert episode.joints[:, 6].min() < 0.003  # on nothing
    assert episode.progress.max() < 0.5


def test_regressing_loses_progress_on_the_way() -> None:
    falls = [np.min(np.diff(e.progress)) for e in _play("insert_peg", "regresses", range(2))]
    assert min(falls) < -0.02


class _UnawareOfTheOffset(InsertPeg):
    """Plans as if the peg were held in the middle."""

    def _tcp_for(self, scene: Scene, height: float) -> np.ndarray:
        hole = scene.position("block") + np.array([0, 0, FLOOR_M + HOLE_DEPTH_M + height])
        return hole + np.array([0, 0, PEG_BELOW_TCP_M])


def test_the_shift_is_worth_learning() -> None:
    """Who does not know of it succeeds without it and fails with it."""
    cell = Cell("insert_peg")
    assert [_insert_unaware(cell, seed, shift=False) for seed in range(3)] == [True] * 3
    assert [_insert_unaware(cell, seed, shift=True) for seed in range(3)] == [False] * 3


def _insert_unaware(cell: Cell, seed: int, *, shift: bool) -> bool:
    cell.reset(seed, shift=shift)
    operator, servo = Operator(_UnawareOfTheOffset(), cell.scene, seed=seed), Servo(cell)
    for _ in range(60):
        command = operator.command()
        servo.execute(command.twist[:3] * MAX_STEP_M, command.gripper, 100_000_000)
        if cell.truth().success:
            return True
    return False


def test_progress_is_a_function_of_the_state_alone() -> None:
    cell = Cell("pick_place")
    cell.reset(2)
    first = cell.truth()
    cell.render("front", 64, 48)
    assert cell.truth() == first


def test_an_unknown_mode_lists_the_known_ones() -> None:
    cell = Cell("reach")
    with pytest.raises(UnknownNameError, match="missed_grasp"):
        Operator(cell.task, cell.scene, "sleeps")
    assert "expert" in MODES
