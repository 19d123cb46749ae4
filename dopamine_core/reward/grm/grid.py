"""The distribution over score strings, read in one pass: a grid of answers comes in, their expected hop goes out.

The grid holds every answer that training writes (``<score>-100.0%</score>`` ... ``<score>+100.0%</score>``, one
decimal), gathered into cells of one percent: a cell is decided by the digits before the point, and stands for the mean
of what it gathers. The answers' tokens form a tree. Fed to the model at once, every node seeing its ancestors only,
the tree gives the exact probability of each cell: the product along its path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dopamine_core.reward.grm.answer import write_hop

_TENTHS = 1000  # a full hop in tenths of a percent


@dataclass(frozen=True)
class ScoreGrid:
    """The tree of score strings.

    A node is a token that is fed; node k sees the query, its ancestors and itself. An edge is a probability that is
    read: of ``edge_token`` after the node ``edge_node`` (-1: after the query). A cell's probability is the product of
    its edges.
    """

    tokens: NDArray[np.int64]  # (N,) fed tokens, parents before children
    parents: NDArray[np.int64]  # (N,) node index, -1 under the query
    depths: NDArray[np.int64]  # (N,) 0 under the query
    edge_nodes: NDArray[np.int64]  # (E,)
    edge_tokens: NDArray[np.int64]  # (E,)
    edge_parents: NDArray[np.int64]  # (E,) edge that leads to the edge's node, -1 at the query
    cell_edges: NDArray[np.int64]  # (C,) last edge of each cell
    cell_hops: NDArray[np.float64]  # (C,) in [-1, 1]

    @cached_property
    def visible(self) -> NDArray[np.bool_]:
        """(N, N): row k is what node k sees of the tree."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen

    def read(self, log_probabilities: torch.Tensor) -> GridReading:
        """Turn the model's log-probabilities into expected hops; differentiable, never below float32.

        :param log_probabilities: (..., E) of each edge's token after its node.
        """
        logs = self.cells(log_probabilities)
        hops = torch.as_tensor(self.cell_hops, device=logs.device, dtype=logs.dtype)
        weights = torch.softmax(logs, dim=-1)
        hop = (weights * hops).sum(-1)
        variance = (weights * (hops - hop[..., None]) ** 2).sum(-1)
        return GridReading(hop, variance, torch.logsumexp(logs, dim=-1).exp())

    def cells(self, log_probabilities: torch.Tensor) -> torch.Tensor:
        """Turn the model's log-probabilities into those of the cells: (..., C); differentiable, never below float32.

        :param log_probabilities: (..., E) of each edge's token after its node.
        """
        device = log_probabilities.device
        dtype = torch.promote_types(log_probabilities.dtype, torch.float32)
        paths = torch.as_tensor(self._paths, device=device, dtype=dtype)  # (C, E)
        with torch.autocast(device.type, enabled=False):  # which would sum in half precision
            return log_probabilities.to(dtype) @ paths.T

    @cached_property
    def _paths(self) -> NDArray[np.float64]:
        """(C, E): 1 where an edge belongs to a cell's path."""
        paths = np.zeros((len(self.cell_edges), len(self.edge_nodes)))
        for cell, edge in enumerate(self.cell_edges):
            while edge >= 0:
                paths[cell, edge] = 1.0
                edge = self.edge_parents[edge]
        return paths


@dataclass(frozen=True)
class GridReading:
    """What the grid says, over the leading shape of the query batch."""

    hop: torch.Tensor  # expected hop given that the answer lies on the grid, in [-1, 1]
    variance: torch.Tensor  # of the hop
    mass: torch.Tensor  # probability that the answer lies on the grid, in [0, 1]


def score_grid(tokenizer: Any) -> ScoreGrid:
    """Build the grid from what the tokenizer makes of each answer.

    :param tokenizer: of the model; answers are tokenised whole, as they are in training.
    """
    tenths = range(-_TENTHS, _TENTHS + 1)
    answers = [write_hop(tenth / _TENTHS) for tenth in tenths]
    strings = [tuple(ids) for ids in tokenizer(answers, add_special_tokens=False)["input_ids"]]
    cells = [_cell(tenth) for tenth in tenths]
    hops = {c: float(np.mean([t for t in tenths if _cell(t) == c])) / _TENTHS for c in set(cells)}
    builder = _Builder()
    builder.grow(strings, cells, 0, -1, -1)
    return ScoreGrid(
        tokens=np.array(builder.tokens, np.int64),
        parents=np.array(builder.parents, np.int64),
        depths=np.array(builder.depths, np.int64),
        edge_nodes=np.array([node for node, _, _ in builder.edges], np.int64),
        edge_tokens=np.array([token for _, token, _ in builder.edges], np.int64),
        edge_parents=np.array([parent for _, _, parent in builder.edges], np.int64),
        cell_edges=np.array([edge for edge, _ in builder.cells], np.int64),
        cell_hops=np.array([hops[cell] for _, cell in builder.cells]),
    )


def _cell(tenth: int) -> tuple[int, int]:
    """Which cell an answer falls into: its sign and the digits before the point."""
    return int(np.sign(tenth)), abs(tenth) // 10


class _Builder:
    """Grows the tree until every branch holds one cell only."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.edges: list[tuple[int, int, int]] = []  # node, token, edge to the node
        self.cells: list[tuple[int, Any]] = []  # last edge, cell

    def grow(
        self,
        strings: Sequence[tuple[int, ...]],
        cells: Sequence[Any],
        depth: int,
        node: int,
        edge: int,
    ) -> None:
        """Branch by the token at ``depth``; ``node`` and ``edge`` lead here."""
        heads: dict[int, list[int]] = {}
        for k, string in enumerate(strings):
            heads.setdefault(string[depth], []).append(k)
        for token, members in heads.items():
            self.edges.append((node, token, edge))
            reached = len(self.edges) - 1
            inside = [cells[k] for k in members]
            if len(set(inside)) == 1:
                self.cells.append((reached, inside[0]))
                continue
            self.tokens.append(token)
            self.parents.append(node)
            self.depths.append(depth)
            self.grow(
                [strings[k] for k in members],
                inside,
                depth + 1,
                len(self.tokens) - 1,
                reached,
            )
