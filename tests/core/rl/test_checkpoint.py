"""A resumed learner goes on exactly as if it had never stopped; damaged checkpoints are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dopamine_core.errors import LearnerError
from dopamine_core.rl.checkpoint import (
    newest_checkpoint,
    read_checkpoint,
    restore,
    save_checkpoint,
)
from dopamine_core.rl.learner import Learner
from tests.core.rl.small import demonstrations, practice, small_learner

EPISODES = {e.info.episode_id: e for e in [*demonstrations(2), *practice(3)]}


def half_way() -> Learner:
    learner = small_learner()
    learner.set_demonstrations(
        [e for e in EPISODES.values() if e.info.episode_id.startswith("demo")]
    )
    for _ in range(3):
        learner.update_offline()
    learner.add_practice(EPISODES["roll-0"])
    learner.add_practice(EPISODES["roll-1"])
    for _ in range(3):
        learner.update_online()
    return learner


def go_on(learner: Learner) -> bytes:
    learner.add_practice(EPISODES["roll-2"])
    for _ in range(4):
        learner.update_online()
    return learner.export()


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    learner = half_way()
    save_checkpoint(learner, tmp_path, policy_version=7)
    uninterrupted = go_on(learner)
    checkpoint = read_checkpoint(newest_checkpoint(tmp_path))
    assert checkpoint.policy_version == 7
    resumed = small_learner()
    restore(resumed, checkpoint, lambda name: EPISODES[name.episode_id])
    assert (resumed.gradient_steps, resumed.counts.online_episodes) == (6, 2)
    assert go_on(resumed) == uninterrupted
    assert resumed.pending == learner.pending


def test_saved_policy_is_the_exported_one(tmp_path: Path) -> None:
    learner = half_way()
    save_checkpoint(learner, tmp_path)
    assert read_checkpoint(newest_checkpoint(tmp_path)).policy == learner.export()


def test_old_checkpoints_go_and_partial_ones_are_ignored(tmp_path: Path) -> None:
    learner = half_way()
    for _ in range(3):
        learner.update_online()
        save_checkpoint(learner, tmp_path)
    (tmp_path / "step-999999999").mkdir()  # a crash while writing leaves no learner.json
    assert newest_checkpoint(tmp_path).name == f"step-{learner.gradient_steps:09d}"
    assert len(list(tmp_path.glob("step-*/learner.json"))) == 2


@pytest.mark.parametrize("name", ["networks.pt", "normaliser.npz", "policy.onnx"])
def test_an_altered_file_is_named(tmp_path: Path, name: str) -> None:
    folder = save_checkpoint(half_way(), tmp_path)
    (folder / name).write_bytes(b"x")
    with pytest.raises(LearnerError, match=name):
        read_checkpoint(folder)


def test_other_settings_are_named(tmp_path: Path) -> None:
    folder = save_checkpoint(half_way(), tmp_path)
    with pytest.raises(LearnerError, match="learner.batch_size 64 -> 32"):
        restore(
            small_learner(batch_size=32), read_checkpoint(folder), lambda n: EPISODES[n.episode_id]
        )


def test_a_missing_checkpoint_and_a_full_disk_are_named(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="a checkpoint in"):
        newest_checkpoint(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(LearnerError, match="writable folder"):
        save_checkpoint(half_way(), blocked / "below")


def test_random_states_are_kept(tmp_path: Path) -> None:
    learner = half_way()
    folder = save_checkpoint(learner, tmp_path)
    drawn = learner.rng.integers(1 << 30, size=4)
    resumed = small_learner()
    restore(resumed, read_checkpoint(folder), lambda name: EPISODES[name.episode_id])
    assert np.array_equal(resumed.rng.integers(1 << 30, size=4), drawn)
