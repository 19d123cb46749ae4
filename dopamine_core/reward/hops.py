"""Progress of two moments comes in, the hop label between them goes out (arXiv 2512.23703 v1, Eq. 2 and 3).

``fusion.step`` is the way back (Eq. 4). ``balance`` picks pairs so that small and large hops over short and long
gaps are equally common in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dopamine_core.config import check, setting

ZERO_HOP_EPS = (
    1e-3  # Eq. 3 leaves eps open; below this a change of progress cannot be told from none
)


@dataclass(frozen=True)
class BalanceConfig:
    """Cells of the score-bin x gap-bin balancing."""

    score_bins: int = setting(25, doc="Hop bins over [-1, 1], each 8 % wide.", low=1, high=1000)
    gap_bins: int = setting(4, doc="Bins of the frame gap, up to the largest.", low=1, high=100)

    def __post_init__(self) -> None:
        check(self)


def hop_label(
    before: ArrayLike,
    after: ArrayLike,
    *,
    first: float = 0.0,
    last: float = 1.0,
    eps: float = ZERO_HOP_EPS,
) -> NDArray[np.float64]:
    """Relative hop from BEFORE to AFTER (Eq. 2, 3).

    Forwards it is the share of what was left, backwards the share of what was reached. H(M, M) is 0/0 in Eq. 2;
    it is defined as 0.

    :param before: Phi of BEFORE, in [first, last]; any shape.
    :param after: Phi of AFTER, broadcast against ``before``.
    :param first: Phi_0, progress of the first state.
    :param last: Phi_M, progress of the last state.
    :param eps: changes up to this size are zero hops (Eq. 3).
    :returns: hops in [-1, 1].
    """
    p, q = np.broadcast_arrays(np.asarray(before, np.float64), np.asarray(after, np.float64))
    change = q - p
    room = np.where(change >= 0.0, last - p, p - first)
    hop = np.divide(change, room, out=np.zeros_like(change), where=np.abs(change) > eps)
    return np.clip(hop, -1.0, 1.0)


def cells_of(
    scores: ArrayLike, gaps: ArrayLike, config: BalanceConfig, max_gap: float
) -> NDArray[np.int64]:
    """Cell number of each pair: score bin times the number of gap bins, plus gap bin.

    :param scores: hops in [-1, 1], (P,).
    :param gaps: distances in frames, >= 0, (P,).
    :param max_gap: gap at which the last bin ends.
    """
    share = (np.asarray(scores, np.float64) + 1.0) / 2.0
    score_bin = np.clip((share * config.score_bins).astype(np.int64), 0, config.score_bins - 1)
    near = np.asarray(gaps, np.float64) / max(max_gap, 1.0)
    gap_bin = np.clip((near * config.gap_bins).astype(np.int64), 0, config.gap_bins - 1)
    return score_bin * config.gap_bins + gap_bin


def balance(
    scores: ArrayLike,
    gaps: ArrayLike,
    count: int,
    rng: np.random.Generator,
    config: BalanceConfig | None = None,
) -> NDArray[np.int64]:
    """Pick pairs evenly over score bins x gap bins, filled from the centre outward.

    Every cell gets an equal share of what is still to be picked; what a poor cell cannot give is shared among the
    cells further out. When all cells together hold fewer than ``count`` pairs, all are picked.

    :param scores: hops in [-1, 1], (P,).
    :param gaps: distances in frames, (P,).
    :param count: pairs wanted.
    :param rng: source of chance.
    :returns: indices of the picked pairs, shuffled, without repetition, (min(count, P),).
    """
    config = config or BalanceConfig()
    gaps = np.asarray(gaps, np.float64)
    if gaps.size == 0 or count <= 0:
        return np.zeros(0, np.int64)
    cell = cells_of(scores, gaps, config, float(gaps.max()) + 1.0)
    queue = rng.permutation(cell.size)
    queue = queue[np.argsort(cell[queue], kind="stable")]  # by cell, by chance within it
    sizes = np.bincount(cell, minlength=config.score_bins * config.gap_bins)
    quotas = _quotas(sizes, min(count, cell.size), config)
    rank = np.arange(cell.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rng.permutation(queue[rank < np.repeat(quotas, sizes)])


def _quotas(sizes: NDArray[np.int64], count: int, config: BalanceConfig) -> NDArray[np.int64]:
    """How many pairs each cell gives; rounds go on while somebody still has some."""
    centre = (config.score_bins - 1) / 2.0
    distance = np.abs(np.arange(sizes.size) // config.gap_bins - centre)
    order = np.argsort(distance, kind="stable")
    quotas, left = np.zeros_like(sizes), count
    while left > 0:
        open_cells = [cell for cell in order if quotas[cell] < sizes[cell]]
        for position, cell in enumerate(open_cells):
            share = -(-left // (len(open_cells) - position))
            take = min(share, int(sizes[cell] - quotas[cell]))
            quotas[cell] += take
            left -= take
    return quotas
