"""Potentials and the episode's end come in, named reward terms go out.

The one definition of reward: the reward node publishes these terms and the learner learns from
them.

    r = r_gold + gamma^k * Phi(s') - Phi(s)    (Eq. 13, 14)

``r_gold`` is 1 exactly once, on the transition that success ends. A true terminal (success, or a
failure that an operator declared) has Phi = 0 in ``exact`` mode, which leaves the optimal policy
unchanged, and keeps its potential in ``paper`` mode, as Eq. 14 is printed. A truncation is no
terminal: it keeps the real potential in both. With N decisions there are N - 1 transitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import LearnerError
from dopamine_core.types import EpisodeInfo, Outcome

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ShapingConfig:
    """The numbers of the reward."""

    gamma: float = setting(
        0.98, doc="Discount per decision, the learner's own (Eq. 13).", low=0.0, high=1.0
    )
    terminal_mode: str = setting(
        "exact",
        doc="Potential of a true terminal: 0 (exact) or kept (paper).",
        choices=("exact", "paper"),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class EpisodeEnd:
    """How the last transition of an episode ends; all False while it goes on."""

    success: bool = False
    terminated: bool = False
    truncated: bool = False

    @classmethod
    def of(cls, info: EpisodeInfo) -> EpisodeEnd:
        """Take the end from the episode's authority."""
        return cls(info.outcome is Outcome.SUCCESS, info.terminated, info.truncated)


@dataclass(frozen=True)
class RewardTerms:
    """The terms of one transition; NaN where a potential is missing."""

    potential: float  # Phi(s)
    potential_next: float  # Phi(s') as the shaping used it
    gamma: float  # gamma^k over the k decisions of this transition
    shaping: float  # gamma^k * Phi(s') - Phi(s)
    r_gold: float
    success: bool
    terminated: bool
    truncated: bool

    @property
    def total(self) -> float:
        """The reward."""
        return self.r_gold + self.shaping


@dataclass(frozen=True)
class EpisodeRewards:
    """The terms of a whole episode, one row per transition."""

    potential: FloatArray  # (N - 1,)
    potential_next: FloatArray  # (N - 1,)
    gamma: FloatArray  # (N - 1,)
    shaping: FloatArray  # (N - 1,)
    r_gold: FloatArray  # (N - 1,)
    terminated: NDArray[np.bool_]  # (N - 1,) only the last row can be True
    truncated: NDArray[np.bool_]  # (N - 1,) only the last row can be True

    @property
    def total(self) -> FloatArray:
        """The rewards, (N - 1,)."""
        return self.r_gold + self.shaping


def transition_terms(
    potential: float,
    potential_next: float,
    config: ShapingConfig,
    end: EpisodeEnd | None = None,
    steps: int = 1,
) -> RewardTerms:
    """Give the reward of one transition.

    :param potential: Phi(s) in [0, 1], NaN when it is missing.
    :param potential_next: Phi(s') in [0, 1] as the model gave it.
    :param end: how the episode ends with this transition; None when it goes on.
    :param steps: decisions that the transition spans, >= 1.
    """
    end = end or EpisodeEnd()
    if end.terminated and config.terminal_mode == "exact":
        potential_next = 0.0
    gamma = config.gamma**steps
    return RewardTerms(
        potential=potential,
        potential_next=potential_next,
        gamma=gamma,
        shaping=gamma * potential_next - potential,  # Eq. 13
        r_gold=1.0 if end.success and end.terminated else 0.0,
        success=end.success and end.terminated,
        terminated=end.terminated,
        truncated=end.truncated,
    )


def episode_rewards(
    potentials: ArrayLike, end: EpisodeEnd, config: ShapingConfig, steps: ArrayLike = 1
) -> EpisodeRewards:
    """Give the rewards of a whole episode.

    :param potentials: (N,) Phi of each decision up to the end (see :func:`decisions_kept`); NaN
        where it is missing.
    :param end: how the episode ended.
    :param steps: decisions between neighbours: a number, or (N - 1,) for strides with a short last
        one.
    :raises LearnerError: when potentials or steps have the wrong shape.
    """
    phi = np.asarray(potentials, dtype=np.float64)  # (N,)
    spans = _spans(phi, steps)  # (N - 1,)
    rows = [
        transition_terms(
            phi[k], phi[k + 1], config, end if k == len(spans) - 1 else None, int(span)
        )
        for k, span in enumerate(spans)
    ]
    columns = {
        name: np.array([getattr(row, name) for row in rows], dtype=np.float64)
        for name in ("potential", "potential_next", "gamma", "shaping", "r_gold")
    }
    return EpisodeRewards(
        **columns,
        terminated=np.array([row.terminated for row in rows], dtype=np.bool_),
        truncated=np.array([row.truncated for row in rows], dtype=np.bool_),
    )


def lower_bounds(
    potentials: ArrayLike,
    end: EpisodeEnd,
    config: ShapingConfig,
    steps: ArrayLike = 1,
    step_cost: float = 0.0,
) -> FloatArray:
    """Give the Monte-Carlo lower bound of Q for each transition, in the units of the shaped reward.

    The shaping telescopes, so a true terminal's shaped return is G_t - Phi(s_t); a truncated one's
    is not a bound, but G_t(gold only) - Phi(s_t) is, because what follows is not negative. In
    ``paper`` mode the terminal adds a potential >= 0, so the same number stays a bound.

    :param potentials: (N,) Phi of each decision up to the end.
    :param step_cost: the most that a decision may cost, >= 0; its endless sum c / (1 - gamma)
        covers seen and unseen costs.
    :returns: (N - 1,).
    :raises LearnerError: when shapes are wrong, or a step cost meets gamma = 1.
    """
    phi = np.asarray(potentials, dtype=np.float64)  # (N,)
    spans = _spans(phi, steps)  # (N - 1,)
    if step_cost > 0.0 and config.gamma >= 1.0:
        raise LearnerError(
            expected="gamma < 1 with a step cost",
            got="gamma 1",
            remedy="lower gamma or drop the cost",
        )
    tail = step_cost / (1.0 - config.gamma) if step_cost > 0.0 else 0.0
    gold = 1.0 if end.success and end.terminated else 0.0
    to_last = (
        np.cumsum(spans[::-1])[::-1] - spans[-1:]
    )  # decisions until the last transition begins
    return gold * config.gamma**to_last - phi[:-1] - tail


def decisions_kept(decision_stamps_ns: ArrayLike, info: EpisodeInfo) -> int:
    """Count the decisions that belong to the episode: those after the success stamp are dropped.

    :param decision_stamps_ns: (N,) increasing.
    :param info: the closed episode; ``success_ns`` 0 drops nothing.
    """
    stamps = np.asarray(decision_stamps_ns, dtype=np.int64)  # (N,)
    if info.outcome is not Outcome.SUCCESS or info.success_ns == 0:
        return len(stamps)
    return int(np.searchsorted(stamps, info.success_ns, side="right"))


def q_range(config: ShapingConfig) -> tuple[float, float]:
    """Give the interval that holds every feasible Q without a step cost: alarm outside it."""
    return -1.0, 1.0 if config.terminal_mode == "exact" else 1.0 + config.gamma


def _spans(potentials: FloatArray, steps: ArrayLike) -> NDArray[np.int64]:
    """Broadcast the steps to one per transition."""
    transitions = max(len(potentials) - 1, 0) if potentials.ndim == 1 else -1
    spans = np.asarray(steps, dtype=np.int64)
    fits = spans.ndim == 0 or spans.shape == (transitions,)
    if transitions < 0 or not fits or (spans < 1).any():
        raise LearnerError(
            expected="potentials (N,) and steps >= 1, one number or (N - 1,)",
            got=f"potentials {potentials.shape}, steps {np.asarray(steps).tolist()}",
            remedy="pass one episode at a time",
        )
    return np.broadcast_to(spans, (transitions,)).copy()


__all__ = [
    "EpisodeEnd",
    "EpisodeRewards",
    "RewardTerms",
    "ShapingConfig",
    "decisions_kept",
    "episode_rewards",
    "lower_bounds",
    "q_range",
    "transition_terms",
]
