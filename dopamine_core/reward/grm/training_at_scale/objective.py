"""A batch comes in, the terms of its loss go out; what the trainer needs to know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from dopamine_core.reward.grm.grid import ScoreGrid
from dopamine_core.reward.grm.training.collate import IGNORED, AnswerBatch, GridBatch
from dopamine_core.reward.grm.training.losses import (
    answer_loss,
    edge_log_probabilities,
    expected_hop_loss,
    label_loss,
)


class Objective(nn.Module, ABC):
    """A model with its loss. Everything the trainer does to it goes through ``forward``, as sharing weights needs.

    Subclasses are any model's; the trainer knows only this.
    """

    @abstractmethod
    def forward(self, batch: Any) -> dict[str, Tensor]:
        """Return the terms of the loss, scalars whose sum is minimised; each a mean over ``weight`` entries."""

    @abstractmethod
    def weight(self, batch: Any) -> float:
        """How many entries the means are over; a step's loss is the mean over all processes' entries."""


class AnswerObjective(Objective):
    """Cross-entropy of the written score, a mean over answer tokens, as the official trainer has it.

    :param model: transformers' Qwen-VL model for generation, or peft's around it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: AnswerBatch) -> dict[str, Tensor]:
        """Return ``answer``."""
        return {"answer": answer_loss(_bare(self.model), batch)}

    def weight(self, batch: AnswerBatch) -> float:
        """Answer tokens."""
        return float((batch.labels != IGNORED).sum())


class ExpectedHopObjective(Objective):
    """Squared error of the expected hop (arXiv 2512.23703 v1, Eq. 12), a mean over questions.

    :param model: transformers' Qwen-VL model for generation, or peft's around it.
    :param label_weight: weight of -log P(the label's own score), without which a model sure of one wrong score would
        have no gradient.
    """

    def __init__(self, model: nn.Module, grid: ScoreGrid, label_weight: float) -> None:
        super().__init__()
        self.model, self._grid, self._label_weight = model, grid, label_weight

    def forward(self, batch: GridBatch) -> dict[str, Tensor]:
        """Return ``hop`` and ``label``."""
        logs = edge_log_probabilities(_bare(self.model), batch, self._grid)
        label = label_loss(self._grid, logs, batch.hops)
        return {
            "hop": expected_hop_loss(self._grid.read(logs), batch.hops),
            "label": self._label_weight * label,
        }

    def weight(self, batch: GridBatch) -> float:
        """Questions."""
        return float(len(batch.hops))


def _bare(model: Any) -> Any:
    """Transformers' own model, whose layers peft has replaced in place."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
