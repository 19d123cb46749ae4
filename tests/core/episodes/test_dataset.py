"""From recorder to dataset: what is recorded comes back, through stock readers as well."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.reader import read_ros2_messages
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from dopamine_core.episodes import contents
from dopamine_core.episodes.bag import BagMessage, amend, read_bag
from dopamine_core.episodes.dataset import load_demonstration, load_episode
from dopamine_core.episodes.keyframes import KeyframeConfig
from dopamine_core.episodes.machine import relabelled
from dopamine_core.episodes.recorder import EpisodeRecorder, RecorderConfig
from dopamine_core.episodes.tape import EpisodeTape, PairMessages, TapeConfig
from dopamine_core.errors import DemonstrationError, RecordingError
from dopamine_core.types import EpisodeInfo, EpisodeState, Outcome, OutcomeSource
from tests.core.episodes import bag_messages
from tests.core.episodes.hand_made import (
    MS,
    decision,
    info,
    joints,
    pair,
    potential,
    stamp,
    ticks,
)

N = 12
END = stamp(N - 1) + 40 * MS
QUICK = RecorderConfig(min_free_bytes=0)


def pair_messages(k: float) -> PairMessages:
    frames = pair(k)
    return PairMessages(
        frames.key,
        bag_messages.image(contents.FRONT_IMAGE, frames.front),
        bag_messages.image(contents.WRIST_IMAGE, frames.wrist),
    )


def new_tape(path: Path, config: TapeConfig | None = None) -> EpisodeTape:
    recorder = EpisodeRecorder(path, QUICK)
    opened = info(state=EpisodeState.OPEN)
    return EpisodeTape(recorder, opened, config or TapeConfig(), KeyframeConfig())


def record(path: Path, closed: EpisodeInfo | None = None, **tape_settings: bool) -> EpisodeTape:
    """Feed a tape as the node does; every third pair is one that no decision names."""
    tape = new_tape(path, TapeConfig(**tape_settings))
    opened = info(state=EpisodeState.OPEN)
    tape.on_episode(opened, bag_messages.episode(opened))
    for tick in ticks(N + 1):
        tape.on_command(tick, bag_messages.command(tick))
    for k in range(N):
        tape.on_pair(pair_messages(k))
        tape.on_pair(pair_messages(k + 0.5))
        tape.on_joints(bag_messages.joints(joints(k)))
        tape.on_decision(decision(k), bag_messages.decision(decision(k)))
        answer = potential(k, k / N)
        tape.on_potential(answer, bag_messages.potential(answer))
    closed = closed or info(end_ns=END, success_ns=END)
    tape.on_episode(closed, bag_messages.episode(closed))
    tape.finish()
    return tape


def test_what_is_recorded_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    record(path)
    episode = load_episode(path)
    assert episode.decisions == tuple(decision(k) for k in range(N))
    assert episode.pairs == tuple(pair(k) for k in range(N))
    assert episode.info == dataclasses.replace(info(end_ns=END, success_ns=END), bag_path=str(path))
    np.testing.assert_allclose(episode.actions[:-1, 0], 0.005)
    for k, answer in enumerate(episode.potentials):
        assert answer is not None and answer.model == potential(k, 0.0).model
        assert answer.potential == pytest.approx(k / N)
    assert [j.stamp_ns for j in episode.joints if j] == [joints(k).stamp_ns for k in range(N)]
    assert episode.keyframes[0] == 0 and episode.keyframes[-1] == N - 1


def test_only_the_frames_that_decisions_name_are_recorded(tmp_path: Path) -> None:
    record(tmp_path / "named.mcap")
    record(tmp_path / "every.mcap", every_frame=True)

    def frames(name: str) -> int:
        messages = read_bag(tmp_path / name).messages
        return sum(m.channel.topic == contents.FRONT_IMAGE for m in messages)

    assert frames("named.mcap") == N
    assert frames("every.mcap") == 2 * N
    assert load_episode(tmp_path / "every.mcap").pairs == tuple(pair(k) for k in range(N))


def test_a_decision_may_come_before_its_frames(tmp_path: Path) -> None:
    tape = new_tape(tmp_path / "e1.mcap")
    opened = info(state=EpisodeState.OPEN)
    tape.on_episode(opened, bag_messages.episode(opened))
    tape.on_decision(decision(0), bag_messages.decision(decision(0)))
    tape.on_pair(pair_messages(0))
    tape.finish()
    assert load_episode(tmp_path / "e1.mcap").pairs == (pair(0),)


def test_stock_tools_open_it(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    record(path)
    count = len(read_bag(path).messages)
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        assert summary.statistics.message_count == count
        records = {record.name: record.metadata for record in reader.iter_metadata()}
    assert records["episode"]["task"] == "insert the peg"
    assert records["episode"]["kept"] == "true"
    assert records["keyframes"]["decisions"].startswith("0,")
    assert sum(1 for _ in read_ros2_messages(str(path))) == count
    store = get_typestore(Stores.ROS2_JAZZY)
    with AnyReader([path], default_typestore=store) as stock:
        decoded = [stock.deserialize(raw, c.msgtype) for c, _, raw in stock.messages()]
    assert len(decoded) == count


def test_it_is_ready_when_all_labels_came_or_in_the_end(tmp_path: Path) -> None:
    tape = new_tape(tmp_path / "e1.mcap", TapeConfig(late_labels_s=3.0))
    for k in range(2):
        tape.on_pair(pair_messages(k))
        tape.on_decision(decision(k), bag_messages.decision(decision(k)))
    assert not tape.ready(END)  # still open
    closed = info(end_ns=END, outcome=Outcome.TIME_LIMIT, source=OutcomeSource.TIMER)
    tape.on_episode(closed, bag_messages.episode(closed))
    for k in range(2):
        assert not tape.ready(END + 1000 * MS)
        answer = potential(k, 0.1)
        tape.on_potential(answer, bag_messages.potential(answer))
    assert not tape.ready(END + 1000 * MS)  # the transition's terms are missing
    tape.on_reward("e1", 0, bag_messages.decision(decision(0)))
    assert not tape.ready(END + 100 * MS)
    assert tape.ready(END + 300 * MS)
    tape.abandon()


def test_it_waits_no_longer_than_told(tmp_path: Path) -> None:
    tape = new_tape(tmp_path / "e1.mcap", TapeConfig(late_labels_s=3.0))
    tape.on_decision(decision(0), bag_messages.decision(decision(0)))
    closed = info(end_ns=END, outcome=Outcome.TIME_LIMIT, source=OutcomeSource.TIMER)
    tape.on_episode(closed, bag_messages.episode(closed))
    assert not tape.ready(END + 2999 * MS)
    assert tape.ready(END + 3000 * MS)
    tape.abandon()


def test_a_correction_goes_into_the_finished_file(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    record(path)
    before = read_bag(path)
    failed = relabelled(info(end_ns=END, success_ns=END), Outcome.FAILURE, END + 1)
    amend(path, [bag_messages.episode(failed)], {"episode": contents.episode_record(failed)})
    assert load_episode(path).info.outcome is Outcome.FAILURE
    assert read_bag(path).messages[:-1] == before.messages
    assert read_bag(path).metadata["episode"]["outcome"] == "failure"
    assert list(tmp_path.iterdir()) == [path]


def test_a_demonstration(tmp_path: Path) -> None:
    record(tmp_path / "e1.mcap")
    demonstration = load_demonstration(tmp_path / "e1.mcap")
    assert demonstration.task == "insert the peg" and len(demonstration.pairs) == N
    assert demonstration.keyframes[0] == 0 and demonstration.keyframes[-1] == N - 1
    np.testing.assert_array_equal(demonstration.gripper, np.zeros(N))


def test_frames_after_success_are_no_goal(tmp_path: Path) -> None:
    record(tmp_path / "e1.mcap", info(end_ns=END, success_ns=stamp(7)))
    assert load_demonstration(tmp_path / "e1.mcap").pairs[-1] == pair(7)


@pytest.mark.parametrize(
    "closed",
    [
        info(end_ns=END, outcome=Outcome.DISCARDED),
        info(end_ns=END, outcome=Outcome.TIME_LIMIT, source=OutcomeSource.TIMER),
    ],
)
def test_what_was_not_kept_is_no_demonstration(tmp_path: Path, closed: EpisodeInfo) -> None:
    record(tmp_path / "e1.mcap", closed)
    with pytest.raises(DemonstrationError, match="kept"):
        load_demonstration(tmp_path / "e1.mcap")


def test_a_recording_without_a_close_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    tape = new_tape(path)
    opened = info(state=EpisodeState.OPEN)
    tape.on_episode(opened, bag_messages.episode(opened))
    for k in range(3):
        tape.on_pair(pair_messages(k))
        tape.on_decision(decision(k), bag_messages.decision(decision(k)))
    tape.finish()
    episode = load_episode(path)
    assert episode.info.truncated and episode.info.outcome is Outcome.UNKNOWN
    assert len(episode) == 3 and "without a close" in episode.info.text


def test_a_bag_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    recorder = EpisodeRecorder(path, QUICK)
    recorder.write(bag_messages.joints(joints(0)))
    recorder.finish()
    with pytest.raises(RecordingError, match="no message on 'episode'"):
        load_episode(path)


def test_a_message_of_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    recorder = EpisodeRecorder(path, QUICK)
    good = bag_messages.episode(info(end_ns=END))
    recorder.write(BagMessage(good.channel, good.data[:30], good.log_ns, good.publish_ns))
    recorder.finish()
    with pytest.raises(RecordingError, match="'episode'"):
        load_episode(path)
