"""The thread that finishes recordings: a defect around one of them costs none of the later ones."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dopamine_core.episodes import tape as tapes
from dopamine_core.episodes.keyframes import KeyframeConfig
from dopamine_core.episodes.recorder import RecorderConfig
from dopamine_core.episodes.recovery import recover_folder
from dopamine_core.episodes.tape import TapeConfig
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState, Outcome, OutcomeSource
from dopamine_demo_node.recording import Finished, Recording
from tests.ros.command_graph import wait_until


def recorded(recording: Recording, folder: Path, name: str) -> Finished:
    """Open and close an episode; give how its recording ended."""
    now_ns, path = time.time_ns(), str(folder / f"{name}.mcap")
    words = (name, EpisodeState.OPEN, EpisodeKind.DEMONSTRATION, "t", now_ns, now_ns)
    opened = EpisodeInfo(*words, bag_path=path)
    recording.begin(opened)
    recording.on_episode(opened)
    recording.on_episode(
        EpisodeInfo(
            name,
            EpisodeState.CLOSED,
            EpisodeKind.DEMONSTRATION,
            "t",
            now_ns + 1,
            now_ns,
            now_ns + 1,
            Outcome.DISCARDED,
            OutcomeSource.OPERATOR,
            bag_path=path,
        )
    )
    wait_until(lambda: recording.result(name) is not None, f"the end of {name}", 10.0)
    finished = recording.result(name)
    assert finished is not None
    return finished


def make(told: list[Finished]) -> Recording:
    def on_finished(finished: Finished) -> None:
        told.append(finished)
        if len(told) == 1:
            raise RuntimeError("a defect in who is told")

    return Recording(
        now_ns=time.time_ns,
        recorder=RecorderConfig(min_free_bytes=0),
        tape=TapeConfig(settle_s=0.0, late_labels_s=0.0),
        keyframes=KeyframeConfig(),
        on_finished=on_finished,
    )


def test_who_is_told_may_fail(tmp_path: Path) -> None:
    told: list[Finished] = []
    recording = make(told)
    assert recorded(recording, tmp_path, "e1").path is not None
    assert recorded(recording, tmp_path, "e2").path is not None
    recording.stop()
    assert [finished.info.episode_id for finished in told] == ["e1", "e2"]


def test_a_defect_while_finishing_leaves_the_file_for_recovery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = make([])
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise ZeroDivisionError("a defect in the keyframes")

        patch.setattr(tapes, "find_keyframes", fail)
        broken = recorded(recording, tmp_path, "e1")
    assert broken.path is None and "recovered at the next start" in broken.text
    assert recorded(recording, tmp_path, "e2").path is not None
    recording.stop()
    [recovery] = recover_folder(tmp_path)
    assert recovery.path.name == "e1.mcap" and recovery.messages >= 1


def test_a_correction_of_a_file_that_somebody_removed_is_named(tmp_path: Path) -> None:
    told: list[Finished] = []
    recording = make(told)
    first = recorded(recording, tmp_path, "e1")
    assert first.path is not None
    first.path.unlink()
    recording.on_episode(first.info)  # as a correction: its recording has ended
    wait_until(lambda: len(told) == 2, "the answer", 10.0)
    assert "e1.mcap" in told[1].text
    assert recorded(recording, tmp_path, "e2").path is not None
    recording.stop()
