"""Requests and events come in from callbacks and jobs, the one state of the episode goes out."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dopamine_core.episodes.machine import EpisodeMachine
from dopamine_core.errors import EpisodeError
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState, Outcome, OutcomeSource


class Authority:
    """The episode machine behind a lock; tells everybody of each change, in order.

    :param now_ns: the node's clock.
    :param folder: where recordings go.
    :param tell: called with each new state, under the lock.
    :param may_open: called before an episode opens; raises when the robot is not ready.
    """

    def __init__(
        self,
        *,
        now_ns: Callable[[], int],
        folder: Path,
        tell: Callable[[EpisodeInfo], None],
        may_open: Callable[[], None] = lambda: None,
    ) -> None:
        self._now_ns = now_ns
        self._folder = folder
        self._tell = tell
        self._may_open = may_open
        self._machine = EpisodeMachine()
        self._lock = threading.RLock()
        self._swapping = ""
        self._count = 0

    @property
    def info(self) -> EpisodeInfo:
        """The present or last episode."""
        with self._lock:
            return self._machine.info

    @property
    def is_open(self) -> bool:
        """Whether an episode is open."""
        with self._lock:
            return self._machine.is_open

    @property
    def swapping(self) -> bool:
        """Whether models are being swapped, so that no episode may open."""
        return bool(self._swapping)

    def tell(self) -> None:
        """Tell the present state again."""
        with self._lock:
            self._tell(self._machine.info)

    def open(
        self,
        kind: EpisodeKind,
        task: str,
        *,
        time_limit_s: float = 0.0,
        begin: Callable[[EpisodeInfo], None] | None = None,
    ) -> EpisodeInfo:
        """Open an episode.

        :param time_limit_s: 0 for none.
        :param begin: starts the recording; when it raises, nothing was opened.
        :raises EpisodeError: when the machine refuses or the robot is not ready.
        :raises RecordingError: when ``begin`` cannot record.
        """
        with self._lock:
            self._refuse_while_swapping()
            self._may_open()
            machine = copy.copy(self._machine)
            episode_id = self._new_id(kind)
            info = machine.open(
                episode_id=episode_id,
                kind=kind,
                task=task,
                now_ns=self._now_ns(),
                time_limit_ns=int(time_limit_s * 1e9),
                bag_path=str(self._folder / f"{episode_id}.mcap") if begin else "",
            )
            if begin is not None:
                begin(info)
            self._machine = machine
            self._tell(info)
            return info

    def close(
        self,
        outcome: Outcome,
        source: OutcomeSource,
        *,
        episode_id: str = "",
        success_ns: int = 0,
        text: str = "",
    ) -> EpisodeInfo:
        """Close the open episode.

        :raises EpisodeError: when the machine refuses.
        """
        return self._change(
            lambda machine: machine.close(
                outcome,
                source,
                self._now_ns(),
                episode_id=episode_id,
                success_ns=success_ns,
                text=text,
            )
        )

    def keep(self) -> EpisodeInfo:
        """Keep the open demonstration."""
        return self._change(lambda machine: machine.keep(self._now_ns()))

    def discard(self) -> EpisodeInfo:
        """Discard the open demonstration."""
        return self._change(lambda machine: machine.discard(self._now_ns()))

    def label(self, outcome: Outcome, episode_id: str = "") -> EpisodeInfo:
        """Correct the outcome of the last episode."""
        return self._change(
            lambda machine: machine.label(outcome, self._now_ns(), episode_id=episode_id)
        )

    def takeover(self) -> None:
        """Count a takeover of an open rollout or evaluation."""
        with self._lock:
            info = self._machine.info
            if self._machine.is_open and info.kind is not EpisodeKind.DEMONSTRATION:
                self._change(lambda machine: machine.takeover())

    def overdue(self) -> bool:
        """Whether the open episode reached its time limit."""
        with self._lock:
            return self._machine.overdue(self._now_ns())

    @contextmanager
    def between_episodes(self, why: str, wait_s: float) -> Iterator[None]:
        """Hold the door: wait for the open episode to end and let none open meanwhile.

        :param wait_s: longest wait, wall time.
        :raises EpisodeError: when the episode did not end in time.
        """
        deadline_s = time.monotonic() + wait_s
        while not self._close_door(why):
            if time.monotonic() > deadline_s:
                raise EpisodeError(
                    expected=f"an end of the open episode within {wait_s:g} s, for {why}",
                    got=f"{self.info.episode_id!r} still open",
                    remedy="close it and ask again",
                )
            time.sleep(0.02)
        try:
            yield
        finally:
            self._swapping = ""

    def _close_door(self, why: str) -> bool:
        with self._lock:
            if self._machine.is_open or self._swapping:
                return False
            self._swapping = why
            return True

    def _refuse_while_swapping(self) -> None:
        if self._swapping:
            raise EpisodeError(
                expected="no swap of models", got=self._swapping, remedy="try again in a moment"
            )

    def _change(self, change: Callable[[EpisodeMachine], EpisodeInfo]) -> EpisodeInfo:
        with self._lock:
            info = change(self._machine)
            self._tell(info)
            return info

    def _new_id(self, kind: EpisodeKind) -> str:
        """Ids sort in time and never repeat in a folder, also after a restart."""
        self._count += 1
        moment = time.strftime("%Y%m%dT%H%M%S")
        return f"{moment}_{self._count:04d}_{kind.name.lower()}"


def closed(info: EpisodeInfo, episode_id: str) -> bool:
    """Whether an episode is over: closed, or followed by another."""
    return info.episode_id != episode_id or info.state is EpisodeState.CLOSED
