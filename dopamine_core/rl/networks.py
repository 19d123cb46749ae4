"""Normalised observations go in, action distributions and an ensemble of values come out (torch)."""

from __future__ import annotations

import contextlib
import io
import itertools
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

with contextlib.redirect_stderr(io.StringIO()):  # gym, which d3rlpy imports, announces its age
    import d3rlpy  # noqa: F401

from d3rlpy.models.encoders import EncoderFactory, register_encoder_factory
from d3rlpy.models.torch.encoders import Encoder
from d3rlpy.types import Shape
from torch import nn


class LayerNormEncoder(Encoder):
    """Linear, LayerNorm, ReLU per layer: the order that keeps unseen actions from being valued too high (RLPD)."""

    def __init__(self, size: int, hidden: list[int]) -> None:
        super().__init__()
        sizes = [size, *hidden]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, hidden, strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(b) for b in hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode (B, Z) to (B, H)."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = F.relu(norm(linear(x)))
        return x


@dataclass
class LayerNormEncoderFactory(EncoderFactory):
    """d3rlpy's seam for the actor's encoder; critics are one :class:`StackedCritic`, which its builder does not know.

    :param hidden_units: sizes of the hidden layers.
    """

    hidden_units: list[int] = field(default_factory=lambda: [256, 256])

    def create(self, observation_shape: Shape) -> Encoder:
        """Make an encoder of flat observations."""
        return LayerNormEncoder(int(observation_shape[0]), self.hidden_units)  # type: ignore[arg-type]

    @staticmethod
    def get_type() -> str:
        """Name in d3rlpy's registry."""
        return "dopamine_layer_norm"


register_encoder_factory(LayerNormEncoderFactory)


class StackedCritic(nn.Module):
    """An ensemble of C LayerNorm critics held as stacked weights, so that one batched product serves all."""

    def __init__(
        self, observation_size: int, action_size: int, hidden: list[int], count: int
    ) -> None:
        super().__init__()
        self.count = count
        sizes = [observation_size + action_size, *hidden, 1]
        self.weights = nn.ParameterList(
            _stacked_linear(count, a, b) for a, b in itertools.pairwise(sizes)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(count, 1, b)) for b in sizes[1:])
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(count, 1, b)) for b in hidden)
        self.shifts = nn.ParameterList(nn.Parameter(torch.zeros(count, 1, b)) for b in hidden)

    def forward(self, x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Value (B, Z) observations with (B, A) actions: (C, B, 1)."""
        h = torch.cat([x, action], dim=1).expand(self.count, -1, -1)  # (C, B, Z + A)
        for index, weight in enumerate(self.weights):
            h = torch.baddbmm(self.biases[index], h, weight)
            if index < len(self.scales):
                h = F.layer_norm(h, h.shape[-1:]) * self.scales[index] + self.shifts[index]
                h = F.relu(h)
        return h


def _stacked_linear(count: int, inputs: int, outputs: int) -> nn.Parameter:
    """Draw (C, inputs, outputs) weights as nn.Linear does, one critic at a time."""
    layers = [nn.Linear(inputs, outputs).weight.detach().T for _ in range(count)]
    return nn.Parameter(torch.stack(layers).contiguous())


class StackedForwarder:
    """What d3rlpy's CQL asks of its critics, answered by one :class:`StackedCritic`.

    :param critic: the ensemble.
    :param subset: critics drawn at random for a target's minimum (REDQ, RLPD).
    """

    def __init__(self, critic: StackedCritic, subset: int) -> None:
        self._critic = critic
        self._subset = subset

    def compute_expected_q(
        self, x: torch.Tensor, action: torch.Tensor, reduction: str = "mean"
    ) -> torch.Tensor:
        """Values (B, 1) reduced by "min" or "mean", or (C, B, 1) with "none"."""
        return _reduced(self._critic(x, action), reduction)

    def compute_target(
        self, x: torch.Tensor, action: torch.Tensor, reduction: str = "min"
    ) -> torch.Tensor:
        """Values (B, 1) of a random subset of critics; "none" gives the subset itself, (S, B, 1)."""
        chosen = torch.randperm(self._critic.count)[: self._subset]
        return _reduced(self._critic(x, action)[chosen], reduction)


def _reduced(values: torch.Tensor, reduction: str) -> torch.Tensor:
    if reduction == "none":
        return values
    return values.min(dim=0).values if reduction == "min" else values.mean(dim=0)
