"""Hidden states come in, progress, success and preference go out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors import safe_open
from torch import nn

from dopamine_core.reward.robometer.layout import HEADS, RobometerFiles

_DROPOUT = 0.1  # of training; heads are used in evaluation mode


def make_head(hidden: int, outputs: int) -> nn.Sequential:
    """Build one head in the published layout."""
    half = hidden // 2
    return nn.Sequential(
        nn.Linear(hidden, half),
        nn.LayerNorm(half),
        nn.GELU(),
        nn.Dropout(_DROPOUT),
        nn.Linear(half, outputs),
    )


@dataclass(frozen=True)
class Judged:
    """What the heads say at each frame of a clip."""

    progress: torch.Tensor  # (T,) in [0, 1]
    variance: torch.Tensor  # (T,) of the progress distribution
    success: torch.Tensor  # (T,) in [0, 1]


class Heads(nn.Module):
    """The three heads.

    :param hidden: size of a hidden state.
    :param bins: of the progress head.
    """

    def __init__(self, hidden: int, bins: int) -> None:
        super().__init__()
        self.progress_head = make_head(hidden, bins)
        self.success_head = make_head(hidden, 1)
        self.preference_head = make_head(hidden, 1)

    def judge(self, states: torch.Tensor) -> Judged:
        """Read progress and success.

        :param states: (T, hidden) at the progress tokens.
        """
        weights = torch.softmax(self.progress_head(states).float(), dim=-1)  # (T, bins)
        centres = torch.linspace(0.0, 1.0, weights.shape[-1], device=weights.device)
        progress = (weights * centres).sum(-1).clamp(0.0, 1.0)  # float rounding
        variance = (weights * (centres - progress[:, None]) ** 2).sum(-1)
        success = torch.sigmoid(self.success_head(states).float())[:, 0]
        return Judged(progress, variance, success)

    def prefer(self, states: torch.Tensor) -> torch.Tensor:
        """Probability that the first clip is the better one: (Q,) in [0, 1].

        :param states: (Q, hidden) at the preference token.
        """
        return torch.sigmoid(self.preference_head(states).float())[:, 0]


def load_heads(found: RobometerFiles, device: torch.device, dtype: torch.dtype) -> Heads:
    """Load the heads of a checkpoint that was looked at.

    :param dtype: of the base model, as in training.
    """
    heads = Heads(found.hidden, found.bins)
    names = [name for name in found.files.tensors if name.startswith(tuple(f"{h}." for h in HEADS))]
    state = {}
    for name in names:
        path = found.files.folder / found.files.tensors[name].file
        with safe_open(path, framework="pt") as file:
            state[name] = file.get_tensor(name)
    heads.load_state_dict(state)
    return heads.to(device=device, dtype=dtype).eval().requires_grad_(False)
