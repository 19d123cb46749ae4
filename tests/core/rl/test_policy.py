"""The exported policy acts as torch does, needs no torch, and refuses what does not fit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from dopamine_core.errors import LearnerError
from dopamine_core.rl.policy import ActingConfig, OnnxPolicy
from tests.core.rl.small import INFO, demonstrations, small_learner

TORCH_FREE = "policy observation encoder action_space normaliser transitions buffer"


@pytest.fixture(scope="module")
def trained() -> tuple[object, bytes, np.ndarray]:
    learner = small_learner()
    episodes = demonstrations(2)
    learner.set_demonstrations(episodes)
    for _ in range(4):
        learner.update_offline()
    rows = np.concatenate([e.observations for e in episodes])
    return learner, learner.export(), rows


def test_greedy_action_equals_torch(trained: tuple) -> None:
    learner, data, rows = trained
    policy = OnnxPolicy.from_bytes(data)
    exported = np.array([policy.act(row, greedy=True) for row in rows])
    assert exported == pytest.approx(learner.greedy(rows), abs=1e-5)


def test_distribution_equals_torch(trained: tuple) -> None:
    learner, data, rows = trained
    z = torch.from_numpy(learner.normaliser(rows[:5]))
    with torch.no_grad():
        output = learner.agent.impl.policy(z)
    for k in range(5):
        mean, deviation = OnnxPolicy.from_bytes(data).distribution(rows[k])
        assert mean == pytest.approx(output.mu[k].numpy(), abs=1e-5)
        assert deviation == pytest.approx(output.logstd[k].exp().numpy(), rel=1e-4)


def test_info_survives_the_file(trained: tuple) -> None:
    info = OnnxPolicy.from_bytes(trained[1]).info
    assert (info.axes, info.max_step_m, info.encoder_sha256) == (
        INFO.axes,
        INFO.max_step_m,
        INFO.encoder_sha256,
    )
    assert info.gradient_steps == 4


def test_sampled_noise_has_the_policys_spread_and_the_declared_correlation(trained: tuple) -> None:
    policy = OnnxPolicy(trained[1], ActingConfig(mode="sampled", correlation=0.8), seed=3)
    row = trained[2][0]
    mean, deviation = policy.distribution(row)
    noise = np.array([(np.arctanh(policy.act(row)) - mean) / deviation for _ in range(4000)])
    assert noise.std(axis=0) == pytest.approx(np.ones(3), abs=0.1)
    assert (noise[1:] * noise[:-1]).mean() == pytest.approx(0.8, abs=0.1)


def test_the_same_seed_gives_the_same_actions(trained: tuple) -> None:
    runs = []
    for _ in range(2):
        policy = OnnxPolicy(trained[1])
        policy.begin_episode(seed=5)
        runs.append([policy.act(row) for row in trained[2][:6]])
    assert np.array_equal(runs[0], runs[1])


def test_another_encoder_is_refused(trained: tuple) -> None:
    policy = OnnxPolicy.from_bytes(trained[1])
    policy.require_encoder(INFO.encoder_sha256)
    with pytest.raises(LearnerError, match="encoder toy"):
        policy.require_encoder("cd" * 32)


@pytest.mark.parametrize("spoil", [lambda d: b"", lambda d: d[: len(d) // 2], lambda d: b"text"])
def test_corrupt_bytes_are_named(trained: tuple, spoil) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LearnerError, match="policy in ONNX"):
        OnnxPolicy.from_bytes(spoil(trained[1]))


@pytest.mark.parametrize("row", [np.zeros(3, np.float32), np.full(55, np.nan, np.float32)])
def test_wrong_observations_are_named(trained: tuple, row: np.ndarray) -> None:
    with pytest.raises(LearnerError, match="finite observation of size 55"):
        OnnxPolicy.from_bytes(trained[1]).act(row)


def test_the_agents_side_never_imports_torch() -> None:
    lines = "; ".join(f"import dopamine_core.rl.{name}" for name in TORCH_FREE.split())
    code = f"{lines}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
