"""The newest of what the node hears, and how old it is: for decisions, watches and resets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dopamine_core.types import CommandRecord, JointSample, ResetState

_SLOWEST_CLOCK = 10.0  # a simulation may run this much slower than real time


@dataclass(frozen=True)
class Heard:
    """Something heard: its stamp on the node's clock, and when it came on the wall's."""

    node_ns: int
    wall_s: float


class Senses:
    """Newest frame pair, joint sample and command tick, and their age.

    Age is carried by stamps, so that what was long under way is old; should the node's clock stand
    still, the wall's counts a tenth.

    :param now_ns: the node's clock.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}
        self.frames_key: tuple[int, int] | None = None
        self.joints: JointSample | None = None
        self.command: CommandRecord | None = None
        self.reset_failure = ""
        self.policy_version = 0

    def on_frames(self, key: tuple[int, int]) -> None:
        """Take the key of a frame pair."""
        self.frames_key = key
        self._note("cameras", max(key))

    def on_joints(self, sample: JointSample) -> None:
        """Take a joint sample."""
        self.joints = sample
        self._note("joint states", sample.stamp_ns)

    def on_command(self, record: CommandRecord) -> CommandRecord | None:
        """Take a command tick; return the one before."""
        before, self.command = self.command, record
        failed = record.reset_state is ResetState.FAILED
        if failed and (before is None or before.reset_state is not ResetState.FAILED):
            self.reset_failure = record.text  # later ticks no longer say why
        self._note("command", record.stamp_ns)
        return before

    def _note(self, name: str, stamp_ns: int) -> None:
        with self._lock:
            self._heard[name] = Heard(stamp_ns, time.monotonic())

    def age_s(self, name: str, since: Heard | None = None) -> float:
        """How old the newest of something is, in seconds; infinite when it never came.

        :param name: ``cameras``, ``joint states`` or ``command``.
        :param since: count from this moment at the earliest.
        """
        with self._lock:
            heard = self._heard.get(name)
        moments = [moment for moment in (heard, since) if moment is not None]
        if not moments:
            return float("inf")
        node_s = (self._now_ns() - max(moment.node_ns for moment in moments)) / 1e9
        wall_s = time.monotonic() - max(moment.wall_s for moment in moments)
        return max(node_s, wall_s / _SLOWEST_CLOCK)

    def now(self) -> Heard:
        """This moment."""
        return Heard(self._now_ns(), time.monotonic())

    @property
    def stopped(self) -> bool:
        """Whether the command path says that it is stopped."""
        fresh = self.age_s("command") < 1.0
        return fresh and self.command is not None and self.command.stopped
