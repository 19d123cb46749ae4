"""Clips with their labels come in, Robometer's joint loss goes out, for the same trainer as the GRM's.

What is asked of a model is only ``ClipModel``: any model that says this of clips can be trained.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from dopamine_core.config import check, setting
from dopamine_core.reward.grm.training_at_scale.joint_losses import (
    preference_loss,
    progress_loss,
    success_loss,
)
from dopamine_core.reward.grm.training_at_scale.objective import Objective


@dataclass(frozen=True)
class ClipReading:
    """What a model says of B clips of T frames, as logits."""

    progress: Tensor  # (B, T, K) over bins
    success: Tensor  # (B, T)
    preference: Tensor  # (B,) that the first clip of a pair comes further; any number where there is no pair


class ClipModel(Protocol):
    """A module that reads clips; its parameters' names decide their part, see ``parts.part_of``."""

    def __call__(self, **inputs: Tensor) -> ClipReading:
        """Read a batch; differentiable."""


@dataclass(frozen=True)
class ClipBatch:
    """Clips with their labels; a label that is not known has False beside it.

    :param inputs: what the model takes, by name.
    """

    inputs: dict[str, Tensor]
    progress: Tensor  # (B, T) in [0, 1]
    progress_known: Tensor  # (B, T) bool
    success: Tensor  # (B, T) 0 or 1
    success_known: Tensor  # (B, T) bool
    first_better: Tensor  # (B,) 0 or 1
    preference_known: Tensor  # (B,) bool

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch on a device."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        inputs = {name: tensor.to(device) for name, tensor in fields.pop("inputs").items()}
        return ClipBatch(inputs, **{name: tensor.to(device) for name, tensor in fields.items()})


@dataclass(frozen=True)
class JointConfig:
    """How the three terms are weighed."""

    positive_share: float = setting(
        doc="Share of the known frames of all data that are successes.", low=1e-6, high=1.0 - 1e-6
    )
    progress_weight: float = setting(1.0, doc="Of the progress term.", low=0.0, high=1e3)
    success_weight: float = setting(1.0, doc="Of the success term.", low=0.0, high=1e3)
    preference_weight: float = setting(1.0, doc="Of the preference term.", low=0.0, high=1e3)

    def __post_init__(self) -> None:
        check(self)


class JointObjective(Objective):
    """Progress, success and preference at once; a mean over clips.

    :param model: a ``ClipModel``.
    """

    def __init__(self, model: nn.Module, config: JointConfig) -> None:
        super().__init__()
        self.model, self._config = model, config

    def forward(self, batch: ClipBatch) -> dict[str, Tensor]:
        """Return ``progress``, ``success`` and ``preference``, weighed."""
        read: ClipReading = self.model(**batch.inputs)
        config = self._config
        share = config.positive_share
        return {
            "progress": config.progress_weight
            * progress_loss(read.progress, batch.progress, batch.progress_known),
            "success": config.success_weight
            * success_loss(read.success, batch.success, batch.success_known, share),
            "preference": config.preference_weight
            * preference_loss(read.preference, batch.first_better, batch.preference_known),
        }

    def weight(self, batch: ClipBatch) -> float:
        """Clips."""
        return float(len(batch.progress))
