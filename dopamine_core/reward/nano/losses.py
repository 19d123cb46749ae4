"""Frames and answers of a batch come in; augmented frames and the loss terms go out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dopamine_core.reward.nano.model import Encoder, HopHead, NanoShape

GEOMETRY_SCALE_M = 0.02  # errors of this size count as one
_HOP_SIGMA = 0.04  # width of the soft hop label, in hops


class NanoNet(nn.Module):
    """Encoder, head and, for training only, readouts of privileged geometry from the policy's features.

    The linear readout makes the features themselves say where things are; the small MLP, which also sees the tool's
    position as a policy does, asks for what a product of image position and height tells.
    """

    def __init__(self, shape: NanoShape, tasks: int, targets: int) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(shape), HopHead(shape)
        width = 2 * shape.feature_dim
        self.linear = nn.Parameter(torch.zeros(tasks, width + 1, targets))
        self.first = nn.Linear(width + 3, 128)
        self.second = nn.Parameter(torch.randn(tasks, 129, targets) * 0.05)

    def geometry(self, features: Tensor, tool: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """Read geometry off features.

        :param features: (B, 2, F).
        :param tool: (B, 3) tool position, standardised.
        :param task: (B,) task numbers.
        :returns: linear and MLP readout, each (B, G).
        """
        flat = features.flatten(1)
        hidden = functional.relu(self.first(torch.cat([flat, tool], dim=1)))
        return _read(flat, self.linear, task), _read(hidden, self.second, task)


def _read(x: Tensor, weights: Tensor, task: Tensor) -> Tensor:
    """Apply the readout of each row's task: one product for all tasks, then a choice."""
    x = functional.pad(x.float(), (0, 1), value=1.0)
    every = torch.einsum("bf,tfg->btg", x, weights)
    return every[torch.arange(len(task), device=task.device), task]


def soft_labels(hop: Tensor, centres: Tensor) -> Tensor:
    """Gaussian histogram (Q, bins) around each hop label."""
    gap = (hop[:, None] - centres[None, :]) / _HOP_SIGMA
    return torch.softmax(-0.5 * gap.square(), dim=1)


def hop_losses(
    head: HopHead, logits: Tensor, phi: Tensor, hop: Tensor, phi_label: Tensor
) -> dict[str, Tensor]:
    """Cross-entropy and squared error of the hop (Eq. 12), squared error of phi."""
    target = soft_labels(hop, head.centres)
    guess, _ = head.expect(logits)
    return {
        "hop_entropy": functional.cross_entropy(logits.float(), target),
        "hop_mse": functional.mse_loss(guess, hop),
        "phi_mse": functional.mse_loss(phi, phi_label),
    }


def geometry_loss(reads: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """Mean of both readouts' absolute errors, rounded off near zero; NaN targets do not count."""
    known = torch.isfinite(target)
    clean = torch.where(known, target, torch.zeros_like(target))
    terms = [functional.smooth_l1_loss(read, clean, beta=0.1, reduction="none") for read in reads]
    return sum((term * known).sum() for term in terms) / (2.0 * known.sum().clamp(min=1))


def augment(frames: Tensor, look: Tensor, generator: torch.Generator) -> Tensor:
    """Photometric augmentation: per look group and camera, a little per frame, and sensor noise.

    :param frames: (B, 2, h, w, 3) uint8.
    :param look: (B,) group numbers.
    :returns: (B, 2, 3, h, w) float in about [-1, 1].
    """
    device = frames.device
    x = frames.permute(0, 1, 4, 2, 3).float() / 255.0
    _, group = torch.unique(look, return_inverse=True)
    count = int(look.numel())

    def draw(spread: float, channels: int = 1, rows: int = count) -> Tensor:
        noise = torch.randn(rows, 2, channels, 1, 1, device=device, generator=generator)
        return (spread * noise).clamp(-2.5 * spread, 2.5 * spread)

    gain = torch.exp(draw(0.12)[group] + draw(0.02) + draw(0.05, 3)[group])
    gamma = torch.exp(draw(0.12)[group])
    contrast = torch.exp(draw(0.10)[group] + draw(0.02))
    offset = draw(0.03)[group]
    x = x.clamp(min=1e-3).pow(gamma) * gain
    mean = x.mean(dim=(2, 3, 4), keepdim=True)
    x = (x - mean) * contrast + mean + offset
    noise = torch.randn(x.shape, device=device, generator=generator)
    x = x + 0.012 * noise * torch.rand(count, 2, 1, 1, 1, device=device, generator=generator)
    return x.clamp(0.0, 1.0) * 2.0 - 1.0
