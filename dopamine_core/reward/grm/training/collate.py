"""Hop questions with labels come in, padded batches for the model's own ``forward`` go out.

Two kinds of batch. ``collate_answers``: the query, then the answer as text, for token cross-entropy. ``collate_grid``:
the query, then the fed tokens of the score grid, each seeing the query and its ancestors only, for the expected hop.
Both pad at the right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dopamine_core.reward.grm.answer import write_hop
from dopamine_core.reward.grm.grid import ScoreGrid
from dopamine_core.reward.vlm.sequence import (
    Patches,
    batch_of,
    image_extent,
    image_positions,
    text_positions,
)

IGNORED = -100  # label of a token that is not learned, as torch's cross-entropy has it


@dataclass(frozen=True)
class Question:
    """One hop question with its label.

    :param pieces: token ids around the images, one list more than images; see ``vlm.sequence.tokenise``.
    :param images: the eight images of the query, in the order of ``grm.views.SLOTS``.
    :param hop: label in [-1, 1].
    """

    pieces: Sequence[Sequence[int]]
    images: Sequence[Patches]
    hop: float

    @property
    def tokens(self) -> int:
        """Length of the query without an answer."""
        return sum(map(len, self.pieces)) + sum(image.tokens for image in self.images)


@dataclass(frozen=True)
class AnswerBatch:
    """Queries with their answers as text.

    ``inputs``: input_ids, attention_mask and mm_token_type_ids (B, L) int64, pixel_values (P, D) float32 and
    image_grid_thw (I, 3) int64 of all images in order.
    """

    inputs: dict[str, Tensor]
    labels: Tensor  # (B, L) int64, the answer's tokens and the end of turn where they stand, IGNORED elsewhere
    hops: Tensor  # (B,) float32 labels in [-1, 1]
    images: tuple[Patches, ...]  # (I,) in the order of their tokens

    def to(self, device: torch.device) -> AnswerBatch:
        """Return the batch on a device."""
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        labels, hops = self.labels.to(device), self.hops.to(device)
        return dataclasses.replace(self, inputs=inputs, labels=labels, hops=hops)


@dataclass(frozen=True)
class GridBatch:
    """Queries with the grid's N fed tokens behind each.

    ``inputs``: input_ids (B, L) int64, attention_mask (B, 1, L, L) bool (True: is seen), position_ids (3, B, L) int64,
    pixel_values (P, D) float32 and image_grid_thw (I, 3) int64 of all images in order.
    """

    inputs: dict[str, Tensor]
    nodes: Tensor  # (B, N + 1) int64 places in the sequence: the query's last token, then the grid's nodes
    hops: Tensor  # (B,) float32 labels in [-1, 1]
    images: tuple[Patches, ...]  # (I,) in the order of their tokens

    def to(self, device: torch.device) -> GridBatch:
        """Return the batch on a device."""
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        nodes, hops = self.nodes.to(device), self.hops.to(device)
        return dataclasses.replace(self, inputs=inputs, nodes=nodes, hops=hops)


def collate_answers(questions: Sequence[Question], tokenizer: Any) -> AnswerBatch:
    """Pad questions with the answers that training asks for (``write_hop``) and the end of turn.

    :param questions: B, at least one.
    :param tokenizer: of the model; its end-of-sequence token ends the assistant's turn.
    """
    texts = [write_hop(question.hop) for question in questions]
    answers = [
        [*ids, tokenizer.eos_token_id]
        for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]
    ]
    batch = batch_of(
        [
            (_answered(question.pieces, answer), question.images)
            for question, answer in zip(questions, answers, strict=True)
        ],
        tokenizer,
        pad_left=False,
    )
    labels = torch.full_like(batch.inputs["input_ids"], IGNORED)
    for row, (length, answer) in enumerate(zip(batch.lengths, answers, strict=True)):
        labels[row, length - len(answer) : length] = torch.tensor(answer)
    return AnswerBatch(batch.inputs, labels, _hops(questions), _images(questions))


def _answered(pieces: Sequence[Sequence[int]], answer: Sequence[int]) -> list[Sequence[int]]:
    return [*pieces[:-1], [*pieces[-1], *answer]]


def collate_grid(questions: Sequence[Question], tokenizer: Any, grid: ScoreGrid) -> GridBatch:
    """Pad questions with the grid's fed tokens behind them.

    :param questions: B, at least one.
    :param grid: built with the same tokenizer.
    """
    fed = grid.tokens.tolist()
    batch = batch_of(
        [(_answered(question.pieces, fed), question.images) for question in questions],
        tokenizer,
        pad_left=False,
    )
    rows, length = batch.inputs["input_ids"].shape
    seen = np.zeros((rows, 1, length, length), dtype=bool)
    positions = np.zeros((3, rows, length), dtype=np.int64)
    nodes = np.zeros((rows, len(fed) + 1), dtype=np.int64)
    for row, (question, whole) in enumerate(zip(questions, batch.lengths, strict=True)):
        query = whole - len(fed)
        seen[row, 0] = _seen(query, grid.visible, length)
        asked = query_positions(question)
        behind = int(asked[:, -1].max()) + 1 + grid.depths  # text goes on: one step per depth
        positions[:, row, :query] = asked
        positions[:, row, query:whole] = behind
        nodes[row] = np.arange(query - 1, whole)
    inputs = {
        "input_ids": batch.inputs["input_ids"],
        "attention_mask": torch.from_numpy(seen),
        "position_ids": torch.from_numpy(positions),
        "pixel_values": batch.inputs["pixel_values"],
        "image_grid_thw": batch.inputs["image_grid_thw"],
    }
    return GridBatch(inputs, torch.from_numpy(nodes), _hops(questions), _images(questions))


def query_positions(question: Question) -> NDArray[np.int64]:
    """Positions of a query's tokens on the three axes of M-RoPE: (3, ``question.tokens``)."""
    parts, at = [], 0
    for piece, image in zip(question.pieces, [*question.images, None], strict=True):
        parts.append(text_positions(at, len(piece)))
        at += len(piece)
        if image is not None:
            parts.append(image_positions(at, image))
            at += image_extent(image)
    return np.concatenate(parts, axis=1)


def _seen(query: int, tree: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """(L, L) what each token sees: the query is causal, a node sees the query and its ancestors, padding itself."""
    seen = np.eye(length, dtype=bool)  # a row that sees nothing would be NaN
    end = query + len(tree)
    seen[:query, :query] = np.tri(query, dtype=bool)
    seen[query:end, :query] = True
    seen[query:end, query:end] = tree
    return seen


def _hops(questions: Sequence[Question]) -> Tensor:
    return torch.tensor([question.hop for question in questions], dtype=torch.float32)


def _images(questions: Sequence[Question]) -> tuple[Patches, ...]:
    return tuple(image for question in questions for image in question.images)
