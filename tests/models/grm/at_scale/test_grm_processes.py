"""Two processes learn what one learns; one that is killed ends the run, which can be continued."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from tests.models.grm.at_scale.tiny_run import (
    largest_difference,
    log_of,
    losses_of,
    run_here,
    torchrun,
)

LIMIT_S = 100
STEPS = 10  # of a run that is killed after three


@pytest.fixture(scope="module")
def alone(hop_file, qwen3, tmp_path_factory):
    """Folder of the run in one process."""
    out = tmp_path_factory.mktemp("alone")
    run_here(hop_file, qwen3, out, steps=STEPS, save_every=4)
    return out


def test_two_sharing_processes_learn_what_one_learns(alone, hop_file, qwen3, tmp_path):
    with torchrun(hop_file, qwen3, tmp_path, shard="full", steps=STEPS, save_every=4) as run:
        said, _ = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, said
    assert len(log_of(tmp_path, "started")) == 2
    assert losses_of(tmp_path) == pytest.approx(losses_of(alone), rel=1e-5)
    assert largest_difference(tmp_path, alone) < 1e-4
    shutil.rmtree(tmp_path / f"checkpoints/step_{STEPS:09d}")  # what two shared, one takes up
    assert run_here(hop_file, qwen3, tmp_path, resume=True, steps=STEPS).steps == 2
    assert largest_difference(tmp_path, alone) < 1e-4


def test_a_killed_process_ends_the_run_which_can_be_continued(alone, hop_file, qwen3, tmp_path):
    with torchrun(hop_file, qwen3, tmp_path, steps=STEPS, save_every=2) as run:
        deadline_s = time.monotonic() + LIMIT_S
        while len(log_of(tmp_path, "step")) < 3 and time.monotonic() < deadline_s:
            time.sleep(0.02)
        (victim,) = [row["pid"] for row in log_of(tmp_path, "started") if row["rank"] == 1]
        os.kill(victim, signal.SIGKILL)
        said, _ = run.communicate(timeout=LIMIT_S)
    assert run.returncode != 0
    assert "LearnerError: expected" in said and "continue from" in said and "--resume" in said
    together = losses_of(tmp_path)
    assert together == pytest.approx(losses_of(alone)[: len(together)], rel=1e-5)
    done = log_of(tmp_path, "saved")[-1]["step"]
    report = run_here(hop_file, qwen3, tmp_path, resume=True, steps=STEPS)
    assert report.steps == STEPS - done > 0
    assert losses_of(tmp_path)[-report.steps :] == pytest.approx(losses_of(alone)[done:], rel=1e-5)
    assert largest_difference(tmp_path, alone) < 1e-4
