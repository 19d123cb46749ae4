"""What the trainer minimises: the terms of each loss, and that low precision ends before the reading."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dopamine_core.reward.grm.answer import write_hop
from dopamine_core.reward.grm.grid import score_grid
from dopamine_core.reward.grm.prompt import own_prompt
from dopamine_core.reward.grm.training_at_scale import objective
from dopamine_core.reward.grm.training_at_scale.lessons import HopLessons, read_hop_items
from dopamine_core.reward.grm.training_at_scale.objective import (
    AnswerObjective,
    ExpectedHopObjective,
)
from dopamine_core.reward.grm.training_at_scale.run import MODEL_TYPES
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig, load_checkpoint


@pytest.fixture(scope="module")
def checkpoint(qwen3):
    config = CheckpointConfig(path=str(qwen3), offline=True, min_pixels=784, max_pixels=1024)
    return load_checkpoint(config, MODEL_TYPES)


def lessons_of(checkpoint, hop_file, grid=None):
    data = read_hop_items([hop_file], own_prompt())
    return HopLessons(data, checkpoint.tokenizer, checkpoint.image_processor, grid), data


def test_answers_are_weighed_by_their_tokens(checkpoint, hop_file):
    lessons, data = lessons_of(checkpoint, hop_file)
    batch, learner = lessons.batch([3, 5]), AnswerObjective(checkpoint.model)
    tokens = [len(checkpoint.tokenizer(write_hop(data.items[k].hop))["input_ids"]) + 1 for k in (3, 5)]
    assert learner.weight(batch) == sum(tokens)
    alone = [float(learner(lessons.batch([k]))["answer"]) for k in (3, 5)]
    mean = (alone[0] * tokens[0] + alone[1] * tokens[1]) / sum(tokens)
    assert float(learner(batch)["answer"]) == pytest.approx(mean, rel=1e-4)


def test_the_expected_hop_is_weighed_by_questions(checkpoint, hop_file):
    grid = score_grid(checkpoint.tokenizer)
    lessons, _ = lessons_of(checkpoint, hop_file, grid)
    batch, learner = lessons.batch([3, 5]), ExpectedHopObjective(checkpoint.model, grid, 0.5)
    assert learner.weight(batch) == 2.0
    alone = [learner(lessons.batch([k])) for k in (3, 5)]
    for name, term in learner(batch).items():
        assert float(term) == pytest.approx(float(alone[0][name] + alone[1][name]) / 2, rel=1e-3)


def test_low_precision_ends_before_the_reading(checkpoint, monkeypatch):
    grid = score_grid(checkpoint.tokenizer)
    torch.manual_seed(0)
    logs = -5.0 * torch.rand(2, len(grid.edge_nodes))
    monkeypatch.setattr(objective, "edge_log_probabilities", lambda *_: logs)
    learner = ExpectedHopObjective(nn.Identity(), grid, 0.5)
    batch = SimpleNamespace(hops=torch.tensor([0.25, -0.5]))
    precise = learner(batch)
    with torch.autocast("cpu", torch.bfloat16):
        low = learner(batch)
    assert all(torch.equal(low[name], term) for name, term in precise.items())
