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
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
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
    made = []
    for branch in branches:
        seen = [_seen(states, branch, module.num_key_value_groups) for states in (key, value)]
        rows = query[:, :, branch.start : branch.end]
        made.append(
            scaled_dot_product_attention(
                rows, *seen, attn_mask=branch.mask, scale=options.get("scaling")
            )
        )
    return torch.cat(made, dim=2).transpose(1, 2).contiguous(), None


def _seen(states: torch.Tensor, branch: Branch, groups: int) -> torch.Tensor:
    parts = [states[:, :, start:end] for start, end in branch.sees]
    return repeat_kv(torch.cat(parts, dim=2) if len(parts) > 1 else parts[0], groups)
