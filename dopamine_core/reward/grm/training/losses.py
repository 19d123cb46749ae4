"""A model and a batch come in; expected hops, or the loss that training follows, go out.

Two losses, by setting: the squared error of the expected hop (arXiv 2512.23703 v1, Eq. 12), where the expectation is
over the model's own distribution of score strings, or the token cross-entropy of the written answer, as the official
trainer has it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dopamine_core.reward.grm.grid import GridReading, ScoreGrid
from dopamine_core.reward.grm.training.collate import IGNORED, AnswerBatch, GridBatch
from dopamine_core.reward.grm.training.vision import FrozenVision


def edge_log_probabilities(
    model: Any, batch: GridBatch, grid: ScoreGrid, vision: FrozenVision | None = None
) -> Tensor:
    """Log-probability of each edge's token after its node: (B, E), float32 at least, differentiable.

    :param model: transformers' Qwen-VL model for generation; its attention must take a 4D mask (sdpa does).
    :param batch: on the model's device.
    :param vision: looks at the images; without it the model's own tower does, every time.
    """
    hidden = _hidden(model, batch, vision)  # (B, L, H)
    rows = torch.arange(len(hidden), device=hidden.device)[:, None]
    after = _precise(model.lm_head(hidden[rows, batch.nodes])).log_softmax(-1)  # (B, N + 1, V)
    # Place 0 of ``nodes`` is the query's end, which the grid calls node -1.
    nodes = torch.as_tensor(grid.edge_nodes + 1, device=hidden.device)
    tokens = torch.as_tensor(grid.edge_tokens, device=hidden.device)
    return after[:, nodes, tokens]


def read_hops(
    model: Any, batch: GridBatch, grid: ScoreGrid, vision: FrozenVision | None = None
) -> GridReading:
    """Expected hop (B,), its variance and the grid's mass; differentiable. Parameters as above."""
    return grid.read(edge_log_probabilities(model, batch, grid, vision))


def expected_hop_loss(reading: GridReading, hops: Tensor) -> Tensor:
    """Mean squared error of the expected hop (Eq. 12).

    :param hops: (B,) labels in [-1, 1].
    """
    return functional.mse_loss(reading.hop, hops)


def label_loss(grid: ScoreGrid, log_probabilities: Tensor, hops: Tensor) -> Tensor:
    """Mean of -log P(the cell nearest to the label).

    Beside the squared error it does two things: where all probability lies on one wrong score, the expected hop has no
    gradient, this has; and answers stay scores, for the expectation does not see how likely an answer is none.

    :param log_probabilities: (B, E) of the grid's edges.
    :param hops: (B,) labels in [-1, 1].
    """
    logs = grid.cells(log_probabilities)  # (B, C)
    cells = torch.as_tensor(grid.cell_hops, device=hops.device, dtype=hops.dtype)
    nearest = (cells - hops[:, None]).abs().argmin(dim=-1)
    return -logs.gather(-1, nearest[:, None]).mean()


def answer_loss(model: Any, batch: AnswerBatch, vision: FrozenVision | None = None) -> Tensor:
    """Mean cross-entropy of the batch's answer tokens, the end of turn among them.

    :param batch: on the model's device.
    """
    hidden = _hidden(model, batch, vision)
    following = batch.labels[:, 1:]  # the token at k is predicted from what stands before it
    learned = following != IGNORED
    logits = _precise(model.lm_head(hidden[:, :-1][learned]))  # (T, V)
    return functional.cross_entropy(logits, following[learned])


def _precise(logits: Tensor) -> Tensor:
    """Logits in float32 at least: bfloat16 has three digits, and a grid multiplies several probabilities."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _hidden(model: Any, batch: AnswerBatch | GridBatch, vision: FrozenVision | None) -> Tensor:
    inputs = dict(batch.inputs)
    if vision is not None:
        del inputs["pixel_values"]
        inputs["mm_encoder_outputs"] = {"image": vision.outputs(batch.images)}
    return model.model(**inputs, use_cache=False).last_hidden_state
