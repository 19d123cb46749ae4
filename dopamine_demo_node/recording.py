"""Messages of all topics come in, each episode's recording grows; finished ones are told."""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_msgs.msg import Command, Decision, FramePair, Potential, Reward
from sensor_msgs.msg import JointState

from dopamine_core.episodes import contents
from dopamine_core.episodes.bag import BagMessage, amend
from dopamine_core.episodes.keyframes import KeyframeConfig
from dopamine_core.episodes.recorder import EpisodeRecorder, RecorderConfig
from dopamine_core.episodes.tape import EpisodeTape, PairMessages, TapeConfig
from dopamine_core.errors import DopamineError, RecordingError
from dopamine_core.types import CommandRecord, EpisodeInfo
from dopamine_ros.convert import commands, reward
from dopamine_ros.convert.episodes import episode_to_msg
from dopamine_ros.convert.stamps import to_ns
from dopamine_ros.schemas import channel_of
from dopamine_ros.serialised import serialised

_POLL_S = 0.05
_REMEMBERED = 64
_CORRECTION_S = 1.0


@dataclass(frozen=True)
class Finished:
    """A recording that ended.

    :param path: its file; None when it could not be written whole.
    :param text: what went wrong; empty when nothing did.
    """

    info: EpisodeInfo
    path: Path | None
    text: str
    decisions: int
    bytes_written: int


@dataclass
class _Correction:
    """An outcome that was corrected after its recording ended, and what came with it."""

    info: EpisodeInfo
    messages: list[BagMessage]
    due_s: float  # wall time


class Recording:
    """Routes messages to the tape of the open episode and to those that wait for late labels.

    Callbacks serialise and queue; files are finished in a thread of their own.

    :param now_ns: the node's clock.
    :param on_finished: called from that thread when a recording ended, before :meth:`result` knows
        it, and again after a correction.
    """

    def __init__(
        self,
        *,
        now_ns: Callable[[], int],
        recorder: RecorderConfig,
        tape: TapeConfig,
        keyframes: KeyframeConfig,
        on_finished: Callable[[Finished], None],
    ) -> None:
        self._now_ns = now_ns
        self._configs = (recorder, tape, keyframes)
        self._on_finished = on_finished
        self._lock = threading.Lock()
        self._tapes: dict[str, EpisodeTape] = {}
        self._results: OrderedDict[str, Finished] = OrderedDict()
        # From before the opening: decision 0 may name them.
        self._pairs: deque[PairMessages] = deque(maxlen=10)
        self._joints: deque[BagMessage] = deque(maxlen=30)
        self._ticks: deque[tuple[CommandRecord, BagMessage]] = deque(maxlen=10)
        self._corrections: dict[str, _Correction] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="finish recordings", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish every recording as it stands."""
        self._stopping.set()
        self._thread.join(timeout=10.0)

    def begin(self, info: EpisodeInfo) -> None:
        """Start the recording of an episode that is about to open.

        :raises RecordingError: when it cannot be written.
        """
        recorder_config, tape_config, keyframe_config = self._configs
        recorder = EpisodeRecorder(Path(info.bag_path), recorder_config)
        tape = EpisodeTape(recorder, info, tape_config, keyframe_config)
        with self._lock:
            for pair in self._pairs:
                tape.on_pair(pair)
            for message in self._joints:
                tape.on_joints(message)
            for record, message in self._ticks:
                tape.on_command(record, message)
            self._tapes[info.episode_id] = tape

    def tape(self, episode_id: str) -> EpisodeTape | None:
        """Recording of an episode while it runs."""
        with self._lock:
            return self._tapes.get(episode_id)

    def result(self, episode_id: str) -> Finished | None:
        """How a recording ended; None while it has not."""
        with self._lock:
            return self._results.get(episode_id)

    def error(self, episode_id: str) -> RecordingError | None:
        """What went wrong with a recording while it runs."""
        tape = self.tape(episode_id)
        return None if tape is None else tape.error

    def mark_keyframe(self, episode_id: str) -> int:
        """Mark the present moment of a demonstration, or take a mark just made back.

        :returns: number of marks.
        :raises EpisodeError: when no demonstration is open.
        """
        with self._lock:
            tape = self._tapes.get(episode_id)
            if tape is None:
                return 0
            return len(tape.mark_keyframe(self._now_ns()))

    def on_episode(self, info: EpisodeInfo) -> None:
        """Write a state; a correction after the end goes into the finished file."""
        message = self._bagged(contents.EPISODE, episode_to_msg(info), info.stamp_ns)
        with self._lock:
            tape = self._tapes.get(info.episode_id)
            if tape is not None:
                tape.on_episode(info, message)
            elif info.bag_path:
                # The reward node answers with new terms; they go into the file together.
                due_s = time.monotonic() + _CORRECTION_S
                self._corrections[info.episode_id] = _Correction(info, [message], due_s)

    def on_pair(self, message: FramePair) -> None:
        """Take a frame pair."""
        front_ns, wrist_ns = to_ns(message.front.header.stamp), to_ns(message.wrist.header.stamp)
        pair = PairMessages(
            (front_ns, wrist_ns),
            self._bagged(contents.FRONT_IMAGE, message.front, front_ns),
            self._bagged(contents.WRIST_IMAGE, message.wrist, wrist_ns),
        )
        with self._lock:
            self._pairs.append(pair)
            for tape in self._tapes.values():
                tape.on_pair(pair)

    def on_decision(self, message: Decision) -> None:
        """Take a decision."""
        decision = reward.decision_from_msg(message)
        self._each(
            lambda tape, bagged: tape.on_decision(decision, bagged),
            self._bagged(contents.DECISION, message, decision.stamp_ns),
        )

    def on_command(self, message: Command) -> None:
        """Take a tick of the command path."""
        record = commands.command_from_msg(message)
        bagged = self._bagged(contents.COMMAND, message, record.stamp_ns)
        with self._lock:
            self._ticks.append((record, bagged))
        self._each(lambda tape, bagged: tape.on_command(record, bagged), bagged)

    def on_joints(self, message: JointState) -> None:
        """Take a joint sample."""
        bagged = self._bagged(contents.JOINT_STATES, message, to_ns(message.header.stamp))
        with self._lock:
            self._joints.append(bagged)
        self._each(lambda tape, bagged: tape.on_joints(bagged), bagged)

    def on_potential(self, message: Potential) -> None:
        """Take an answer of the label lane."""
        potential = reward.potential_from_msg(message)
        self._each(
            lambda tape, bagged: tape.on_potential(potential, bagged),
            self._bagged(contents.POTENTIAL, message, potential.decision_stamp_ns),
        )

    def on_reward(self, message: Reward) -> None:
        """Take the terms of a transition."""
        bagged = self._bagged(contents.REWARD, message, to_ns(message.header.stamp))
        with self._lock:
            correction = self._corrections.get(message.episode_id)
            if correction is not None:
                correction.messages.append(bagged)
        self._each(
            lambda tape, bagged: tape.on_reward(message.episode_id, message.index, bagged), bagged
        )

    def _each(self, write: Callable[[EpisodeTape, BagMessage], None], bagged: BagMessage) -> None:
        with self._lock:
            for tape in self._tapes.values():
                write(tape, bagged)

    def _bagged(self, topic: str, message: Any, stamp_ns: int) -> BagMessage:
        channel = channel_of(topic, type(message))
        # A bag has no time before 1970; the message itself keeps the stamp that it came with.
        return BagMessage(channel, serialised(message), self._now_ns(), max(stamp_ns, 0))

    def _run(self) -> None:
        """Finish recordings whose episode is over, and correct finished ones."""
        while not self._stopping.wait(_POLL_S):
            self._finish_ready()
            self._correct_due(time.monotonic())
        self._finish_tapes(list(self._tapes))
        self._correct_due(math.inf)

    def _finish_ready(self) -> None:
        now_ns = self._now_ns()
        with self._lock:
            ready = [name for name, tape in self._tapes.items() if tape.ready(now_ns)]
        self._finish_tapes(ready)

    def _finish_tapes(self, names: list[str]) -> None:
        with self._lock:
            tapes = [self._tapes.pop(name) for name in names]
        for tape in tapes:
            finished = self._finish(tape)
            self._say(finished)
            with self._lock:
                self._results[tape.info.episode_id] = finished
                while len(self._results) > _REMEMBERED:
                    self._results.popitem(last=False)

    def _finish(self, tape: EpisodeTape) -> Finished:
        path, text = None, ""
        try:
            path = tape.finish()
        except RecordingError as error:
            text = str(error)
        except Exception as error:  # else this thread would end, and every later recording with it
            traceback.print_exc()
            tape.abandon()
            text = f"{type(error).__name__}: {error}; the file is recovered at the next start"
        return Finished(tape.info, path, text, tape.counting, tape.bytes_written)

    def _say(self, finished: Finished) -> None:
        """Tell of a recording; what becomes of it there must not end this thread."""
        try:
            self._on_finished(finished)
        except Exception:
            traceback.print_exc()

    def _correct_due(self, now_s: float) -> None:
        with self._lock:
            due = [name for name, one in self._corrections.items() if one.due_s <= now_s]
            corrections = [self._corrections.pop(name) for name in due]
        for correction in corrections:
            self._correct(correction)

    def _correct(self, correction: _Correction) -> None:
        """Write a corrected state into a finished file."""
        info = correction.info
        finished = self.result(info.episode_id)
        if finished is None or finished.path is None:
            return
        text = ""
        try:
            record = {contents.EPISODE_RECORD: contents.episode_record(info)}
            amend(finished.path, correction.messages, record)
        except DopamineError as error:
            text = str(error)
        size = finished.path.stat().st_size if finished.path.exists() else 0
        self._say(Finished(info, finished.path, text, finished.decisions, size))
