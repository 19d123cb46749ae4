"""A reward model's name and place come in; loaded in a thread, it goes to the label lane between episodes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Event, Thread, get_native_id

from dopamine_core.errors import EpisodeError
from dopamine_core.reward.guarded import GuardedModel
from dopamine_core.reward.label_lane import LabelLane
from dopamine_core.reward.session import RewardModel

_SETTLE_S = 3.0  # a close that was just heard still waits for late decisions
_POLL_S = 0.01


class ModelLoader:
    """Loads models, the first one and those of reward/load_model.

    :param load: makes a model of a registered name and a path; may take minutes and raise anything.
    :param lane: where models go.
    :param timeout_s: seconds that one inference may take.
    :param changed: called when another model answers, or none could be loaded.
    :param say: takes a sentence and whether it tells of a fault.
    """

    def __init__(
        self,
        load: Callable[[str, str], RewardModel],
        lane: LabelLane,
        *,
        timeout_s: float,
        changed: Callable[[], None],
        say: Callable[[str, bool], None],
    ) -> None:
        self._load, self._lane, self._timeout_s = load, lane, timeout_s
        self._changed, self._say = changed, say
        self._fault = ""
        self._name, self._began_s = "", time.monotonic()
        self._ended = Event()
        self._stopping = False
        self._loading = 0
        self.present: GuardedModel | None = None

    @property
    def fault(self) -> str:
        """Why there is no model, with the seconds that loading has taken so far."""
        if self._fault:
            return self._fault
        seconds = time.monotonic() - self._began_s
        return (
            f"expected a reward model, got none yet: loading {self._name!r} for {seconds:.0f} s; wait, decisions "
            "are answered without one until it is there"
        )

    @property
    def busy(self) -> bool:
        """Whether a model is being loaded or computes."""
        return self._loading > 0 or (self.present is not None and self.present.running_s > 0)

    def begin(self, name: str, path: str) -> None:
        """Load the first model in a thread; without one the node lives on and says what is missing."""
        self._name, self._began_s = name, time.monotonic()
        Thread(target=self._first, args=(name, path), name="load", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the first model is there, or could not be loaded; False when it takes longer."""
        return self._ended.wait(timeout_s)

    def swap(self, name: str, path: str, threshold: float) -> GuardedModel:
        """Load another model and hand it over; takes as long as loading takes.

        :param threshold: progress that counts as success; 0 takes the configured one, else the model's.
        :raises EpisodeError: while an episode is open or answers are due, with how many.
        :raises Exception: whatever the back end raises.
        """
        self._lane.refuse_if_open()
        until_s = time.monotonic() + _SETTLE_S
        while not self._lane.settled and time.monotonic() < until_s:
            time.sleep(_POLL_S)
        self._lane.refuse_if_due()
        model = self._make(name, path)
        self._hand_over(model, threshold)
        return model

    def stop(self) -> None:
        """Let nobody wait for a model any longer."""
        self._stopping = True
        if self.present is not None:
            self.present.stop()

    def _first(self, name: str, path: str) -> None:
        try:
            model = self._make(name, path)
        except Exception as error:  # a back end may raise anything
            self._fault = f"{type(error).__name__}: {error}"
            self._say(f"no reward model: {self._fault}", True)
        else:
            seconds = time.monotonic() - self._began_s
            self._fault = f"loaded {name!r} after {seconds:.0f} s; it answers once the open episode is over"
            self._say(f"reward model {name!r} loaded in {seconds:.1f} s", False)
            self._hand_over_between_episodes(model)
        self._ended.set()
        self._changed()

    def _hand_over_between_episodes(self, model: GuardedModel) -> None:
        while self._lane.model is None and not self._stopping:
            try:
                self._hand_over(model, 0.0)
            except EpisodeError:
                self._ended.set()  # it is there; nobody need wait for the episode's end
                time.sleep(_POLL_S)

    def _hand_over(self, model: GuardedModel, threshold: float) -> None:
        self._lane.swap_model(model, threshold)
        former, self.present = self.present, model
        if former is not None:
            former.retire()
        self._changed()

    def _make(self, name: str, path: str) -> GuardedModel:
        # Loading is not urgent, whatever priority the node has.
        os.sched_setscheduler(get_native_id(), os.SCHED_OTHER, os.sched_param(0))
        self._loading += 1
        try:
            return GuardedModel(self._load(name, path), self._timeout_s)
        finally:
            self._loading -= 1
