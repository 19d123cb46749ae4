"""Potentials of one episode come in, in decision order; the reward terms of its transitions go out.

Whether a transition is the last one is known only when the episode has closed, and success may be
stamped before the close. A transition is therefore let go as soon as a later decision shows that it is
not the last; the rest follow when the authority closes the episode. When an operator corrects the outcome
afterwards, the transitions whose end changed go out again: the last terms sent for an index count.
"""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.reward.shaping import (
    EpisodeEnd,
    RewardTerms,
    ShapingConfig,
    decisions_kept,
    transition_terms,
)
from dopamine_core.types import EpisodeInfo, Potential


@dataclass(frozen=True)
class Answer:
    """A potential and how fresh its frames were."""

    potential: Potential
    frame_age_ns: int = 0  # when the potential was known
    skew_ns: int = 0


@dataclass(frozen=True)
class Transition:
    """One transition and its reward."""

    left: Potential
    reached: Answer
    terms: RewardTerms


class RewardLedger:
    """The reward terms of one episode.

    :param config: discount and terminal mode.
    """

    def __init__(self, config: ShapingConfig) -> None:
        self._config = config
        self._answers: list[Answer] = []
        self._sent: dict[int, EpisodeEnd] = {}  # by index of the transition
        self._info: EpisodeInfo | None = None

    def add(self, answer: Answer, success_ns: int | None = None) -> list[Transition]:
        """Add the next decision's answer; return the transitions that surely are not the last.

        :param success_ns: stamp at which the success rule held, if it did: the episode may end there.
        """
        self._answers.append(answer)
        if self._info is not None:
            return self.close(self._info)
        sure = len(self._answers) - 2
        if success_ns is not None:
            before = sum(a.potential.decision_stamp_ns < success_ns for a in self._answers)
            sure = min(sure, before - 1)
        return [self._send(k, EpisodeEnd()) for k in range(len(self._sent), sure)]

    def close(self, info: EpisodeInfo) -> list[Transition]:
        """Take the end from the authority; return what was not yet sent, or was sent otherwise."""
        self._info = info
        kept = decisions_kept([a.potential.decision_stamp_ns for a in self._answers], info)
        ends = [EpisodeEnd()] * (kept - 2) + [EpisodeEnd.of(info)] * (kept >= 2)
        return [self._send(k, end) for k, end in enumerate(ends) if self._sent.get(k) != end]

    def _send(self, index: int, end: EpisodeEnd) -> Transition:
        self._sent[index] = end
        left, reached = self._answers[index].potential, self._answers[index + 1]
        terms = transition_terms(left.potential, reached.potential.potential, self._config, end)
        return Transition(left, reached, terms)
