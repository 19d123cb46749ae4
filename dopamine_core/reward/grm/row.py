"""Many token sequences that share beginnings are computed as one row of tokens, each beginning once.

A piece of a sequence sees the spans it is told to see and its own earlier tokens, nothing else; positions are its own.
So one pass through the model answers several queries at once, and a beginning that stays is kept for the next pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dopamine_core.reward.grm.branches import Branch, use_branches

_SPARE = 1024  # tokens that a buffer grows by
_UNUSED = torch.zeros(1, 1, 1, 1)


@dataclass(eq=False)
class Span:
    """A stretch of computed tokens; moves when the row is packed."""

    start: int
    end: int


@dataclass(frozen=True)
class Piece:
    """A stretch of tokens to compute."""

    embeddings: torch.Tensor  # (n, H)
    positions: NDArray[np.int64]  # (3, n)
    sees: tuple[Span, ...]  # all that comes before it in its sequence
    tree: NDArray[np.bool_] | None = None  # (t, t): what its last t tokens see of each other
    image: torch.Tensor | None = None  # (n,) bool, where deep features are added
    deep: tuple[torch.Tensor, ...] = ()  # per layer: (image tokens, H)

    def __len__(self) -> int:
        return len(self.embeddings)


class KeyValues:
    """Keys and values of all layers, written in place; what a model's ``past_key_values`` is asked for."""

    def __init__(self) -> None:
        self.length = 0
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens held before the present pass."""
        return self.length

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a pass's keys and values, (1, heads, n, d) each; return all up to them."""
        end = self.length + keys.shape[2]
        held = self._layers.get(layer_idx)
        if held is None or held[0].shape[2] < end:
            held = self._grow(held, keys, values, end + _SPARE)
            self._layers[layer_idx] = held
        for buffer, new in zip(held, (keys, values), strict=True):
            buffer[:, :, self.length : end] = new
        return held[0][:, :, :end], held[1][:, :, :end]

    def pack(self, kept: NDArray[np.int64]) -> None:
        """Keep the tokens of these indices, in this order."""
        for layer, held in self._layers.items():
            index = torch.as_tensor(kept, device=held[0].device)
            fresh = tuple(torch.empty_like(buffer) for buffer in held)
            for new, old in zip(fresh, held, strict=True):
                new[:, :, : len(kept)] = old.index_select(2, index)
            self._layers[layer] = (fresh[0], fresh[1])
        self.length = len(kept)

    def _grow(
        self,
        held: tuple[torch.Tensor, torch.Tensor] | None,
        keys: torch.Tensor,
        values: torch.Tensor,
        capacity: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        grown = []
        for k, like in enumerate((keys, values)):
            buffer = like.new_empty((*like.shape[:2], capacity, like.shape[3]))
            if held is not None:
                buffer[:, :, : self.length] = held[k][:, :, : self.length]
            grown.append(buffer)
        return grown[0], grown[1]


@dataclass
class Row:
    """The row of one language model.

    :param language_model: transformers' text model of a Qwen-VL.
    """

    language_model: Any
    cache: KeyValues = field(default_factory=KeyValues)

    def __post_init__(self) -> None:
        use_branches(self.language_model)

    @property
    def length(self) -> int:
        """Tokens held."""
        return self.cache.length

    def extend(self, pieces: Sequence[Piece]) -> tuple[list[torch.Tensor], list[Span]]:
        """Compute pieces in one pass.

        :returns: hidden states (n, H) of each piece after the last norm, and the spans they now hold.
        """
        embeddings = torch.cat([piece.embeddings for piece in pieces])[None]
        device = embeddings.device
        positions = np.concatenate([piece.positions for piece in pieces], axis=1)
        bounds = np.cumsum([0, *map(len, pieces)]) + self.length
        options: dict[str, Any] = {}
        if any(piece.deep for piece in pieces):
            options["visual_pos_masks"] = torch.cat([_image(piece) for piece in pieces])[None]
            layers = zip(*(piece.deep for piece in pieces if piece.deep), strict=True)
            options["deepstack_visual_embeds"] = [torch.cat(layer) for layer in layers]
        made = self.language_model(
            inputs_embeds=embeddings,
            position_ids=torch.as_tensor(positions, device=device)[:, None],
            attention_mask=_UNUSED,  # branches say it all; a mask of four axes is passed on as it is
            past_key_values=self.cache,
            use_cache=True,
            branches=self._branches(pieces, bounds, embeddings),
            **options,
        )
        self.cache.length = int(bounds[-1])
        hidden = made.last_hidden_state[0].split([len(piece) for piece in pieces])
        spans = [Span(int(a), int(b)) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
        return list(hidden), spans

    def cut(self, length: int) -> None:
        """Forget everything from a token on."""
        self.cache.length = min(length, self.cache.length)

    def keep(self, spans: Sequence[Span]) -> None:
        """Forget everything but these spans, which move together."""
        ordered = sorted(spans, key=lambda span: span.start)
        kept = [np.arange(span.start, span.end) for span in ordered]
        self.cache.pack(np.concatenate(kept) if kept else np.zeros(0, np.int64))
        start = 0
        for span in ordered:
            span.start, span.end = start, start + span.end - span.start
            start = span.end

    def _branches(
        self, pieces: Sequence[Piece], bounds: NDArray[np.int64], like: torch.Tensor
    ) -> list[Branch]:
        """What each piece sees: its spans, joined where they touch, and its own tokens so far."""
        if all(len(piece) == 1 for piece in pieces):
            return [self._tokens(pieces, bounds, like)]
        branches = []
        for piece, start, end in zip(pieces, bounds[:-1], bounds[1:], strict=True):
            spans = [(span.start, span.end) for span in piece.sees] + [(int(start), int(end))]
            held = sum(b - a for a, b in spans) - len(piece)
            place = int(start) - self.length, int(end) - self.length
            branches.append(Branch(*place, _joined(spans), _mask(piece, held, like)))
        return branches


    def _tokens(
        self, pieces: Sequence[Piece], bounds: NDArray[np.int64], like: torch.Tensor
    ) -> Branch:
        """Single tokens look at the whole row through a mask: gathering what each sees would cost more."""
        mask = np.full((len(pieces), int(bounds[-1])), torch.finfo(like.dtype).min, np.float64)
        for k, piece in enumerate(pieces):
            for span in piece.sees:
                mask[k, span.start : span.end] = 0.0
            mask[k, int(bounds[k])] = 0.0
        shown = torch.as_tensor(mask, dtype=like.dtype, device=like.device)
        return Branch(0, len(pieces), ((0, int(bounds[-1])),), shown)


def _joined(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join spans that follow each other without a gap."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)


def _mask(piece: Piece, held: int, like: torch.Tensor) -> torch.Tensor | None:
    """(n, held + n) to be added to the scores; None for a single token, which sees everything."""
    if len(piece) == 1:
        return None
    own = np.tri(len(piece), dtype=bool)
    if piece.tree is not None:
        size = len(piece.tree)
        own[-size:, -size:] = piece.tree
    mask = torch.zeros(len(piece), held + len(piece), dtype=like.dtype, device=like.device)
    hidden = torch.from_numpy(~own).to(like.device)
    mask[:, held:].masked_fill_(hidden, torch.finfo(like.dtype).min)
    return mask


def _image(piece: Piece) -> torch.Tensor:
    if piece.image is not None:
        return piece.image
    return torch.zeros(len(piece), dtype=torch.bool, device=piece.embeddings.device)
