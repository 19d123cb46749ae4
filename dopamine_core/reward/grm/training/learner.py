"""A checkpoint comes in; a model with adapters that answers, errs and can be corrected goes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor

from dopamine_core.reward.grm.grid import score_grid
from dopamine_core.reward.grm.training.adapt_config import EXPECTED_HOP, VISION, AdaptConfig
from dopamine_core.reward.grm.training.collate import Question, collate_answers, collate_grid
from dopamine_core.reward.grm.training.lora import attach
from dopamine_core.reward.grm.training.losses import (
    answer_loss,
    edge_log_probabilities,
    expected_hop_loss,
    label_loss,
    read_hops,
)
from dopamine_core.reward.grm.training.vision import FrozenVision
from dopamine_core.reward.vlm.checkpoint import Checkpoint

Weights = dict[str, Tensor]  # of the adapters, by peft's names


@dataclass(frozen=True)
class Read:
    """Answers to Q questions."""

    hops: NDArray[np.float64]  # (Q,) expected hops in [-1, 1]
    mass: NDArray[np.float64]  # (Q,) probability that an answer is a score


class Learner:
    """A checkpoint with adapters.

    :param checkpoint: its model gets the adapters; everything else stays frozen.
    :param seed: of the adapters' start.
    """

    def __init__(self, checkpoint: Checkpoint, config: AdaptConfig, seed: int) -> None:
        self.checkpoint = checkpoint
        self.adapted = attach(checkpoint.model, config, seed)
        self._config = config
        self._grid = score_grid(checkpoint.tokenizer)
        frozen = VISION not in config.targets
        self._vision = FrozenVision(checkpoint.model) if frozen else None

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What learns."""
        return [part for part in self.adapted.parameters() if part.requires_grad]

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Dropout is on, and activations are computed twice if so configured, within the block."""
        model = self.checkpoint.model
        if self._config.recompute:
            model.activation_checkpointing_enable({"use_reentrant": False})
        model.train()
        try:
            yield
        finally:
            model.eval()
            if self._config.recompute:
                model.activation_checkpointing_disable()

    def loss(self, questions: Sequence[Question]) -> Tensor:
        """Mean loss of a few questions, with its gradient."""
        model, tokenizer = self._parts
        if self._config.loss != EXPECTED_HOP:
            batch = collate_answers(questions, tokenizer).to(self.checkpoint.device)
            return answer_loss(model, batch, self._vision)
        asked = collate_grid(questions, tokenizer, self._grid).to(self.checkpoint.device)
        logs = edge_log_probabilities(model, asked, self._grid, self._vision)
        error = expected_hop_loss(self._grid.read(logs), asked.hops)
        return error + self._config.label_weight * label_loss(self._grid, logs, asked.hops)

    @torch.no_grad()
    def read(self, questions: Sequence[Question]) -> Read:
        """Answer questions, whichever loss is learned by."""
        model, tokenizer = self._parts
        size, hops, mass = self._config.micro_batch, [], []
        for begin in range(0, len(questions), size):
            batch = collate_grid(questions[begin : begin + size], tokenizer, self._grid)
            reading = read_hops(model, batch.to(self.checkpoint.device), self._grid, self._vision)
            hops.append(reading.hop.double().cpu().numpy())
            mass.append(reading.mass.double().cpu().numpy())
        return Read(np.concatenate(hops), np.concatenate(mass))

    def weights(self) -> Weights:
        """Return a copy of the adapters' weights, on the CPU."""
        found = get_peft_model_state_dict(self.adapted, save_embedding_layers=False)
        return {name: tensor.detach().cpu().clone() for name, tensor in found.items()}

    def put(self, weights: Weights) -> None:
        """Set the adapters' weights."""
        set_peft_model_state_dict(self.adapted, weights)

    @property
    def _parts(self) -> tuple[Any, Any]:
        return self.checkpoint.model, self.checkpoint.tokenizer
