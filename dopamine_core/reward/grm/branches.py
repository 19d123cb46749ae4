"""Attention of a row whose pieces see different things: each piece attends to what it sees, and to nothing else.

One mask over the whole row would have every piece compute, and throw away, what it does not see: half of the work
for three readings. Registered with transformers under a name of its own; calls without branches are plain attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "dopamine_branches"


@dataclass(frozen=True)
class Branch:
    """One piece of the row.

    :param start: first of its tokens among the new ones.
    :param end: after its last.
    :param sees: (start, end) of what it sees in the whole row, itself last.
    :param mask: (tokens, tokens seen), added to the scores; None when it sees all of it.
    """

    start: int
    end: int
    sees: tuple[tuple[int, int], ...]
    mask: torch.Tensor | None


def use_branches(language_model: Any) -> None:
    """Let a text model attend by branches; its weights and other uses stay as they are."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    language_model.set_attn_implementation(NAME)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    branches: Sequence[Branch] | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it.

    :param query: (1, heads, new, d).
    :param key: (1, key heads, held + new, d); ``value`` alike.
    :param branches: what each piece sees; None: as ``sdpa``.
    :returns: (1, new, heads, d).
    """
    if branches is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    made = [_attend_branch(query, key, value, branch, options.get("scaling")) for branch in branches]
    return torch.cat(made, dim=2).transpose(1, 2).contiguous(), None


def _attend_branch(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    branch: Branch,
    scaling: float | None,
) -> torch.Tensor:
    """(1, heads, n, d); query heads that share a key head become more rows, so that no key is copied."""
    rows = query[:, :, branch.start : branch.end]
    heads, tokens, size = rows.shape[1:]
    groups = heads // key.shape[1]
    made = scaled_dot_product_attention(
        rows.reshape(1, heads // groups, groups * tokens, size),
        _seen(key, branch),
        _seen(value, branch),
        attn_mask=None if branch.mask is None else branch.mask.repeat(groups, 1),
        scale=scaling,
    )
    return made.reshape(1, heads, tokens, size)


def _seen(states: torch.Tensor, branch: Branch) -> torch.Tensor:
    parts = [states[:, :, start:end] for start, end in branch.sees]
    return torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
