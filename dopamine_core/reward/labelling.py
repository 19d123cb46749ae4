"""Decisions and their frames come in, one potential per decision goes out, in decision order.

Used live by the reward node's label lane and by ``relabel`` on recorded episodes: one definition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from dopamine_core.errors import ImageError
from dopamine_core.reward.pairwise import anchored_progress
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import SuccessEvent, SuccessRule
from dopamine_core.types import Decision, FramePair, ModelId, Potential, Reading, Status

_PROGRESS_TOLERANCE = 1e-6  # rounding of float32 models


@runtime_checkable
class BatchSession(Protocol):
    """A session that can answer several samples in one go; back ends that compute in batches have it."""

    def observe_all(self, pairs: Sequence[FramePair]) -> list[Reading]:
        """Answer the next samples, one reading each, in order, equal to ``observe`` one by one.

        :raises ImageError: when the bytes of one cannot be decoded; the chain stays where it was before the first.
        """


class EpisodeLabeller:
    """One episode's label lane.

    :param model: reward model; its session for this episode is opened here.
    :param references: task, goals and start.
    :param rule: success rule of this episode.
    :raises ModelError: when the references cannot be used.
    """

    def __init__(self, model: RewardModel, references: References, rule: SuccessRule) -> None:
        self._model = model
        self._session = model.open(references)
        self._rule = rule
        self._held = math.nan
        self._batched = isinstance(self._session, BatchSession)

    @property
    def batched(self) -> bool:
        """Whether several decisions are answered in one go; no longer once that has failed."""
        return self._batched

    @property
    def success(self) -> SuccessEvent | None:
        """The success of this episode, once the rule held."""
        return self._rule.event

    def label(self, decision: Decision, pair: FramePair) -> Potential:
        """Answer a decision whose frames are there."""
        return self._potential(decision, self._observe(pair))

    def label_all(
        self, decisions: Sequence[Decision], pairs: Sequence[FramePair]
    ) -> list[Potential]:
        """Answer decisions in order whose frames are there; equal to ``label`` one by one.

        :param pairs: frames of each decision.
        """
        if not self._batched or len(pairs) < 2:
            return [self.label(*one) for one in zip(decisions, pairs, strict=True)]
        readings = self._observe_all(pairs)
        if readings is None:  # one cannot be decoded: which one, they say when asked one by one
            return [self.label(*one) for one in zip(decisions, pairs, strict=True)]
        return [
            self._potential(decision, self._checked(reading))
            for decision, reading in zip(decisions, readings, strict=True)
        ]

    def decline(self, decision: Decision, status: Status, text: str) -> Potential:
        """Answer a decision whose frames cannot be used; progress holds."""
        return self._potential(decision, Reading(status, text, progress=self._held))

    def _observe(self, pair: FramePair) -> Reading:
        try:
            return self._checked(self._session.observe(pair))
        except ImageError as error:
            return Reading(Status.BAD_IMAGE, str(error), progress=self._held)
        except Exception as error:  # a back end may raise anything; the lane must still answer
            return self._broken(f"{type(error).__name__}: {error}")

    def _observe_all(self, pairs: Sequence[FramePair]) -> list[Reading] | None:
        """Readings of all pairs; None when bytes cannot be decoded, and nothing has been observed."""
        assert isinstance(self._session, BatchSession)
        try:
            readings = list(self._session.observe_all(pairs))
        except ImageError:
            return None
        except Exception as error:  # a batch may be too large where one alone is not
            self._batched = False
            return [self._broken(f"{type(error).__name__}: {error}")] * len(pairs)
        if len(readings) == len(pairs):
            return readings
        self._batched = False
        text = f"expected {len(pairs)} readings, got {len(readings)}; repair the back end"
        return [self._broken(text)] * len(pairs)

    def _checked(self, answer: object) -> Reading:
        reading = checked(answer, self._held)
        if reading.ok:
            self._held = reading.progress
        return reading

    def _broken(self, text: str) -> Reading:
        return Reading(Status.MODEL_ERROR, text, progress=self._held)

    def _potential(self, decision: Decision, reading: Reading) -> Potential:
        self._rule.update(decision.stamp_ns, reading)
        return Potential(
            decision_stamp_ns=decision.stamp_ns,
            episode_id=decision.episode_id,
            index=decision.index,
            reading=reading,
            potential=shaping_potential(reading, self._model.fast),
            success=self._rule.holds,
            model=self._model.model_id,
        )


def checked(answer: object, held: float) -> Reading:
    """Take a model's answer only when it can be read; else a status says what came instead.

    :param held: progress of the last valid sample, NaN without one.
    """
    if not isinstance(answer, Reading):
        text = f"expected a Reading, got {type(answer).__name__}; repair the back end"
        return Reading(Status.MODEL_ERROR, text, progress=held)
    low, high = -_PROGRESS_TOLERANCE, 1.0 + _PROGRESS_TOLERANCE
    if answer.ok and not low <= answer.progress <= high:
        text = f"expected progress in [0, 1], got {answer.progress}; the sample is not used"
        return Reading(Status.INVALID_HOP, text, progress=held, inference_ns=answer.inference_ns)
    return answer


def unlabelled(decision: Decision, status: Status, text: str, model: ModelId) -> Potential:
    """Answer a decision of an episode that no model looks at."""
    reading = Reading(status, text)
    return Potential(
        decision_stamp_ns=decision.stamp_ns,
        episode_id=decision.episode_id,
        index=decision.index,
        reading=reading,
        potential=math.nan,
        success=False,
        model=model,
    )


def shaping_potential(reading: Reading, fast: bool) -> float:
    """Choose the Phi that shaping uses; NaN when the reading is not OK.

    Fused progress depends on history, so it may shape only when the observation contains it, which
    a fast model makes possible; a slow one shapes with its anchored readings. A model that answers
    progress itself has no chain and no such readings.
    """
    if not reading.ok:
        return math.nan
    anchored = math.nan if fast else anchored_progress(reading)
    return reading.progress if math.isnan(anchored) else anchored
