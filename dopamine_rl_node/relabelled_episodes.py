"""Closed episodes and whole sets of relabelled potentials come in; recordings with these potentials go out.

Live potentials are not used: an episode without its whole set waits, and none mixes two models.
"""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.episodes.potential_set import PotentialSet, file_of, load_set, with_potentials
from dopamine_core.errors import DopamineError, LearnerError
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState, ModelId, Outcome

_IN_MEMORY = 100  # sets kept as they came; older ones are read from beside their recordings
_REMEMBERED = 5000  # episodes


@dataclass
class _Entry:
    """An episode whose set has come."""

    info: EpisodeInfo  # the latest state known
    labels_sha256: str
    model: ModelId
    given: tuple[str, Outcome, int] | None = None  # as it was last handed out

    @property
    def state(self) -> tuple[str, Outcome, int]:
        """What decides the transitions, beside the recording."""
        return self.labels_sha256, self.info.outcome, self.info.success_ns


class RelabelledEpisodes:
    """Which practice episodes may be learned from, which wait, and the potentials of any recording. Thread-safe.

    :param complain: called with a sentence when an episode is left out.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._lock = Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # by resolved path of the recording
        self._sets: OrderedDict[str, PotentialSet] = OrderedDict()
        self._waiting: OrderedDict[str, tuple[EpisodeInfo, float]] = OrderedDict()
        self._refused: dict[str, str] = {}  # why a recording has no set
        self._model: ModelId | None = None  # of the set that came last

    def on_episode(self, info: EpisodeInfo) -> None:
        """Take the state of an episode in; a later state of a closed one corrects it."""
        if info.state is not EpisodeState.CLOSED or info.kind is not EpisodeKind.ROLLOUT:
            return
        bag = _key(info.bag_path)
        if not info.bag_path and info.outcome is not Outcome.DISCARDED:
            self._complain(f"{info.episode_id} is not recorded: it cannot be relabelled and is left out")
            return
        with self._lock:
            if bag in self._entries:
                self._entries[bag].info = info
            elif info.outcome is Outcome.DISCARDED or bag in self._refused:
                self._waiting.pop(bag, None)
            else:
                self._waiting.setdefault(bag, (info, time.monotonic()))
                _trim(self._waiting, _REMEMBERED)

    def on_set(self, potentials: PotentialSet) -> None:
        """Take a whole set in."""
        bag, info = _key(potentials.info.bag_path), potentials.info
        with self._lock:
            waited = self._waiting.pop(bag, None)
            former = self._entries.get(bag)
            for known in (waited and waited[0], former and former.info):
                if known and known.stamp_ns > info.stamp_ns:
                    info = known  # corrected since it was recorded
            given = former.given if former else None
            self._entries[bag] = _Entry(info, potentials.labels_sha256, potentials.model, given)
            self._sets[bag] = potentials
            self._refused.pop(bag, None)
            self._model = potentials.model
            _trim(self._sets, _IN_MEMORY)
            _trim(self._entries, _REMEMBERED)

    def on_refusal(self, info: EpisodeInfo, text: str) -> None:
        """Take in that an episode cannot be relabelled."""
        with self._lock:
            self._waiting.pop(_key(info.bag_path), None)
            self._refused[_key(info.bag_path)] = text
        self._complain(f"{info.episode_id} is left out: {text}")

    def waiting_for(self) -> str:
        """Say which practice episodes wait for their set; empty when none does."""
        with self._lock:
            if not self._waiting:
                return ""
            info, since_s = next(iter(self._waiting.values()))
            count = len(self._waiting)
        waited_s = time.monotonic() - since_s
        return f"relabelled potentials of {count} episode(s), {info.episode_id} closed {waited_s:.0f} s ago"

    def begin(self) -> None:
        """Forget what was handed out: a new learner takes everything."""
        with self._lock:
            for entry in self._entries.values():
                entry.given = None

    def next(self) -> EpisodeData | None:
        """Give the next practice episode that is whole, or was corrected, or None."""
        while (entry := self._choose()) is not None:
            try:
                return self._read(entry.info.bag_path, entry)
            except DopamineError as error:
                self._complain(f"{entry.info.episode_id} is left out: {error}")
        return None

    def load(self, paths: list[str], wait: Callable[[str], None]) -> list[EpisodeData]:
        """Load recordings with their relabelled potentials, e.g. demonstrations to train on.

        :param wait: called again and again with what is missing; raises when it is no longer waited for.
        :raises RecordingError: when a recording cannot be read.
        :raises LearnerError: when it cannot be relabelled.
        """
        for bag in map(_key, paths):
            if not self._there(bag):
                load_episode(bag)  # nobody waits for one that is broken
            while not self._there(bag):
                wait(f"relabelled potentials of {Path(bag).name}: is the relabel node running in this run folder?")
        return [self._take(path) for path in paths]

    def _there(self, bag: str) -> bool:
        with self._lock:
            if bag in self._refused:
                raise LearnerError(
                    expected=f"relabelled potentials of {bag}",
                    got=self._refused[bag],
                    remedy="leave the recording out, or repair what is named and restart the relabel node",
                )
            entry = self._entries.get(bag)
            return entry is not None and entry.model == self._model

    def _take(self, path: str) -> EpisodeData:
        with self._lock:
            entry = self._entries[_key(path)]
            entry.given = entry.state
            entry = dataclasses.replace(entry)
        return self._read(path, entry)

    def _choose(self) -> _Entry | None:
        """The oldest practice episode that is to be handed out; it then counts as handed out."""
        with self._lock:
            for entry in self._entries.values():
                practice = entry.info.kind is EpisodeKind.ROLLOUT
                wanted = practice and entry.info.outcome is not Outcome.DISCARDED
                if wanted and entry.model == self._model and entry.given != entry.state:
                    entry.given = entry.state
                    return dataclasses.replace(entry)
        return None

    def _read(self, path: str, entry: _Entry) -> EpisodeData:
        """The recording, under the name that was asked for, with its whole set."""
        with self._lock:
            potentials = self._sets.get(_key(path))
        if potentials is None:
            potentials = load_set(file_of(Path(path), entry.labels_sha256), entry.info)
        return with_potentials(load_episode(path, info=entry.info), potentials)


def _key(path: str) -> str:
    return str(Path(path).resolve()) if path else ""


def _trim(items: OrderedDict[str, object], limit: int) -> None:  # type: ignore[type-arg]
    while len(items) > limit:
        items.popitem(last=False)
