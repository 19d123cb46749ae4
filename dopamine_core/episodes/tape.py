"""One episode's messages come in as they arrive, the right ones go to its recording.

Of the camera frames only those that decisions name are written (or all, as an option), byte for
byte as the models saw them; late potentials and reward terms are waited for after the close.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from dopamine_core.config import check, setting
from dopamine_core.episodes import contents
from dopamine_core.episodes.bag import BagMessage
from dopamine_core.episodes.keyframes import KeyframeConfig, find_keyframes, toggle_mark
from dopamine_core.episodes.recorder import EpisodeRecorder
from dopamine_core.episodes.ticks import TickLog
from dopamine_core.errors import EpisodeError, RecordingError
from dopamine_core.types import (
    CommandRecord,
    Decision,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    Outcome,
    Potential,
)

_NS = 1_000_000_000
_MAX_TICK_GAP_NS = 100_000_000
Key = tuple[int, int]


@dataclass(frozen=True)
class TapeConfig:
    """What is recorded and how long its end is waited for."""

    every_frame: bool = setting(
        False, doc="Record every camera pair, not only those that decisions name: full-rate video."
    )
    frame_history_s: float = setting(
        2.0, doc="How far a decision may come behind its frames.", unit="s", low=0.1, high=30.0
    )
    settle_s: float = setting(
        0.3, doc="Recording goes on this long after the close.", unit="s", low=0.0, high=10.0
    )
    late_labels_s: float = setting(
        3.0,
        doc="Longest wait after the close for the label lane's last answers; raise it for slow"
        " models.",
        unit="s",
        low=0.0,
        high=3600.0,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PairMessages:
    """A frame pair, serialised."""

    key: Key
    front: BagMessage
    wrist: BagMessage


class EpisodeTape:
    """Recording of one episode. Not thread-safe: the caller holds a lock.

    :param recorder: open recording; this tape finishes it.
    """

    def __init__(
        self,
        recorder: EpisodeRecorder,
        info: EpisodeInfo,
        config: TapeConfig,
        keyframes: KeyframeConfig,
    ) -> None:
        self._recorder = recorder
        self._config = config
        self._keyframe_config = keyframes
        self.info = info
        self._held: OrderedDict[Key, PairMessages] = OrderedDict()
        self._awaited: set[Key] = set()
        self._written: dict[str, set[int]] = {
            contents.FRONT_IMAGE: set(),
            contents.WRIST_IMAGE: set(),
        }
        self._decisions: dict[int, Decision] = {}
        self._ticks = TickLog(_MAX_TICK_GAP_NS)
        self._answered: set[int] = set()
        self._rewarded: set[int] = set()
        self._marks: tuple[int, ...] = ()
        recorder.add_metadata(contents.EPISODE_RECORD, contents.episode_record(info))

    @property
    def error(self) -> RecordingError | None:
        """What went wrong with the recording."""
        return self._recorder.error

    @property
    def bytes_written(self) -> int:
        """Bytes in the file so far."""
        return self._recorder.bytes_written

    @property
    def decisions(self) -> list[Decision]:
        """Decisions so far, in order."""
        return [self._decisions[index] for index in sorted(self._decisions)]

    @property
    def marks(self) -> tuple[int, ...]:
        """Moments that the operator marked."""
        return self._marks

    def on_pair(self, pair: PairMessages) -> None:
        """Write a frame pair if it is wanted, else hold it for decisions to come."""
        if self._config.every_frame or pair.key in self._awaited:
            self._write_pair(pair)
        self._held[pair.key] = pair
        horizon = max(pair.key) - self._config.frame_history_s * _NS
        while max(next(iter(self._held))) < horizon:
            self._held.popitem(last=False)

    def on_decision(self, decision: Decision, message: BagMessage) -> None:
        """Write a decision of this episode and the frames it names."""
        if decision.episode_id != self.info.episode_id or decision.index in self._decisions:
            return
        self._decisions[decision.index] = decision
        self._recorder.write(message)
        if decision.frames_key in self._held:
            self._write_pair(self._held[decision.frames_key])
        else:
            self._awaited.add(decision.frames_key)

    def on_command(self, record: CommandRecord, message: BagMessage) -> None:
        """Write a tick of the command path."""
        if not self._over(record.stamp_ns):
            self._ticks.add(record)
            self._recorder.write(message)

    def on_joints(self, message: BagMessage) -> None:
        """Write a joint sample."""
        if not self._over(message.publish_ns):
            self._recorder.write(message)

    def on_potential(self, potential: Potential, message: BagMessage) -> None:
        """Write an answer of the label lane to this episode."""
        if potential.episode_id == self.info.episode_id:
            self._recorder.write(message)
            self._answered.add(potential.index)

    def on_reward(self, episode_id: str, index: int, message: BagMessage) -> None:
        """Write the reward terms of a transition of this episode."""
        if episode_id == self.info.episode_id:
            self._recorder.write(message)
            self._rewarded.add(index)

    def on_episode(self, info: EpisodeInfo, message: BagMessage) -> None:
        """Write a new state of this episode."""
        if info.episode_id == self.info.episode_id:
            self.info = info
            self._recorder.write(message)

    def mark_keyframe(self, now_ns: int) -> tuple[int, ...]:
        """Mark the present moment as a keyframe, or take a mark just made back.

        :raises EpisodeError: when this is not an open demonstration.
        """
        info = self.info
        if info.kind is not EpisodeKind.DEMONSTRATION or info.state is not EpisodeState.OPEN:
            raise EpisodeError(
                expected="an open demonstration to mark",
                got=f"{info.kind.name} {info.state.name}",
                remedy="start recording first",
            )
        gap_ns = int(self._keyframe_config.min_gap_s * _NS)
        self._marks = toggle_mark(self._marks, now_ns, gap_ns)
        return self._marks

    def keyframes(self) -> tuple[int, ...]:
        """Keyframes of the decisions that count, by index into them."""
        decisions = self._counting()
        stamps = [decision.stamp_ns for decision in decisions]
        actions = self._ticks.actions(decisions)
        return find_keyframes(stamps, actions, self._marks, self._keyframe_config)

    @property
    def counting(self) -> int:
        """Number of decisions that count."""
        return len(self._counting())

    def ready(self, now_ns: int) -> bool:
        """Whether all that belongs to the closed episode has come, or was waited for long enough.

        :param now_ns: present time on the clock of the stamps.
        """
        if self.info.state is not EpisodeState.CLOSED:
            return False
        waited_s = (now_ns - self.info.end_ns) / _NS
        if waited_s >= max(self._config.late_labels_s, self._config.settle_s):
            return True
        return waited_s >= self._config.settle_s and self._complete()

    def finish(self) -> Path:
        """Write keyframes and outcome and close the recording.

        :raises RecordingError: when anything could not be written; the partial file stays.
        """
        if self.info.kind is EpisodeKind.DEMONSTRATION:
            record = contents.keyframes_record(self.keyframes(), self._marks)
            self._recorder.add_metadata(contents.KEYFRAMES_RECORD, record)
        record = contents.episode_record(self.info)
        self._recorder.add_metadata(contents.EPISODE_RECORD, record)
        return self._recorder.finish()

    def abandon(self) -> None:
        """Stop writing; the partial file stays for recovery."""
        self._recorder.abandon()

    def _counting(self) -> list[Decision]:
        """Decisions up to the success, or to the close."""
        info = self.info
        ends = [info.end_ns] if info.end_ns else []
        if info.outcome is Outcome.SUCCESS and info.success_ns:
            ends.append(info.success_ns)
        return [d for d in self.decisions if not ends or d.stamp_ns <= min(ends)]

    def _complete(self) -> bool:
        decisions = {decision.index for decision in self._counting()}
        leaving = decisions - {max(decisions, default=0)}
        return decisions <= self._answered and leaving <= self._rewarded and not self._awaited

    def _over(self, stamp_ns: int) -> bool:
        end_ns = self.info.end_ns
        return bool(end_ns) and stamp_ns > end_ns + self._config.settle_s * _NS

    def _write_pair(self, pair: PairMessages) -> None:
        """Write both frames, each once."""
        self._awaited.discard(pair.key)
        for message in (pair.front, pair.wrist):
            written = self._written[message.channel.topic]
            if message.publish_ns not in written:
                written.add(message.publish_ns)
                self._recorder.write(message)
