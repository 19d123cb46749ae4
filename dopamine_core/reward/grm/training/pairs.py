"""A demonstration's states come in, balanced hop pairs of the kinds that inference asks for go out.

Incremental: any two moments. Forward-anchored: BEFORE is the first frame (Eq. 6). Backward-anchored: BEFORE is the
goal, with its real wrist views (Eq. 7). Zero hops: BEFORE and AFTER show the same progress.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError
from dopamine_core.reward.grm.training.collate import Question
from dopamine_core.reward.grm.training.questions import QuestionMaker
from dopamine_core.reward.grm.training.states import Indices, StateConfig
from dopamine_core.reward.hops import ZERO_HOP_EPS, balance, hop_label
from dopamine_core.types import FramePair

INCREMENTAL, FORWARD, BACKWARD, ZERO = "incremental", "forward", "backward", "zero"


@dataclass(frozen=True)
class PairConfig(StateConfig):
    """Which pairs of moments are asked about."""

    pairs: int = setting(1000, doc="Pairs to learn from.", low=8, high=1_000_000)
    zero_share: float = setting(0.05, doc="Share of zero hops.", low=0.0, high=0.5)
    anchored_share: float = setting(
        0.4, doc="Share asked from the first frame and from the goal, half each.", low=0.0, high=1.0
    )
    zero_eps: float = setting(
        ZERO_HOP_EPS, doc="eps of Eq. 3: a change up to this is a zero hop.", low=0.0, high=0.5
    )
    judged_pairs: int = setting(64, doc="Most held-out pairs.", low=4, high=100_000)

    def __post_init__(self) -> None:
        check(self)
        if self.zero_share + self.anchored_share > 1.0:
            raise ConfigError(
                expected="zero_share + anchored_share up to 1",
                got=f"{self.zero_share} + {self.anchored_share}",
                remedy="lower one of them",
            )


@dataclass(frozen=True)
class HopPairs:
    """Pairs of frames with their hop labels."""

    before: Indices  # (P,) frame of BEFORE
    after: Indices  # (P,) frame of AFTER
    hop: NDArray[np.float64]  # (P,) in [-1, 1]
    kind: NDArray[np.str_]  # (P,)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.hop)

    def take(self, chosen: Indices) -> HopPairs:
        """Return some of the pairs, in the order asked for."""
        return HopPairs(
            self.before[chosen], self.after[chosen], self.hop[chosen], self.kind[chosen]
        )


def learned_pairs(
    phi: NDArray[np.float64], moments: Indices, config: PairConfig, rng: np.random.Generator
) -> HopPairs:
    """Draw pairs to learn from, shuffled.

    Pairs between moments are balanced over score bins x gap bins, without repetition; anchored ones ask about every
    moment equally often. A demonstration with few moments gives fewer pairs than asked for.

    :param phi: (T,) progress of all frames; frame 0 is the start, the last one the goal.
    :param moments: frames that may be asked about.
    """
    zeros = round(config.zero_share * config.pairs)
    anchored = round(config.anchored_share * config.pairs)
    parts = [
        _between(phi, moments, config, config.pairs - zeros - anchored, rng),
        _pairs(phi, 0, _evenly(moments, (anchored + 1) // 2, rng), FORWARD, config),
        _pairs(phi, len(phi) - 1, _evenly(moments, anchored // 2, rng), BACKWARD, config),
        _unchanged(phi, moments, zeros, config, rng),
    ]
    both = _joined(parts)
    return both.take(rng.permutation(len(both)))


def judged_pairs(
    phi: NDArray[np.float64], moments: Indices, config: PairConfig, rng: np.random.Generator
) -> HopPairs:
    """Draw pairs to judge on: all anchored ones of the moments, and neighbouring moments both ways.

    Pairs of a held-out and a learned moment are in neither set.
    """
    near, far = moments[:-1], moments[1:]
    both = _joined(
        [
            _pairs(phi, 0, moments, FORWARD, config),
            _pairs(phi, len(phi) - 1, moments, BACKWARD, config),
            _pairs(phi, near, far, INCREMENTAL, config),
            _pairs(phi, far, near, INCREMENTAL, config),
        ]
    )
    return both.take(np.sort(rng.permutation(len(both))[: config.judged_pairs]))


def questions_of(
    maker: QuestionMaker,
    task: str,
    frames: Sequence[FramePair],
    pairs: HopPairs,
    *,
    start: FramePair,
    goal: FramePair,
) -> list[Question]:
    """Turn pairs into questions for the model.

    :param frames: (T,) of the episode that the pairs index.
    :param start: shown as START.
    :param goal: shown as GOAL, and as BEFORE of backward pairs, as inference does.
    """
    befores = [
        goal if kind == BACKWARD else frames[k]
        for k, kind in zip(pairs.before, pairs.kind, strict=True)
    ]
    return [
        maker.question(task, start, goal, before, frames[after], float(hop))
        for before, after, hop in zip(befores, pairs.after, pairs.hop, strict=True)
    ]


def _between(
    phi: NDArray[np.float64],
    moments: Indices,
    config: PairConfig,
    count: int,
    rng: np.random.Generator,
) -> HopPairs:
    """All ordered pairs of moments, balanced."""
    before, after = (grid.ravel() for grid in np.meshgrid(moments, moments))
    apart = before != after
    every = _pairs(phi, before[apart], after[apart], INCREMENTAL, config)
    return every.take(balance(every.hop, np.abs(every.before - every.after), count, rng))


def _unchanged(
    phi: NDArray[np.float64],
    moments: Indices,
    count: int,
    config: PairConfig,
    rng: np.random.Generator,
) -> HopPairs:
    """Pairs without progress: another frame of the same progress where there is one, else the same frame twice."""
    after = _evenly(moments, count, rng)
    before = []
    for frame in after:
        same = moments[np.abs(phi[moments] - phi[frame]) <= config.zero_eps]
        others = same[same != frame]
        before.append(rng.choice(others if len(others) else same))
    return _pairs(phi, np.array(before, np.int64), after, ZERO, config)


def _evenly(moments: Indices, count: int, rng: np.random.Generator) -> Indices:
    """Moments by chance, each equally often."""
    rounds = -(-count // len(moments))
    return np.concatenate([rng.permutation(moments) for _ in range(rounds)] or [moments[:0]])[
        :count
    ]


def _pairs(
    phi: NDArray[np.float64], before: Indices | int, after: Indices, kind: str, config: PairConfig
) -> HopPairs:
    before = np.broadcast_to(np.asarray(before, np.int64), after.shape)
    hop = hop_label(phi[before], phi[after], eps=config.zero_eps)
    return HopPairs(before, after, hop, np.full(len(after), kind))


def _joined(parts: Sequence[HopPairs]) -> HopPairs:
    return HopPairs(
        np.concatenate([part.before for part in parts]),
        np.concatenate([part.after for part in parts]),
        np.concatenate([part.hop for part in parts]),
        np.concatenate([part.kind for part in parts]),
    )
