"""Queries of images and words come in, answers go out; what stays the same between queries is computed once.

Three things are kept: what the vision tower made of each image (by whoever holds the ``SeenImage``), the words of each
task as tokens, and the keys and values of prefixes that were asked for twice: the words with START and GOAL, and on
top of them a BEFORE that stays (this episode's first frame, the goal). All queries of a call are one pass.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dopamine_core.errors import ModelError
from dopamine_core.reward.grm.answer import CLOSE
from dopamine_core.reward.grm.grid import GridReading, ScoreGrid, score_grid
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.row import Piece, Row, Span
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from dopamine_core.reward.vlm.sequence import (
    Patches,
    chat_of,
    image_extent,
    image_positions,
    read_image,
    refuse_control_tokens,
    text_positions,
    tokenise,
)
from dopamine_core.types import EncodedImage

_PREFIXES = (2, 5)  # images after which a prefix may be kept: START and GOAL; and the three of BEFORE
_REMEMBERED = 256  # prefixes and tasks remembered
_ROW_TOKENS = 12_000  # kept prefixes beyond this are forgotten, least recently used first

Key = tuple[Any, ...]


@dataclass(frozen=True)
class SeenImage:
    """An image after the vision tower."""

    key: bytes  # hash of the encoded image
    patches: Patches
    features: torch.Tensor  # (tokens, H)
    deep: tuple[torch.Tensor, ...] = ()  # Qwen3-VL: features for the first layers, (tokens, H) each


@dataclass(frozen=True)
class Query:
    """One question: a task and its eight images."""

    task: str
    images: tuple[SeenImage, ...]


@dataclass
class _Prefix:
    span: Span
    parents: tuple[Span, ...]
    position: int  # where the sequence goes on


@dataclass(frozen=True)
class _Sequence:
    """A piece in the making: tokens of one query from some image on."""

    piece: Piece
    position: int  # after it


class Engine:
    """Answers queries with one checkpoint.

    :param checkpoint: a Qwen2.5-VL or Qwen3-VL.
    :param prompt: words around the images.
    """

    def __init__(self, checkpoint: Checkpoint, prompt: GrmPrompt) -> None:
        self._checkpoint = checkpoint
        self._prompt = prompt
        self._chat = chat_of(checkpoint.tokenizer)
        self._grid = score_grid(checkpoint.tokenizer)
        self._row = Row(checkpoint.model.model.language_model)
        self._prefixes: OrderedDict[Key, _Prefix] = OrderedDict()
        self._asked: OrderedDict[Key, None] = OrderedDict()
        self._words: OrderedDict[str, list[list[int]]] = OrderedDict()
        self._lock = Lock()

    @property
    def grid(self) -> ScoreGrid:
        """The score strings that ``expect`` weighs."""
        return self._grid

    def words(self, task: str) -> list[list[int]]:
        """Return the nine stretches of tokens around the images.

        :raises ModelError: when the task holds control tokens.
        """
        if task not in self._words:
            refuse_control_tokens(task, self._checkpoint.tokenizer)
            parts = self._prompt.parts(task)
            self._words[task] = tokenise(self._checkpoint.tokenizer, parts, self._chat)
            _forget(self._words, _REMEMBERED)
        return self._words[task]

    @torch.inference_mode()
    def see(self, images: Sequence[EncodedImage]) -> list[SeenImage]:
        """Let the vision tower look at images; equal ones once.

        :raises ImageError: when bytes cannot be decoded.
        :raises ModelError: when the device's memory does not suffice.
        """
        distinct = {_key(image): image for image in images}
        patches = [read_image(i, self._checkpoint.image_processor) for i in distinct.values()]
        with self._lock:
            made = self._guarded(lambda: self._look(patches))
        features = made.pooler_output
        layers = getattr(made, "deepstack_features", None) or []
        seen = {
            key: SeenImage(key, patch, features[k], tuple(layer[k] for layer in layers))
            for k, (key, patch) in enumerate(zip(distinct, patches, strict=True))
        }
        return [seen[_key(image)] for image in images]

    @torch.inference_mode()
    def expect(self, queries: Sequence[Query]) -> GridReading:
        """Weigh the score strings of each query in one pass.

        :returns: (Q,) each, float32 on the CPU.
        :raises ModelError: when a task cannot be used or the device's memory does not suffice.
        """
        with self._lock:
            return self._guarded(lambda: self._expect(queries))

    @torch.inference_mode()
    def write(
        self, queries: Sequence[Query], max_tokens: int, *, min_tokens: int = 0
    ) -> list[list[int]]:
        """Let the model write its answers greedily, until the score is closed.

        :param max_tokens: of an answer.
        :param min_tokens: go on so far even when the score is closed (to measure).
        :returns: token ids of each answer.
        :raises ModelError: when a task cannot be used or the device's memory does not suffice.
        """
        with self._lock:
            return self._guarded(lambda: self._write(queries, max_tokens, min_tokens))

    @torch.inference_mode()
    def logits(self, queries: Sequence[Query], answers: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Logits before each token of given answers, (n, V) each: for checks against other implementations."""
        with self._lock:
            return self._guarded(lambda: self._logits(queries, answers))

    def _look(self, patches: Sequence[Patches]) -> Any:
        device = self._checkpoint.device
        pixels = torch.cat([patch.pixels for patch in patches]).to(device)
        grids = torch.tensor([patch.grid for patch in patches], device=device)
        return self._checkpoint.model.model.get_image_features(pixels, grids, return_dict=True)

    def _expect(self, queries: Sequence[Query]) -> GridReading:
        grid = self._grid
        hidden = self._ask(queries, [grid.tokens] * len(queries), grid.depths, grid.visible)
        at = torch.as_tensor(grid.edge_nodes + 1)  # row 0: the query's last token
        of = torch.as_tensor(grid.edge_tokens)
        rows = torch.stack([states[-len(grid.tokens) - 1 :] for states in hidden])  # (Q, N + 1, H)
        logs = torch.log_softmax(self._head(rows).float(), dim=-1).cpu()
        return grid.read(logs[:, at, of])

    def _logits(
        self, queries: Sequence[Query], answers: Sequence[Sequence[int]]
    ) -> list[torch.Tensor]:
        hidden = self._ask(queries, answers)
        pairs = zip(hidden, answers, strict=True)
        return [self._head(states[-len(ids) - 1 : -1]).float().cpu() for states, ids in pairs]

    def _write(
        self, queries: Sequence[Query], max_tokens: int, min_tokens: int
    ) -> list[list[int]]:
        none: Sequence[int] = ()
        kept = self._keep_prefixes(queries)
        heads = [self._tail(query, none) for query in queries]
        hidden, spans = self._row.extend([head.piece for head in heads])
        sees = [(*head.piece.sees, span) for head, span in zip(heads, spans, strict=True)]
        answers: list[list[int]] = [[] for _ in queries]
        open_ = list(range(len(queries)))
        for step in range(max_tokens):
            last = torch.stack([states[-1] for states in hidden])
            for k, token in zip(open_, self._head(last).argmax(-1).tolist(), strict=True):
                answers[k].append(token)
            if step + 1 >= min_tokens:
                open_ = [k for k in open_ if not self._closed(answers[k])]
            if not open_ or step + 1 == max_tokens:
                break
            pieces = [
                Piece(
                    self._embed([answers[k][-1]]),
                    text_positions(heads[k].position + step, 1),
                    sees[k],
                )
                for k in open_
            ]
            hidden, spans = self._row.extend(pieces)
            for k, span in zip(open_, spans, strict=True):
                sees[k] = (*sees[k], span)
        self._row.cut(kept)
        return answers

    def _ask(
        self,
        queries: Sequence[Query],
        tails: Sequence[Sequence[int] | NDArray[np.int64]],
        depths: NDArray[np.int64] | None = None,
        tree: NDArray[np.bool_] | None = None,
    ) -> list[torch.Tensor]:
        """Compute the queries with a tail of tokens each; return their hidden states."""
        kept = self._keep_prefixes(queries)
        pairs = zip(queries, tails, strict=True)
        pieces = [self._tail(query, tail, depths, tree).piece for query, tail in pairs]
        hidden, _ = self._row.extend(pieces)
        self._row.cut(kept)
        return hidden

    def _keep_prefixes(self, queries: Sequence[Query]) -> int:
        """Compute and keep the prefixes that are asked for again; return the row's length with them."""
        for count in _PREFIXES:
            keys = Counter(_prefix_key(query, count) for query in queries)
            wanted = {key for key, n in keys.items() if n > 1 or key in self._asked}
            missing = {
                key: query
                for query in queries
                if (key := _prefix_key(query, count)) in wanted and key not in self._prefixes
            }
            if missing:
                made = [self._sequence(query, count) for query in missing.values()]
                _, spans = self._row.extend([sequence.piece for sequence in made])
                for key, sequence, span in zip(missing, made, spans, strict=True):
                    prefix = _Prefix(span, sequence.piece.sees, sequence.position)
                    self._prefixes[key] = prefix
            for key in keys:
                self._asked[key] = None
                self._asked.move_to_end(key)
                if key in self._prefixes:
                    self._prefixes.move_to_end(key)
        _forget(self._asked, _REMEMBERED)
        self._forget_prefixes({_prefix_key(q, count) for q in queries for count in _PREFIXES})
        return self._row.length

    def _forget_prefixes(self, needed: set[Key]) -> None:
        """Forget old prefixes when the row has become long; those that others stand on stay."""
        if self._row.length <= _ROW_TOKENS:
            return
        kept = {key: p for key, p in self._prefixes.items() if key in needed}
        parents = {id(span) for prefix in kept.values() for span in prefix.parents}
        kept |= {key: p for key, p in self._prefixes.items() if id(p.span) in parents}
        self._prefixes = OrderedDict(kept)
        self._row.keep([prefix.span for prefix in kept.values()])

    def _tail(
        self,
        query: Query,
        tail: Sequence[int] | NDArray[np.int64],
        depths: NDArray[np.int64] | None = None,
        tree: NDArray[np.bool_] | None = None,
    ) -> _Sequence:
        return self._sequence(query, len(query.images), tail, depths, tree)

    def _sequence(
        self,
        query: Query,
        end: int,
        tail: Sequence[int] | NDArray[np.int64] | None = None,
        depths: NDArray[np.int64] | None = None,
        tree: NDArray[np.bool_] | None = None,
    ) -> _Sequence:
        """Lay out a query's tokens from its longest kept prefix up to an image, or to the end with a tail.

        :param tail: tokens after the query; None ends right after image number ``end``.
        :param depths: steps of the tail's tokens from the query's end; in a row when left out.
        """
        sees: tuple[Span, ...] = ()
        position = begin = 0
        for count in _PREFIXES:
            prefix = self._prefixes.get(_prefix_key(query, count)) if count < end else None
            if prefix is not None:
                sees, position, begin = (*prefix.parents, prefix.span), prefix.position, count
        words = self.words(query.task)
        layout = _Layout(self, position)
        for k in range(begin, end):
            layout.add_words(words[k])
            layout.add_image(query.images[k])
        if tail is not None:
            layout.add_words(words[end])
            layout.add_tail(tail, depths)
        return _Sequence(layout.piece(sees, tree), layout.position)

    def _embed(self, ids: Sequence[int] | NDArray[np.int64]) -> torch.Tensor:
        table = self._checkpoint.model.get_input_embeddings()
        return table(torch.as_tensor(np.asarray(ids, np.int64), device=table.weight.device))

    def _head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._checkpoint.model.lm_head(hidden)

    def _closed(self, answer: Sequence[int]) -> bool:
        tokenizer = self._checkpoint.tokenizer
        return answer[-1] == tokenizer.eos_token_id or CLOSE in tokenizer.decode(answer)

    def _guarded(self, work: Any) -> Any:
        """Run what uses the device; after a failure nothing half-computed is kept."""
        try:
            return work()
        except BaseException as error:
            self._prefixes.clear()
            self._row = Row(self._row.language_model)
            if isinstance(error, torch.OutOfMemoryError):
                torch.cuda.empty_cache()
                raise ModelError(
                    expected=f"memory for a query on {self._checkpoint.device}",
                    got=str(error).splitlines()[0],
                    remedy="end what else uses the device, lower max_pixels, or set quantisation: 4bit",
                ) from error
            raise


class _Layout:
    """Tokens of one piece, as they are added."""

    def __init__(self, engine: Engine, position: int) -> None:
        self._engine = engine
        self.position = position
        self._ids: list[NDArray[np.int64]] = []
        self._images: list[SeenImage | None] = []
        self._positions: list[NDArray[np.int64]] = []

    def add_words(self, ids: Sequence[int]) -> None:
        self._add(np.asarray(ids, np.int64), None, text_positions(self.position, len(ids)))
        self.position += len(ids)

    def add_image(self, image: SeenImage) -> None:
        self._add(np.zeros(0, np.int64), image, image_positions(self.position, image.patches))
        self.position += image_extent(image.patches)

    def add_tail(
        self, ids: Sequence[int] | NDArray[np.int64], depths: NDArray[np.int64] | None
    ) -> None:
        steps = np.arange(len(ids)) if depths is None else depths
        positions = np.broadcast_to(self.position + steps, (3, len(ids)))
        self._add(np.asarray(ids, np.int64), None, positions)

    def piece(self, sees: tuple[Span, ...], tree: NDArray[np.bool_] | None) -> Piece:
        """Put the tokens together; words are embedded in one go."""
        words = self._engine._embed(np.concatenate(self._ids))
        parts, marks, start = [], [], 0
        for ids, image in zip(self._ids, self._images, strict=True):
            part = words[start : start + len(ids)] if image is None else image.features
            start += len(ids)
            parts.append(part.to(words.dtype))
            marks.append(torch.full((len(part),), image is not None, device=words.device))
        shown = [image for image in self._images if image is not None]
        layers = zip(*(image.deep for image in shown), strict=True)
        return Piece(
            torch.cat(parts),
            np.concatenate(self._positions, axis=1),
            sees,
            tree,
            torch.cat(marks),
            tuple(torch.cat(layer) for layer in layers),
        )

    def _add(
        self, ids: NDArray[np.int64], image: SeenImage | None, positions: NDArray[np.int64]
    ) -> None:
        self._ids.append(ids)
        self._images.append(image)
        self._positions.append(positions)


def _prefix_key(query: Query, count: int) -> Key:
    return (query.task, *(image.key for image in query.images[:count]))


def _key(image: EncodedImage) -> bytes:
    return hashlib.blake2b(image.data, digest_size=16).digest()


def _forget(entries: OrderedDict[Any, Any], limit: int) -> None:
    while len(entries) > limit:
        entries.popitem(last=False)
