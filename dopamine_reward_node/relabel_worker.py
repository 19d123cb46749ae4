"""Recordings of a folder come in as they appear, their relabelled potentials go out, one episode after the other."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Protocol

from dopamine_core.config import check, setting
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.episodes.potential_set import PotentialSet
from dopamine_core.errors import DopamineError, ModelError
from dopamine_core.reward.relabelling import Relabeller
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState, Outcome

_LEARNED_FROM = (EpisodeKind.DEMONSTRATION, EpisodeKind.ROLLOUT)


@dataclass(frozen=True)
class RelabelConfig:
    """Which recordings are relabelled, and how patiently."""

    scan_s: float = setting(
        5.0, doc="Between two looks into the folder.", unit="s", low=0.1, high=3600.0
    )
    bag_wait_s: float = setting(
        60.0,
        doc="How long a closed episode waits for its recording to be finished.",
        unit="s",
        low=0.0,
        high=3600.0,
    )
    attempts: int = setting(
        3, doc="Times that an episode is tried on which the model fails.", low=1, high=100
    )
    queue_size: int = setting(
        1000,
        doc="Recordings that wait at most; those beyond are found again once there is room.",
        low=1,
        high=10**6,
    )

    def __post_init__(self) -> None:
        check(self)


class Outlet(Protocol):
    """Where results go; called from the worker's thread."""

    def whole(self, potentials: PotentialSet) -> None:
        """Take an episode's potentials."""

    def left_out(self, info: EpisodeInfo, text: str) -> None:
        """Take an episode that cannot be relabelled, and why."""


@dataclass
class Progress:
    """How far the worker is."""

    episode: str = ""  # in work
    done: int = 0  # decisions of it
    count: int = 0
    relabelled: int = 0  # episodes computed since the start
    read: int = 0  # episodes that had been relabelled before
    left_out: int = 0
    answer_s: float = 0.0  # last measured
    failed: str = ""  # why the last episode failed


class _Stopped(Exception):  # noqa: N818 no fault
    """The node stops: leave the episode."""


@dataclass
class _Queue:
    """Recordings that wait, in order."""

    bags: OrderedDict[Path, None] = field(default_factory=OrderedDict)
    known: set[Path] = field(default_factory=set)  # taken up once; never again
    failures: dict[Path, int] = field(default_factory=dict)
    awaited: dict[Path, tuple[EpisodeInfo, float]] = field(default_factory=dict)  # closed, not there


class RelabelWorker:
    """A thread that relabels the recordings of a folder, and those that are named as they close.

    :param make: makes the relabeller; may take minutes and raise anything.
    :param folder: recordings, ``*.mcap``.
    :param complain: called with a sentence when something goes wrong.
    """

    def __init__(
        self,
        config: RelabelConfig,
        make: Callable[[], Relabeller],
        folder: Path,
        outlet: Outlet,
        complain: Callable[[str], None],
    ) -> None:
        self.progress = Progress()
        self.fault = "expected a reward model, got none yet: loading it; wait"
        self._config, self._make, self._folder = config, make, folder
        self._outlet, self._complain = outlet, complain
        self._queue, self._lock = _Queue(), Lock()
        self._scanned_s = -1e9
        self._wake, self._stopping = Event(), False
        self._thread = Thread(target=self._run, name="relabel", daemon=True)

    @property
    def backlog(self) -> int:
        """Recordings that wait, the one in work left out."""
        with self._lock:
            return len(self._queue.bags) + len(self._queue.awaited)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, release: Callable[[], None]) -> None:
        """Stop the thread and wait for it; the episode in work is begun anew at the next start.

        :param release: lets the thread wait for the model no longer.
        """
        self._stopping = True
        self._wake.set()
        release()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def put(self, info: EpisodeInfo) -> None:
        """Take a closed episode; its recording may be unfinished yet."""
        if info.state is not EpisodeState.CLOSED or not info.bag_path or not _wanted(info):
            return
        bag = Path(info.bag_path)
        with self._lock:
            room = len(self._queue.awaited) < self._config.queue_size  # else the folder tells
            if bag not in self._queue.known and room:
                self._queue.awaited.setdefault(bag, (info, time.monotonic()))
        self._wake.set()

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        relabeller = self._load()
        while relabeller is not None and not self._stopping:
            try:
                self._scan()
                bag = self._next()
                if bag is not None:
                    self._relabel(relabeller, bag)
                    continue
            except Exception as error:  # nothing on the disk may end the thread
                self._complain(f"relabelling: {type(error).__name__}: {error}")
            self._wake.wait(min(1.0, self._config.scan_s))
            self._wake.clear()

    def _load(self) -> Relabeller | None:
        try:
            relabeller = self._make()
        except Exception as error:  # a back end may raise anything
            self.fault = f"{type(error).__name__}: {error}"
            self._complain(f"no reward model: {self.fault}")
            return None
        self.fault = ""
        return relabeller

    def _scan(self) -> None:
        """Find recordings that are not known yet: of before the start, and those that were awaited."""
        with self._lock:
            awaited = dict(self._queue.awaited)
        for bag, (info, since_s) in awaited.items():
            if bag.is_file():
                self._take_up(bag)
            elif time.monotonic() - since_s > self._config.bag_wait_s:
                self._give_up(bag, info, f"expected the recording {bag}, got none within {self._config.bag_wait_s:g} s")
        if time.monotonic() - self._scanned_s >= self._config.scan_s:
            self._scanned_s = time.monotonic()
            for bag in sorted(self._folder.glob("*.mcap")):
                self._take_up(bag.absolute())

    def _take_up(self, bag: Path) -> None:
        with self._lock:
            if bag in self._queue.known or len(self._queue.bags) >= self._config.queue_size:
                return
            self._queue.known.add(bag)
            self._queue.awaited.pop(bag, None)
            self._queue.bags[bag] = None

    def _next(self) -> Path | None:
        with self._lock:
            return self._queue.bags.popitem(last=False)[0] if self._queue.bags else None

    def _relabel(self, relabeller: Relabeller, bag: Path) -> None:
        try:
            info = load_episode(bag).info
        except DopamineError as error:
            self._give_up(bag, _unread(bag), str(error))
            return
        if not _wanted(info):
            return
        self.progress.episode, self.progress.done = info.episode_id, 0
        began_s = time.monotonic()
        try:
            potentials, computed = relabeller.run(bag, self._tell)
        except _Stopped:
            return
        except ModelError as error:
            self._try_again(bag, info, str(error))
        except Exception as error:  # recordings of another version may raise anything
            self._give_up(bag, info, f"{type(error).__name__}: {error}")
        else:
            self._outlet.whole(potentials)
            if computed:
                self.progress.relabelled += 1
                self.progress.answer_s = (time.monotonic() - began_s) / max(1, len(potentials.potentials))
            else:
                self.progress.read += 1
            self.progress.failed = ""
        finally:
            self.progress.episode = ""

    def _tell(self, done: int, count: int) -> None:
        self.progress.done, self.progress.count = done, count
        if self._stopping:
            raise _Stopped

    def _try_again(self, bag: Path, info: EpisodeInfo, text: str) -> None:
        """Put an episode that the model failed on behind the others, so many times."""
        if self._stopping:
            return
        failures = self._queue.failures.get(bag, 0) + 1
        self._queue.failures[bag] = failures
        self.progress.failed = text
        if failures >= self._config.attempts:
            self._give_up(bag, info, text)
            return
        self._complain(f"{info.episode_id} is tried again later: {text}")
        with self._lock:
            self._queue.bags[bag] = None
        self._wake.wait(1.0)  # a server that is gone must not be asked at once

    def _give_up(self, bag: Path, info: EpisodeInfo, text: str) -> None:
        with self._lock:
            self._queue.awaited.pop(bag, None)
        self.progress.left_out += 1
        self.progress.failed = text
        self._complain(f"{info.episode_id} is left out: {text}")
        self._outlet.left_out(info, text)


def _wanted(info: EpisodeInfo) -> bool:
    """Whether a learner takes such an episode."""
    kept = info.kind is EpisodeKind.ROLLOUT or info.kept
    return info.kind in _LEARNED_FROM and kept and info.outcome is not Outcome.DISCARDED


def _unread(bag: Path) -> EpisodeInfo:
    """What is known of a recording that cannot be read."""
    kind, closed = EpisodeKind.NONE, EpisodeState.CLOSED
    return EpisodeInfo(bag.stem, closed, kind, "", 0, 0, bag_path=str(bag))
