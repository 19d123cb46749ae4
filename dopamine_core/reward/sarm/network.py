"""Features of a window of frames come in, stage and progress within it go out, at every frame of the window."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SarmShape:
    """Sizes of the network."""

    features: int  # of one view
    classes: int  # stages and "done"
    window: int  # frames
    width: int = 64
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1


class Block(nn.Module):
    """Attention that looks back only, then a feed-forward layer."""

    def __init__(self, shape: SarmShape) -> None:
        super().__init__()
        width = shape.width
        self._heads = shape.heads
        self.before_attention, self.before_mixing = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mix = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.drop = nn.Dropout(shape.dropout)
        later = torch.triu(torch.ones(shape.window, shape.window, dtype=torch.bool), diagonal=1)
        self.register_buffer("later", later)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) to the same."""
        x = x + self.drop(self.out(self._attend(self.before_attention(x))))
        return x + self.drop(self.mix(self.before_mixing(x)))

    def _attend(self, x: Tensor) -> Tensor:
        batch, window, width = x.shape
        parts = self.queries_keys_values(x).reshape(batch, window, 3, self._heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, N, width / heads) each
        score = query @ key.transpose(-1, -2) / (width / self._heads) ** 0.5
        weight = score.masked_fill(self.later, float("-inf")).softmax(-1)
        return (weight @ value).transpose(1, 2).reshape(batch, window, width)


class SarmNetwork(nn.Module):
    """The transformer over a window.

    :param mean: (F,) of the features, for their normalisation.
    :param deviation: (F,) of the features.
    """

    def __init__(self, shape: SarmShape, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.enter = nn.Linear(2 * shape.features + 2, shape.width)
        self.place = nn.Parameter(0.02 * torch.randn(shape.window, shape.width))
        self.drop = nn.Dropout(shape.dropout)
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.layers)))
        self.leave = nn.LayerNorm(shape.width)
        self.stage = nn.Linear(shape.width, shape.classes)
        self.tau = nn.Linear(shape.width, shape.classes)

    def forward(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Read every frame of a window.

        :param features: (B, N, 2, F), front then wrist.
        :param present: (B, N, 2), 0 for a view that is not there.
        :returns: logits of the classes (B, N, K + 1), and progress within each in [0, 1], of the same shape.
        """
        seen = (features - self.mean) / self.deviation * present[..., None]
        x = self.enter(torch.cat([seen.flatten(2), present], dim=-1)) + self.place
        x = self.leave(self.blocks(self.drop(x)))
        return self.stage(x), torch.sigmoid(self.tau(x))


class LastFrame(nn.Module):
    """What is exported: probabilities and progress within the classes at the newest frame."""

    def __init__(self, network: SarmNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K + 1) each."""
        logits, tau = self.network(features, present)
        return logits[:, -1].softmax(-1), tau[:, -1]
