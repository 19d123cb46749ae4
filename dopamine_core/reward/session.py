"""The reward model's seam: frame pairs go in, one reading per pair comes out.

A ``HopModel`` compares two moments and answers hops; ``pairwise.PairwiseModel`` makes a
``RewardModel`` of it. A model that answers progress directly implements ``RewardModel`` itself.
The nodes know only ``RewardModel`` and ``RewardSession``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from dopamine_core.types import FramePair, ModelId, Reading, Status

Encoded = Any  # what a hop model makes of a frame pair; opaque to everyone else


@dataclass(frozen=True)
class References:
    """What the model is shown of the task.

    :param task: one sentence.
    :param goals: goal pairs of one or more demonstrations, at least one.
    :param start: start pair of a demonstration; without it the episode's own first frame stands in.
    """

    task: str
    goals: tuple[FramePair, ...]
    start: FramePair | None = None


@dataclass(frozen=True)
class HopQuery:
    """One question: how far did the scene move from ``before`` to ``after``?"""

    task: str
    start: Encoded
    goal: Encoded
    before: Encoded
    after: Encoded


@dataclass(frozen=True)
class HopAnswer:
    """One hop in [-1, 1] (Eq. 2), or the status that says why there is none."""

    status: Status
    hop: float = float("nan")
    uncertainty: float = float(
        "nan"
    )  # standard deviation of the hop; NaN when the model gives none
    text: str = ""


@runtime_checkable
class HopModel(Protocol):
    """A pairwise back end.

    ``fast`` says that it answers within one decision period, so that the Phi in the observation can
    be the label lane's own. ``success_threshold`` is calibrated per model and task.
    """

    model_id: ModelId
    fast: bool
    success_threshold: float

    def encode(self, pair: FramePair) -> Encoded:
        """Encode a pair once; the caller keeps and reuses the result.

        :raises ImageError: when the bytes cannot be decoded.
        """

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer a batch of queries, one answer each, in order."""


@runtime_checkable
class RewardSession(Protocol):
    """One run over the frames of one episode, in order of time; owns its caches."""

    last: Reading | None

    def observe(self, pair: FramePair) -> Reading:
        """Answer the next sample and advance the chain.

        :raises ImageError: when the bytes cannot be decoded; the chain stays where it was.
        """

    def peek(self, pair: FramePair) -> Reading:
        """Answer as ``observe`` would, but leave the chain where it is."""


#: What of a reading the success threshold is compared with.
PROGRESS, PROBABILITY = "progress", "probability"


@runtime_checkable
class RewardModel(Protocol):
    """Makes sessions; shared by all lanes, swapped between episodes only.

    ``success_signal`` says what ``success_threshold`` was calibrated on: ``PROGRESS``, or ``PROBABILITY`` for a model
    with a success head of its own (``Reading.success_probability``).
    """

    model_id: ModelId
    fast: bool
    success_threshold: float
    success_signal: str

    def open(self, references: References) -> RewardSession:
        """Open a session for one episode.

        :raises ModelError: when task or goal are missing or cannot be used.
        """
