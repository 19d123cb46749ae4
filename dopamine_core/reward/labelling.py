"""Decisions and their frames come in, one potential per decision goes out, in decision order.

Used live by the reward node's label lane and by ``relabel`` on recorded episodes: one definition.
"""

from __future__ import annotations

import math

from dopamine_core.errors import ImageError
from dopamine_core.reward.pairwise import anchored_progress
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import SuccessEvent, SuccessRule
from dopamine_core.types import Decision, FramePair, ModelId, Potential, Reading, Status


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

    @property
    def success(self) -> SuccessEvent | None:
        """The success of this episode, once the rule held."""
        return self._rule.event

    def label(self, decision: Decision, pair: FramePair) -> Potential:
        """Answer a decision whose frames are there."""
        reading = self._observe(pair)
        if reading.ok:
            self._held = reading.progress
        return self._potential(decision, reading)

    def decline(self, decision: Decision, status: Status, text: str) -> Potential:
        """Answer a decision whose frames cannot be used; progress holds."""
        return self._potential(decision, Reading(status, text, progress=self._held))

    def _observe(self, pair: FramePair) -> Reading:
        try:
            return self._session.observe(pair)
        except ImageError as error:
            return Reading(Status.BAD_IMAGE, str(error), progress=self._held)
        except Exception as error:  # a back end may raise anything; the lane must still answer
            text = f"{type(error).__name__}: {error}"
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
    a fast model makes possible; a slow one shapes with its anchored readings.
    """
    if not reading.ok:
        return math.nan
    return reading.progress if fast else anchored_progress(reading)
