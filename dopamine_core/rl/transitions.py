"""Recorded episodes go in, whole transitions come out; what is not whole is dropped and counted.

Two steps: :func:`observe` looks at the images once (dear), :func:`make_transitions` applies the reward (cheap), so a
relabelled episode is not encoded twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import DopamineError
from dopamine_core.reward.shaping import (
    EpisodeEnd,
    ShapingConfig,
    decisions_kept,
    lower_bounds,
    transition_terms,
)
from dopamine_core.rl.action_space import ActionSpace
from dopamine_core.rl.buffer import Transitions
from dopamine_core.rl.normaliser import Normaliser
from dopamine_core.rl.observation import ObservationBuilder, Sensed
from dopamine_core.types import EpisodeInfo, Outcome


@dataclass(frozen=True)
class TransitionConfig:
    """How transitions are cut out of an episode."""

    n_step: int = setting(
        3,
        doc="Decisions that a TD target spans; gamma^k weighs its end. Cuts the noise of Phi that each target sees.",
        low=1,
        high=20,
    )
    imitate_successes: bool = setting(
        True, doc="Whether the cloning term also copies practice episodes that ended in success."
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ObservedEpisode:
    """An episode as the learner keeps it: no images, raw observations; rows that are not whole are NaN."""

    info: EpisodeInfo
    observations: NDArray[np.float32]  # (N, O) raw; the last column is Phi
    actions: NDArray[
        np.float32
    ]  # (N, A) in units of the action space, unclipped; the last row is not used
    model_sha256: str  # the reward model of its potentials; empty when they are mixed

    @property
    def potentials(self) -> NDArray[np.float64]:
        """Phi of each decision, (N,); NaN where it is missing."""
        return self.observations[:, -1].astype(np.float64)


@dataclass(frozen=True)
class EpisodeTransitions:
    """What an episode gives to learn from."""

    transitions: Transitions
    dropped: int  # not whole: a missing frame, joint sample, action or potential
    out_of_range: int  # executed actions outside [-1, 1], clipped


def observe(
    episode: EpisodeData, builder: ObservationBuilder, space: ActionSpace
) -> ObservedEpisode:
    """Build the observation of every decision up to the success stamp.

    :param episode: assembled or loaded episode.
    """
    stamps = [decision.stamp_ns for decision in episode.decisions]
    kept = decisions_kept(stamps, episode.info)
    rows = np.full((kept, builder.size), np.nan, np.float32)
    for k in range(kept):
        rows[k] = _observation(episode, k, builder)
    hashes = {p.model.sha256 for p in episode.potentials[:kept] if p is not None}
    model = hashes.pop() if len(hashes) == 1 else ""
    return ObservedEpisode(episode.info, rows, space.to_unit(episode.actions[:kept]), model)


def _observation(episode: EpisodeData, k: int, builder: ObservationBuilder) -> NDArray[np.float32]:
    pair, joints, potential = episode.pairs[k], episode.joints[k], episode.potentials[k]
    if pair is None or joints is None or potential is None:
        return np.full(builder.size, np.nan, np.float32)
    try:
        return builder.build(Sensed(pair, joints, episode.commanded[k], potential.potential))
    except DopamineError:  # a reading that this observation needs is missing: the row is not whole
        return np.full(builder.size, np.nan, np.float32)


def make_transitions(
    episode: ObservedEpisode,
    normaliser: Normaliser,
    shaping: ShapingConfig,
    config: TransitionConfig,
    *,
    demonstration: bool,
) -> EpisodeTransitions:
    """Cut an episode of N decisions into at most N - 1 transitions.

    :param demonstration: whether its actions are imitated whatever its outcome.
    """
    end = EpisodeEnd.of(episode.info)
    phi, last = episode.potentials, len(episode.observations) - 1
    whole = np.isfinite(episode.observations).all(axis=1)  # (N,)
    known = np.isfinite(episode.actions).all(axis=1)  # (N,)
    bounds = lower_bounds(phi, end, shaping) if last > 0 else np.zeros(0)
    rows = []  # (start, interval, reward, terminal)
    for start in range(max(last, 0)):
        interval = _interval(start, last, whole, end, shaping, config.n_step)
        if whole[start] and known[start] and interval:
            rows.append((start, interval, *_reward(phi, start, interval, last, end, shaping)))
    starts, intervals, rewards, terminals = (
        (np.array(c) for c in zip(*rows, strict=True)) if rows else _NONE
    )
    starts = starts.astype(np.int64)
    z = normaliser(np.nan_to_num(episode.observations))  # rows that are not whole are never picked
    unit = episode.actions[starts]
    outside = np.abs(np.nan_to_num(unit, nan=0.0)).max(axis=1, initial=0.0) > 1.001
    imitate = demonstration or (
        config.imitate_successes and episode.info.outcome is Outcome.SUCCESS
    )
    transitions = Transitions(
        observations=z[starts],
        actions=np.clip(unit, -1.0, 1.0),
        rewards=rewards.astype(np.float32),
        next_observations=z[starts + intervals.astype(np.int64)],
        terminals=terminals.astype(np.float32),
        intervals=intervals.astype(np.float32),
        bounds=bounds[starts].astype(np.float32),
        next_floors=-np.nan_to_num(phi[starts + intervals.astype(np.int64)]).astype(np.float32),
        imitate=np.full(len(starts), float(imitate), np.float32),
    )
    return EpisodeTransitions(transitions, max(last, 0) - len(starts), int(outside.sum()))


_NONE = (np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))


def _interval(
    start: int,
    last: int,
    whole: NDArray[np.bool_],
    end: EpisodeEnd,
    shaping: ShapingConfig,
    n_step: int,
) -> int:
    """Longest interval of at most n decisions that ends in a usable decision; 0 when there is none."""
    # At a true terminal nothing is bootstrapped; with Phi = 0 there, not even the potential is needed.
    free_end = end.terminated and shaping.terminal_mode == "exact"
    for interval in range(min(n_step, last - start), 0, -1):
        stop = start + interval
        if whole[stop] or (free_end and stop == last):
            return interval
    return 0


def _reward(
    phi: NDArray[np.float64],
    start: int,
    interval: int,
    last: int,
    end: EpisodeEnd,
    shaping: ShapingConfig,
) -> tuple[float, bool]:
    """Discounted sum of the one-step rewards over an interval, which telescopes, and whether it ends in a terminal."""
    stop = start + interval
    terms = transition_terms(
        float(phi[start]), float(phi[stop]), shaping, end if stop == last else None, interval
    )
    return shaping.gamma ** (interval - 1) * terms.r_gold + terms.shaping, terms.terminated
