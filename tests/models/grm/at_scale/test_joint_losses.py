"""Robometer's joint loss against computations by hand, and as the trainer uses it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dopamine_core.errors import ConfigError
from dopamine_core.reward.grm.training_at_scale.joint_losses import (
    preference_loss,
    progress_loss,
    success_known,
    success_loss,
    two_hot,
)
from dopamine_core.reward.grm.training_at_scale.joint_objective import (
    ClipBatch,
    ClipReading,
    JointConfig,
    JointObjective,
)
from dopamine_core.reward.grm.training_at_scale.processes import Processes
from dopamine_core.reward.grm.training_at_scale.settings import TrainingSettings
from dopamine_core.reward.grm.training_at_scale.trainer import Trainer

BINS = 10
ALONE = Processes(0, 1, torch.device("cpu"), None)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, {0: 1.0}),
        (1.0, {9: 1.0}),
        (4 / 9, {4: 1.0}),
        (0.5, {4: 0.5, 5: 0.5}),
        (0.95, {8: 0.45, 9: 0.55}),
    ],
)
def test_progress_is_spread_over_two_bins(progress, expected):
    spread = two_hot(torch.tensor([progress], dtype=torch.float64), BINS)[0]
    assert {k: pytest.approx(v) for k, v in expected.items()} == {
        k: float(v) for k, v in enumerate(spread) if v > 1e-9
    }


def test_spread_progress_keeps_its_mean():
    progress = torch.rand(7, 5, dtype=torch.float64)
    spread = two_hot(progress, BINS)
    assert torch.allclose(spread.sum(-1), torch.ones(7, 5, dtype=torch.float64))
    assert torch.allclose((spread * torch.linspace(0, 1, BINS)).sum(-1), progress, atol=1e-6)


def test_progress_loss_by_hand():
    rng = np.random.default_rng(0)
    logits, progress = rng.normal(size=(2, 3, BINS)), rng.random((2, 3))
    known = np.array([[True, True, False], [False, True, False]])
    expected = 0.0
    for b in range(2):
        frames = [t for t in range(3) if known[b, t]]
        for t in frames:
            place = progress[b, t] * (BINS - 1)
            low = math.floor(place)
            log_p = logits[b, t] - math.log(sum(math.exp(x) for x in logits[b, t]))
            entropy = -(1 - (place - low)) * log_p[low] - (place - low) * log_p[low + 1]
            expected += entropy / len(frames) / 2
    progress[~known] = np.nan
    got = progress_loss(*map(torch.tensor, (logits, progress, known)))
    assert float(got) == pytest.approx(expected, rel=1e-5)


def test_success_loss_by_hand():
    logits = torch.tensor([[0.3, -1.2, 2.0], [0.5, 0.1, -0.7]])
    success = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, float("nan")]])
    known = torch.tensor([[True, True, True], [False, True, False]])
    positive, negative = 0.5 / 0.2, 0.5 / 0.8
    first = (negative * softplus(0.3) + negative * softplus(-1.2) + positive * softplus(-2.0)) / 3
    second = positive * softplus(-0.1)
    assert float(success_loss(logits, success, known, 0.2)) == pytest.approx((first + second) / 2, rel=1e-5)


def test_both_classes_weigh_alike():
    success = (torch.arange(1000) < 50).float()[:, None]
    logits = torch.full((1000, 1), 0.4, requires_grad=True)
    known = torch.ones(1000, 1, dtype=torch.bool)
    (gradient,) = torch.autograd.grad(success_loss(logits, success, known, 0.05), logits)
    error = 1.0 / (1.0 + math.exp(0.4))  # of a success; 1 - error of the others
    pulls = float(gradient[:50].sum()) / error, float(gradient[50:].sum()) / (1.0 - error)
    assert pulls[0] == pytest.approx(-pulls[1], rel=1e-4)


def test_success_is_known_at_low_progress_and_at_success():
    progress = torch.tensor([[0.1, 0.49, 0.5, 0.9, 0.99]])
    success = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0]])
    assert success_known(progress, success).tolist() == [[True, True, False, False, True]]


def test_preference_loss_by_hand():
    logits = torch.tensor([0.7, -0.2, 3.0])
    better = torch.tensor([1.0, 0.0, float("nan")])
    known = torch.tensor([True, True, False])
    expected = (softplus(-0.7) + softplus(-0.2)) / 3
    assert float(preference_loss(logits, better, known)) == pytest.approx(expected, rel=1e-5)


def test_gradients_are_those_of_the_loss_and_never_nan():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, BINS, dtype=torch.float64).float()
    progress = torch.tensor([[0.2, float("nan"), 0.7], [float("nan")] * 3])
    known = torch.isfinite(progress)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(progress_loss(logits, progress, known), logits)
    expected = torch.zeros_like(logits)
    for t in (0, 2):
        target = two_hot(progress[0, t], BINS)
        expected[0, t] = (torch.softmax(logits[0, t], -1) - target) / 2 / 2  # frames, clips
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_the_loss_does_not_depend_on_how_clips_are_spread():
    batch, objective = batch_of(range(8)), JointObjective(TinyClips(0.0), JointConfig(positive_share=0.3))
    with torch.no_grad():
        whole = objective(batch)
        few, many = (objective(batch_of(part)) for part in (range(3), range(3, 8)))
    for name, term in whole.items():
        assert float(term) == pytest.approx((3 * float(few[name]) + 5 * float(many[name])) / 8, rel=1e-5)


class TinyClips(nn.Module):
    """Reads clips of four numbers per frame."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Dropout(dropout))
        self.heads = nn.Linear(16, BINS + 2)

    def forward(self, frames):
        read = self.heads(self.body(frames))
        return ClipReading(read[..., :BINS], read[..., BINS], read[..., BINS + 1].mean(-1))


def batch_of(numbers) -> ClipBatch:
    """Clips whose first number is progress; every third one's labels are not known."""
    clips = [np.random.default_rng(n) for n in numbers]
    progress = np.sort([rng.random(6) for rng in clips], axis=1)
    frames = np.stack([np.column_stack([p, rng.normal(size=(6, 3))]) for p, rng in zip(progress, clips, strict=True)])
    progress, known = torch.tensor(progress), torch.tensor([[n % 3 > 0] * 6 for n in numbers])
    success = (progress > 0.9).double()
    return ClipBatch(
        {"frames": torch.tensor(frames).float()},
        progress,
        known,
        success,
        success_known(progress, success),
        torch.tensor([float(n % 2) for n in numbers]),
        known[:, 0],
    )


class TinyLessons:
    sha256 = "tiny"

    def __len__(self) -> int:
        return 24

    def batch(self, numbers):
        return batch_of(numbers)


def test_the_trainer_learns_it_and_goes_on_with_dropout_too(tmp_path):
    settings = TrainingSettings(
        steps=60, batch=8, micro_batch=3, language_rate=0.03, workers=0, save_every=20, precision="float32"
    )

    def trainer(out):
        objective = JointObjective(TinyClips(0.1), JointConfig(positive_share=0.2))
        return Trainer(objective, TinyLessons(), settings, ALONE, out, "base")

    def stop(step):
        if step.step == 47:
            raise KeyboardInterrupt

    whole = trainer(tmp_path / "whole")
    steps = whole.run()
    assert set(steps[0].terms) == {"progress", "success", "preference"}
    assert steps[-1].terms["progress"] < 0.8 * steps[0].terms["progress"]
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "parts").run(on_step=stop)
    continued = trainer(tmp_path / "parts")
    rest = continued.run(resume=True)
    assert [step.loss for step in rest] == [step.loss for step in steps[40:]]
    pairs = zip(whole.objective.parameters(), continued.objective.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_share_without_one_class_is_refused():
    with pytest.raises(ConfigError, match="positive_share"):
        JointConfig(positive_share=0.0)
