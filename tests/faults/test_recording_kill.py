"""A recording process is killed with -9: at most the last second is lost, and stock tools open the rest."""

from __future__ import annotations

import dataclasses
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from dopamine_core.episodes.bag import PARTIAL, BagContent, read_bag, rewrite
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.episodes.recorder import EpisodeRecorder, RecorderConfig
from dopamine_core.episodes.recovery import recover_folder
from dopamine_core.errors import RecordingError
from tests.core.episodes import bag_messages
from tests.core.episodes.hand_made import info, joints

ROOT = Path(__file__).resolve().parents[2]
QUICK = RecorderConfig(min_free_bytes=0)


def start(path: Path, *arguments: str, limit: Callable[[], None] | None = None) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.recording_process", str(path), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


def kill_after(path: Path, seconds: float) -> int:
    """Kill a recording process in the middle of its work; give the moment."""
    process = start(path)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    killed_ns = time.time_ns()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return killed_ns


@pytest.mark.parametrize("seconds", [1.3, 2.05])
def test_a_kill_costs_at_most_the_last_second(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "e1.mcap"
    killed_ns = kill_after(path, seconds)
    assert not path.exists()  # no half-written file claims to be whole

    [recovery] = recover_folder(tmp_path)
    assert recovery.path == path and list(tmp_path.iterdir()) == [path]
    messages = read_bag(path).messages
    lost_s = (killed_ns - messages[-1].log_ns) / 1e9
    print(f"lost to kill -9: {lost_s:.3f} s")
    assert 0.0 <= lost_s <= 1.0

    with path.open("rb") as file:
        summary = make_reader(file, validate_crcs=True).get_summary()
        assert summary is not None and summary.statistics is not None
        assert summary.statistics.message_count == len(messages)
    with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as stock:
        decoded = [stock.deserialize(raw, c.msgtype) for c, _, raw in stock.messages()]
    assert len(decoded) == len(messages)
    assert load_episode(path).info.truncated
    assert recover_folder(tmp_path) == []


def test_a_torn_tail_is_dropped(tmp_path: Path) -> None:
    """As after a power cut: the last chunk is half written, or holds other bytes."""
    path = tmp_path / "e1.mcap"
    kill_after(path, 1.2)
    partial = path.with_name(path.name + PARTIAL)
    whole = partial.read_bytes()
    for torn in (whole[:-100], whole[:-100] + bytes(100)):
        partial.write_bytes(torn)
        [recovery] = recover_folder(tmp_path)
        assert recovery.messages > 10
        assert len(read_bag(path).messages) == recovery.messages
        path.unlink()


def test_a_recovery_that_was_killed_itself_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    kill_after(path, 1.2)
    (tmp_path / "e1.mcap.rewrite.partial").write_bytes(b"\x89MCAP0\r\nhalf a copy")
    [recovery] = recover_folder(tmp_path)
    assert recovery.messages > 10 and list(tmp_path.iterdir()) == [path]


def test_an_empty_recording_leaves_nothing(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path / "e1.mcap", QUICK)
    recorder.abandon()
    [recovery] = recover_folder(tmp_path)
    assert recovery.messages == 0 and "nothing" in recovery.text
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_recovered_is_named_and_left(tmp_path: Path) -> None:
    partial = tmp_path / f"e1.mcap{PARTIAL}"
    partial.write_bytes(b"no recording at all")
    [recovery] = recover_folder(tmp_path)
    assert "cannot be recovered" in recovery.text and partial.exists()


def test_a_missing_folder_needs_no_recovery(tmp_path: Path) -> None:
    assert recover_folder(tmp_path / "none") == []


def test_a_full_disk_is_a_named_error_and_what_came_before_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"

    def limit() -> None:
        # The kernel refuses to let any file grow further, as a full disk does.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = start(path, limit=limit)
    said, _ = process.communicate(timeout=60)
    [error] = [line for line in said.splitlines() if line.startswith("error")]
    assert "to write" in error and "free space" in error
    assert process.returncode == 0 and not path.exists()
    [recovery] = recover_folder(tmp_path)
    assert recovery.messages > 50


def test_an_unwritable_place_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordingError, match="to write"):
        EpisodeRecorder(tmp_path / "file" / "episodes" / "e1.mcap", QUICK)


def test_too_little_space_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="free"):
        EpisodeRecorder(tmp_path / "e1.mcap", RecorderConfig(min_free_bytes=10**18))


def test_a_message_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    recorder = EpisodeRecorder(path, QUICK)
    good = bag_messages.joints(joints(0))
    recorder.write(bag_messages.episode(info()))
    recorder.write(dataclasses.replace(good, publish_ns=-5))  # a bag has no negative times
    recorder.write(good)
    with pytest.raises(RecordingError, match="can be written"):
        recorder.finish()
    assert not path.exists()


def test_a_finished_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    recorder = EpisodeRecorder(path, QUICK)
    recorder.write(bag_messages.joints(joints(0)))
    recorder.finish()
    with pytest.raises(RecordingError, match="exists"):
        EpisodeRecorder(path, QUICK)


def test_a_failed_rewrite_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e1.mcap"
    recorder = EpisodeRecorder(path, QUICK)
    recorder.write(bag_messages.episode(info()))
    recorder.finish()
    before = path.read_bytes()

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RecordingError, match="No space"):
        rewrite(BagContent(read_bag(path).messages * 2, {}, True), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: b"", "other bytes"),
        (lambda data: b"something else entirely", "other bytes"),
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: data[:-20], "damaged"),
        (lambda data: data[:300] + bytes(50) + data[350:], "damaged"),
        (lambda data: data[:9] + b"\xff" * 8 + data[17:], "damaged"),
    ],
)
def test_a_corrupt_bag_is_a_named_error(
    tmp_path: Path, spoil: Callable[[bytes], bytes], said: str
) -> None:
    path = tmp_path / "e1.mcap"
    recorder = EpisodeRecorder(path, QUICK)
    recorder.write(bag_messages.episode(info()))
    recorder.finish()
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(RecordingError, match=said):
        load_episode(path)


def test_a_missing_bag_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="MCAP"):
        load_episode(tmp_path / "none.mcap")


def test_no_flipped_byte_raises_anything_but_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "e1.mcap"
    recorder = EpisodeRecorder(path, QUICK)
    recorder.write(bag_messages.episode(info(end_ns=1)))
    recorder.write(bag_messages.joints(joints(0)))
    recorder.finish()
    whole = path.read_bytes()
    draw = random.Random(7)
    refused = 0
    for _ in range(300):
        at = draw.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([draw.randrange(256)]) + whole[at + 1 :])
        try:
            load_episode(path)
        except RecordingError:
            refused += 1
    assert refused > 150
