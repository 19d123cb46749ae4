"""An episode's annotated parts come in, the pairs of frames that teach hops go out.

States follow Eq. 1, labels Eq. 2 of arXiv 2512.23703 v1. The published generator differs in two ways, which are
settings: it rounds where Eq. 1 floors, and it fills what a hop bin lacks with the smallest hops there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.grm.official_data import Segment
from dopamine_core.reward.hops import BalanceConfig, balance, cells_of, hop_label
from dopamine_core.reward.keyframe_states import CHUNK_FRAMES, states_per_segment

FLOOR, CELLS, OFFICIAL = "floor", "cells", "official"
MIN_STATES = 3
_NEAR = 0.075  # a zero hop reaches this far into the way from the state before to the state after
_MOST_CANDIDATES = 100_000


@dataclass(frozen=True)
class PairConfig:
    """How many pairs of which kind an episode gives."""

    pairs: int = setting(1000, doc="Pairs of one episode, zero hops included.", low=1, high=10**6)
    zero_share: float = setting(0.05, doc="Share of pairs without progress.", low=0.0, high=1.0)
    chunk: int = setting(CHUNK_FRAMES, doc="Frames per state (C of Eq. 1).", low=1, high=10**5)
    rounding: str = setting(
        FLOOR, doc="floor: Eq. 1; official: the published generator's.", choices=(FLOOR, OFFICIAL)
    )
    balance: str = setting(
        CELLS,
        doc="cells: every cell of hop bin and gap bin alike; official: hop bins alike, what lacks from small hops.",
        choices=(CELLS, OFFICIAL),
    )
    score_bins: int = setting(25, doc="Hop bins that are filled alike.", low=1, high=1000)
    gap_bins: int = setting(4, doc="Gap bins within each hop bin.", low=1, high=100)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class HopPair:
    """Two moments and the hop between them."""

    before: int  # frame index
    after: int  # frame index
    hop: float  # in [-1, 1]


def state_ids(segments: Sequence[Segment], config: PairConfig) -> NDArray[np.int64]:
    """Frame indices of the states s_0 ... s_M, rising; states that fall onto one frame are one.

    :raises DemonstrationError: when there are fewer than three.
    """
    span = segments[-1].end - segments[0].start
    if config.rounding == OFFICIAL:
        parts = max(1, round(span / config.chunk / len(segments)))
    else:
        parts = states_per_segment(span + 1, len(segments), config.chunk) + 1
    points = [np.linspace(s.start, s.end, parts + 1) for s in segments]
    states = np.unique(np.rint(np.concatenate(points)).astype(np.int64))
    if len(states) < MIN_STATES:
        raise DemonstrationError(
            expected=f"at least {MIN_STATES} states",
            got=f"{len(states)} from {len(segments)} parts of {span + 1} frames",
            remedy="annotate more parts, or take fewer frames per state (chunk)",
        )
    return states


def choose_pairs(
    states: NDArray[np.int64], config: PairConfig, rng: np.random.Generator
) -> list[HopPair]:
    """Choose an episode's pairs: balanced hops first, then zero hops.

    :param states: (M + 1,) frame indices; progress of state i is i / M.
    :returns: fewer than wanted when there are not so many different ones.
    """
    zeros = round(config.pairs * config.zero_share)
    before, after = _candidates(len(states), rng)
    last = len(states) - 1
    hops = hop_label(before, after, last=last, eps=0.0)  # in states; different ones are never alike
    cells = BalanceConfig(config.score_bins, config.gap_bins)
    choose = balance if config.balance == CELLS else _bins_then_centre
    picked = choose(hops, np.abs(after - before), config.pairs - zeros, rng, cells)
    chosen = [
        HopPair(int(states[before[k]]), int(states[after[k]]), float(hops[k])) for k in picked
    ]
    return chosen + _zero_hops(states, zeros, rng)


def _candidates(
    count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ordered pairs of different states, or a sample when there are very many."""
    every = count * (count - 1)
    if every > _MOST_CANDIDATES:
        flat = np.sort(rng.choice(every, _MOST_CANDIDATES, replace=False))
    else:
        flat = np.arange(every)
    before, offset = np.divmod(flat, count - 1)
    return before, offset + (offset >= before)


def _bins_then_centre(
    hops: NDArray[np.float64],
    gaps: NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
    config: BalanceConfig,
) -> NDArray[np.int64]:
    """Pick pairs as the published generator does.

    Every hop bin is to give alike, its gap bins alike; what they do not have is taken from the hop bins of the
    centre, one after the other outward, each until it is empty.

    :param gaps: distances in states, >= 1.
    :returns: indices of the picked pairs, (min(count, P),).
    """
    cell = cells_of(hops, gaps - 1, config, float(gaps.max()) - 1.0)
    shape = config.score_bins, config.gap_bins
    sizes = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    centre = np.argsort(np.abs(np.arange(shape[0]) - (shape[0] - 1) / 2.0), kind="stable")
    wanted = np.full(shape[0], count // shape[0])
    wanted[centre[: count % shape[0]]] += 1
    taken = np.repeat(wanted[:, None] // shape[1], shape[1], axis=1)
    for row, rest in enumerate(wanted % shape[1]):
        taken[row, np.argsort(-sizes[row], kind="stable")[:rest]] += 1
    taken = np.minimum(taken, sizes)
    for row in centre:
        for column in rng.permutation(shape[1]):
            more = min(count - taken.sum(), sizes[row, column] - taken[row, column])
            taken[row, column] += more
    queue = rng.permutation(len(cell))
    queue = queue[np.argsort(cell[queue], kind="stable")]  # by cell, by chance within it
    rank = np.arange(len(cell)) - np.repeat(np.cumsum(sizes) - sizes.ravel(), sizes.ravel())
    return rng.permutation(queue[rank < np.repeat(taken.ravel(), sizes.ravel())])


def _zero_hops(
    states: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[HopPair]:
    """Pairs a few frames apart, around a state, within the first and the last."""
    chosen = []
    for k in rng.integers(0, len(states), count):
        around = states[min(k + 1, len(states) - 1)] - states[max(k - 1, 0)]
        step = max(1, int(around * _NEAR))
        sign = 1 if rng.random() < 0.5 else -1
        if not states[0] <= states[k] + sign * step <= states[-1]:
            sign = -sign
        chosen.append(HopPair(int(states[k]), int(states[k] + sign * step), 0.0))
    return chosen
