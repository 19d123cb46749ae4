"""A base model's tokenizer comes in, the same with Robometer's five tokens goes out.

Their order decides which embedding row each one reads, so it is part of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dopamine_core.errors import ModelError

SPLIT, PREFERENCE, PROGRESS = "<|split_token|>", "<|pref_token|>", "<|prog_token|>"
#: In the order in which training added them; the reward and similarity tokens have no head in the published weights.
ADDED = (SPLIT, "<|reward_token|>", PREFERENCE, "<|sim_token|>", PROGRESS)


@dataclass(frozen=True)
class TokenIds:
    """Where the heads read."""

    progress: int
    preference: int


def add_tokens(tokenizer: Any, rows: int) -> TokenIds:
    """Add the five tokens, unless the tokenizer has them, and check that the embedding holds just these tokens.

    :param tokenizer: of the base model, or of the checkpoint; changed in place.
    :param rows: of the checkpoint's token embedding.
    :raises ModelError: when tokens and embedding do not belong together.
    """
    known = tokenizer.get_vocab()
    present = [token for token in ADDED if token in known]
    if present and len(present) < len(ADDED):
        raise ModelError(
            expected=f"a tokenizer with all of {', '.join(ADDED)}, or none of them",
            got=f"only {', '.join(present)}",
            remedy="name the base model's folder as base",
        )
    if not present:
        tokenizer.add_tokens(list(ADDED), special_tokens=True)
    ids = tokenizer.convert_tokens_to_ids(list(ADDED))
    wanted = list(range(rows - len(ADDED), rows))
    if ids != wanted or len(tokenizer) != rows:
        raise ModelError(
            expected=f"an embedding of {len(tokenizer)} rows whose last are the tokens {', '.join(ADDED)}",
            got=f"{rows} rows; the tokenizer gives these tokens the ids {ids}",
            remedy="take the tokenizer of the model that the checkpoint was trained from (setting base)",
        )
    return TokenIds(progress=ids[ADDED.index(PROGRESS)], preference=ids[ADDED.index(PREFERENCE)])
