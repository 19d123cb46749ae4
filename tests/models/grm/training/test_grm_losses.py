"""Losses: their values by other means, their gradients by finite differences."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from dopamine_core.reward.grm.answer import write_hop
from dopamine_core.reward.grm.grid import score_grid
from dopamine_core.reward.grm.training.collate import IGNORED, collate_answers, collate_grid
from dopamine_core.reward.grm.training.losses import (
    answer_loss,
    edge_log_probabilities,
    expected_hop_loss,
    label_loss,
    read_hops,
)
from dopamine_core.reward.grm.training.vision import FrozenVision
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from dopamine_core.reward.vlm.sequence import batch_of
from tests.models.grm.training.test_grm_collate import questions

BATCH = 32


def cell_prefixes(tokenizer: object) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    """Shortest token prefixes that leave one percent cell open, found by comparing all answers with each other."""
    answers = {
        tuple(tokenizer(write_hop(tenth / 1000))["input_ids"]): (
            int(np.sign(tenth)),
            abs(tenth) // 10,
        )
        for tenth in range(-1000, 1001)
    }
    inside: dict[tuple[int, ...], set[tuple[int, int]]] = {}
    for ids, cell in answers.items():
        for length in range(1, len(ids) + 1):
            inside.setdefault(ids[:length], set()).add(cell)
    found: dict[tuple[int, int], set[tuple[int, ...]]] = {}
    for ids, cell in answers.items():
        length = next(n for n in range(1, len(ids) + 1) if inside[ids[:n]] == {cell})
        found.setdefault(cell, set()).add(ids[:length])
    return {cell: sorted(prefixes) for cell, prefixes in found.items()}


def mean_hop(cell: tuple[int, int]) -> float:
    """What a cell stands for: the mean of its answers."""
    sign, percent = cell
    tenths = [t for t in range(-1000, 1001) if (np.sign(t), abs(t) // 10) == (sign, percent)]
    return float(np.mean(tenths)) / 1000


@torch.no_grad()
def fed_one_by_one(checkpoint: Checkpoint, question: object) -> tuple[float, float, float]:
    """Expected hop, its variance and the mass, every prefix a sequence of its own in a plain forward."""
    cells = cell_prefixes(checkpoint.tokenizer)
    rows = [(prefix, mean_hop(cell)) for cell, prefixes in cells.items() for prefix in prefixes]
    logs = []
    for begin in range(0, len(rows), BATCH):
        part = [prefix for prefix, _ in rows[begin : begin + BATCH]]
        shown = [
            ([*question.pieces[:-1], [*question.pieces[-1], *prefix]], question.images)
            for prefix in part
        ]
        batch = batch_of(shown, checkpoint.tokenizer, pad_left=False)
        logits = checkpoint.model(**batch.inputs).logits.log_softmax(-1)
        for row, (prefix, length) in enumerate(zip(part, batch.lengths, strict=True)):
            places = range(length - len(prefix) - 1, length - 1)
            logs.append(sum(float(logits[row, k, t]) for k, t in zip(places, prefix, strict=True)))
    weights = np.exp(logs)
    hops = np.array([hop for _, hop in rows])
    mass = float(weights.sum())
    mean = float((weights * hops).sum()) / mass
    return mean, float((weights * (hops - mean) ** 2).sum()) / mass, mass


def test_expectation_is_that_of_answers_fed_one_by_one(checkpoint: Checkpoint) -> None:
    asked, grid = questions(checkpoint), score_grid(checkpoint.tokenizer)
    reading = read_hops(checkpoint.model, collate_grid(asked, checkpoint.tokenizer, grid), grid)
    for row, question in enumerate(asked):
        # An untrained model prefers the shortest answer, 0.0%: small numbers, hence relative tolerances.
        expected = fed_one_by_one(checkpoint, question)
        got = [float(part[row]) for part in (reading.hop, reading.variance, reading.mass)]
        assert got == pytest.approx(expected, rel=1e-3, abs=0.0)


def test_answer_loss_is_that_of_transformers(checkpoint: Checkpoint) -> None:
    batch = collate_answers(questions(checkpoint), checkpoint.tokenizer)
    logits = checkpoint.model(**batch.inputs).logits
    expected = functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=IGNORED
    )
    assert float(answer_loss(checkpoint.model, batch)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("label_weight", [0.0, 0.1])
def test_gradient_of_the_expected_hop_is_that_of_finite_differences(
    checkpoint: Checkpoint, label_weight: float
) -> None:
    model, grid = checkpoint.model.double(), score_grid(checkpoint.tokenizer)
    batch = collate_grid(questions(checkpoint), checkpoint.tokenizer, grid)
    weight = model.model.language_model.layers[1].mlp.down_proj.weight.requires_grad_()

    def loss() -> torch.Tensor:
        logs, hops = edge_log_probabilities(model, batch, grid), batch.hops.double()
        error = expected_hop_loss(grid.read(logs), hops)
        return error + label_weight * label_loss(grid, logs, hops)

    loss().backward()
    gradient, step = weight.grad.flatten(), 1e-3  # norms are taken in float32
    strongest = gradient.abs().topk(4).indices.tolist()
    for place in [*strongest, 0, 101]:
        ends = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                weight.view(-1)[place] += sign * step
                ends.append(float(loss()))
                weight.view(-1)[place] -= sign * step
        slope = (ends[0] - ends[1]) / (2.0 * step)
        assert float(gradient[place]) == pytest.approx(slope, rel=5e-3, abs=1e-5)
    assert float(gradient.abs().max()) > 1e-5


def test_label_loss_is_the_probability_of_the_label_fed_alone(checkpoint: Checkpoint) -> None:
    asked, grid = questions(checkpoint), score_grid(checkpoint.tokenizer)
    logs = edge_log_probabilities(
        checkpoint.model, collate_grid(asked, checkpoint.tokenizer, grid), grid
    )
    for row, question in enumerate(asked):
        cell = int(np.sign(question.hop)), round(abs(question.hop) * 1000) // 10
        [prefix] = cell_prefixes(checkpoint.tokenizer)[cell]
        fed = [*question.pieces[:-1], [*question.pieces[-1], *prefix]]
        batch = batch_of([(fed, question.images)], checkpoint.tokenizer, pad_left=False)
        steps = checkpoint.model(**batch.inputs).logits[0].log_softmax(-1)
        first = batch.lengths[0] - len(prefix) - 1
        expected = sum(float(steps[first + k, token]) for k, token in enumerate(prefix))
        got = label_loss(grid, logs[row : row + 1], torch.tensor([question.hop]))
        assert float(got) == pytest.approx(-expected, rel=1e-4)


def test_being_sure_of_a_wrong_score_has_a_way_out_by_the_label_alone(
    checkpoint: Checkpoint,
) -> None:
    grid, label = score_grid(checkpoint.tokenizer), torch.tensor([0.8])
    zero = int(np.flatnonzero(grid.cell_hops == 0.0)[0])
    edge, path = int(grid.cell_edges[zero]), []
    while edge >= 0:
        path.append(edge)
        edge = int(grid.edge_parents[edge])
    logs = torch.full((1, len(grid.edge_nodes)), -20.0)
    logs[0, path] = 0.0
    logs.requires_grad_()
    (squared,) = torch.autograd.grad(expected_hop_loss(grid.read(logs), label), logs)
    (weighed,) = torch.autograd.grad(label_loss(grid, logs, label), logs)
    assert squared.abs().max() < 1e-6 < 0.5 < weighed.abs().max()


def test_frozen_vision_shows_what_the_tower_shows(checkpoint: Checkpoint) -> None:
    batch, grid = questions(checkpoint), score_grid(checkpoint.tokenizer)
    batch = collate_grid(batch, checkpoint.tokenizer, grid)
    vision = FrozenVision(checkpoint.model)
    direct = read_hops(checkpoint.model, batch, grid)
    for _ in range(2):  # looked at, then remembered
        cached = read_hops(checkpoint.model, batch, grid, vision)
        torch.testing.assert_close(cached.hop, direct.hop, rtol=1e-4, atol=1e-6)


def test_projector_learns_behind_a_frozen_tower(checkpoint: Checkpoint) -> None:
    batch = collate_answers(questions(checkpoint), checkpoint.tokenizer)
    merger = checkpoint.model.model.visual.merger.requires_grad_(True)
    gradients = []
    for vision in (None, FrozenVision(checkpoint.model)):
        checkpoint.model.zero_grad()
        answer_loss(checkpoint.model, batch, vision).backward()
        gradients.append([parameter.grad.clone() for parameter in merger.parameters()])
    for direct, cached in zip(*gradients, strict=True):
        torch.testing.assert_close(cached, direct, rtol=1e-3, atol=1e-7)
    assert any(gradient.abs().max() > 0 for gradient in gradients[1])
