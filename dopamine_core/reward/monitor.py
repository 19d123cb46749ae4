"""The newest frame pair comes in, a reading for people and plots goes out; pairs may be skipped."""

from __future__ import annotations

import math

from dopamine_core.errors import DopamineError, ImageError
from dopamine_core.reward.labelling import checked
from dopamine_core.reward.session import References, RewardModel, RewardSession
from dopamine_core.types import FramePair, Reading, Status


class MonitorLane:
    """A chain of its own over the pairs that it happens to see.

    It starts anew with each episode, task and model; what it says is never learned from.
    """

    def __init__(self) -> None:
        self._model: RewardModel | None = None
        self._references: References | None = None
        self._session: RewardSession | None = None
        self._refusal = Reading(Status.NO_TASK)
        self._held = math.nan

    def restart(self, model: RewardModel | None, references: References | None, why: str) -> None:
        """Open a new session.

        :param why: what is missing, when model or references are.
        """
        self._model, self._references = model, references
        self._session, self._held = None, math.nan
        status = Status.MODEL_ERROR if model is None else Status.NO_TASK
        self._refusal = Reading(status, why)
        self._open()

    def look(self, pair: FramePair) -> Reading:
        """Answer the newest pair; a session that could not be opened is tried again."""
        if self._session is None:
            self._open()
        if self._session is None:
            return self._refusal
        try:
            reading = checked(self._session.observe(pair), self._held)
        except ImageError as error:
            return self.blind(Status.BAD_IMAGE, str(error))
        except Exception as error:  # a back end may raise anything; the node must live on
            return self.blind(Status.MODEL_ERROR, f"{type(error).__name__}: {error}")
        if reading.ok:
            self._held = reading.progress
        return reading

    def blind(self, status: Status, text: str) -> Reading:
        """Answer without looking: progress holds."""
        return Reading(status, text, progress=self._held)

    def _open(self) -> None:
        if self._model is None or self._references is None:
            return
        try:
            self._session = self._model.open(self._references)
        except DopamineError as error:
            self._refusal = Reading(Status.MODEL_ERROR, str(error))
        except Exception as error:  # a back end may raise anything; the node must live on
            self._refusal = Reading(Status.MODEL_ERROR, f"{type(error).__name__}: {error}")
