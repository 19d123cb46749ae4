"""Hop data of episodes: what is made, what is left out, and that nothing is there in part."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dopamine_core.episodes.dataset import load_demonstration
from dopamine_core.errors import DemonstrationError, LearnerError
from dopamine_core.reward.grm.official_data import (
    CAMERAS,
    Segment,
    check_images,
    check_prompt,
    read_items,
    read_segments,
    read_tasks,
)
from dopamine_core.reward.grm.prompt import own_prompt
from dopamine_core.reward.grm.training_at_scale import hop_data
from dopamine_core.reward.grm.training_at_scale.episode_folders import write_episode_folders
from dopamine_core.reward.grm.training_at_scale.hop_data import HopDataConfig, make_hop_data
from tests.core.episodes.test_dataset import record
from tests.models.grm.at_scale.tiny_episodes import SEGMENTS, TASKS, frame, write_episode

CONFIG = HopDataConfig(pairs=40, chunk=5, seed=3)


def make(paths, out, config=CONFIG):
    return make_hop_data(paths, out, own_prompt(), config)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for number in (1, 2):
        write_episode(folder / f"episode_{number:03d}")
    return folder


@pytest.fixture(scope="module")
def made(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "data"
    return out, make([raw], out)


def place(path: str) -> tuple[str, str, int]:
    episode, camera, name = path.split("/")
    return episode, camera, int(name[6:12])


def test_items_show_what_they_say(made):
    out, summary = made
    items = read_items(out / "hop_data.json")
    check_images(items, out)
    check_prompt(items, own_prompt())
    assert summary.items == len(items) == 80 and not summary.left_out
    assert {item.task for item in items} == set(TASKS)
    for item in items:
        start, goal, *moments = map(place, item.images)
        assert start[1:] == ("cam_high", 2) and goal[1:] == ("cam_high", 28)
        assert start[0] == goal[0]
        assert [camera for _, camera, _ in moments] == [*CAMERAS, *CAMERAS]
        assert len({k for *_, k in moments[:3]}) == len({k for *_, k in moments[3:]}) == 1
        assert len({episode for episode, *_ in moments}) == 1
        before, after = moments[0][2], moments[3][2]
        assert np.sign(item.hop) == np.sign(after - before) or (item.hop == 0 and abs(after - before) <= 1)


def test_frames_are_those_of_the_video(made):
    out, _ = made
    files = sorted((out / "episode_001").glob("cam_*/*.jpg"))
    assert files
    for path in files:
        _, camera, k = place(path.relative_to(out).as_posix())
        shown = np.asarray(Image.open(path), np.float64)
        assert np.abs(shown - frame(k, CAMERAS.index(camera))).mean() < 4.0


def test_references_are_swapped_as_often_as_asked(raw, made, tmp_path):
    out, summary = made
    items = read_items(out / "hop_data.json")
    swapped = [place(item.images[0])[0] != place(item.images[2])[0] for item in items]
    assert sum(swapped) == summary.swapped
    assert 0.6 <= np.mean(swapped) <= 0.9
    alone = make([raw / "episode_001"], tmp_path / "one")
    assert alone.swapped == 0
    never = make([raw], tmp_path / "never", dataclasses.replace(CONFIG, swap_probability=0.0))
    assert never.swapped == 0


def test_another_task_lends_no_references(raw, tmp_path):
    other = write_episode(tmp_path / "other" / "episode_003", tasks=("fold the towel",))
    summary = make([raw / "episode_001", other], tmp_path / "out")
    assert summary.swapped == 0 and summary.items == 80


def test_the_seed_decides(raw, made, tmp_path):
    _, first = made
    again = make([raw], tmp_path / "again")
    other = make([raw], tmp_path / "other", dataclasses.replace(CONFIG, seed=4))
    assert again == first
    assert other.items_sha256 != first.items_sha256


def test_an_episode_keeps_its_pairs_when_others_join(raw, made, tmp_path):
    make([raw / "episode_002"], tmp_path / "alone")
    both, alone = (
        json.loads((root / "episode_002/episode.json").read_text())["pairs"] for root in (made[0], tmp_path / "alone")
    )
    assert both == alone


def test_a_second_run_continues(raw, tmp_path):
    out = tmp_path / "out"
    (out / ".episode_001-killed/cam_high").mkdir(parents=True)
    make([raw / "episode_001"], out)
    assert not (out / ".episode_001-killed").exists()
    before = (out / "episode_001/episode.json").stat().st_mtime_ns
    summary = make([raw], out)
    assert summary.items == 80
    assert (out / "episode_001/episode.json").stat().st_mtime_ns == before
    make([raw], out, dataclasses.replace(CONFIG, chunk=4))
    assert (out / "episode_001/episode.json").stat().st_mtime_ns != before


def test_missing_cameras_are_filled(tmp_path):
    front = write_episode(tmp_path / "a/episode_001", cameras=CAMERAS[:1])
    right = write_episode(tmp_path / "b/episode_002", cameras=(CAMERAS[0], CAMERAS[2]))
    make([front], tmp_path / "front")
    make([right], tmp_path / "right")
    items = read_items(tmp_path / "front/hop_data.json")
    assert {place(image)[1] for item in items for image in item.images} == {"cam_high"}
    slots = [place(image)[1] for image in read_items(tmp_path / "right/hop_data.json")[0].images]
    assert slots[2:] == ["cam_high", "cam_right_wrist", "cam_right_wrist"] * 2


def test_views_are_dropped_as_often_as_asked(raw, tmp_path):
    make([raw], tmp_path, dataclasses.replace(CONFIG, view_dropout=0.5))
    shown = [tuple(place(image)[1] for image in item.images[2:]) for item in read_items(tmp_path / "hop_data.json")]
    assert set(shown) == {("cam_high",) * 6, CAMERAS * 2}
    assert 0.3 <= np.mean([views == ("cam_high",) * 6 for views in shown]) <= 0.7


def cut(folder: Path) -> None:
    (folder / "cam_high.mp4").write_bytes((folder / "cam_high.mp4").read_bytes()[:500])


def shorten(folder: Path) -> None:
    shutil.copy(write_episode(folder.parent / "short", frames=29) / "cam_left_wrist.mp4", folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "cam_high.mp4").unlink(), "front camera's video"),
        (lambda folder: (folder / "annotated_keyframes.json").unlink(), "annotated_keyframes.json"),
        (lambda folder: (folder / "task_instruction.json").unlink(), "task_instruction.json"),
        (cut, "a readable video"),
        (shorten, "cam_high 30 frames, cam_left_wrist 29 frames"),
    ],
)
def test_a_damaged_episode_is_left_out_and_named(tmp_path, damage, said):
    folder = write_episode(tmp_path / "bad" / "episode_001")
    good = write_episode(tmp_path / "good" / "episode_002")
    damage(folder)
    summary = make([folder, good], tmp_path / "out")
    (left,) = summary.left_out
    assert (left.episode, left.kind) == ("episode_001", "DemonstrationError")
    assert said in left.text
    assert set(summary.episodes) == {"episode_002"}
    assert not [p for p in (tmp_path / "out").iterdir() if "episode_001" in p.name]
    assert json.loads((tmp_path / "out/summary.json").read_text())["left_out"][0]["text"] == left.text


def test_keyframes_past_the_end_are_named(tmp_path):
    write_episode(tmp_path / "episode_001", segments=(*SEGMENTS, Segment("place", 28, 30)))
    with pytest.raises(DemonstrationError, match="keyframes below 30"):
        make([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out/hop_data.json").exists()


def test_too_few_states_are_named(tmp_path):
    write_episode(tmp_path / "episode_001", segments=SEGMENTS[:1])
    with pytest.raises(DemonstrationError, match="at least 3 states"):
        make([tmp_path], tmp_path / "out", dataclasses.replace(CONFIG, chunk=20))


def test_a_path_without_episodes_is_named(tmp_path):
    with pytest.raises(DemonstrationError, match="an MCAP recording or an episode folder"):
        make([tmp_path], tmp_path / "out")


def test_a_foreign_folder_is_not_replaced(raw, tmp_path):
    (tmp_path / "out/episode_001").mkdir(parents=True)
    (tmp_path / "out/episode_001/thesis.txt").write_text("mine")
    with pytest.raises(LearnerError, match="choose another folder"):
        make([raw], tmp_path / "out")
    assert (tmp_path / "out/episode_001/thesis.txt").exists()


def test_an_interrupted_run_leaves_nothing_in_part(raw, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(hop_data, "filled", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make([raw], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_recordings_give_their_frames_as_they_are(tmp_path):
    record(tmp_path / "e1.mcap")
    demonstration = load_demonstration(tmp_path / "e1.mcap")
    config = dataclasses.replace(CONFIG, chunk=2, pairs=20)
    summary = make([tmp_path / "e1.mcap"], tmp_path / "out", config)
    items = read_items(tmp_path / "out/hop_data.json")
    assert summary.items == len(items) > 0
    assert {item.task for item in items} == {"insert the peg"}
    for item in items:
        _, _, k = place(item.images[2])
        assert (tmp_path / "out" / item.images[2]).read_bytes() == demonstration.pairs[k].front.data
        assert (tmp_path / "out" / item.images[3]).read_bytes() == demonstration.pairs[k].wrist.data
        assert item.images[4] == item.images[3]  # one wrist camera stands in both slots


def test_recordings_become_official_folders_and_hop_data_again(tmp_path):
    record(tmp_path / "e1.mcap")
    demonstration = load_demonstration(tmp_path / "e1.mcap")
    (tmp_path / "broken.mcap").write_bytes(b"no bag")
    other = write_episode(tmp_path / "other/episode_009")
    written, left_out = write_episode_folders([tmp_path, other], tmp_path / "folders")
    folder = tmp_path / "folders/episode_001"
    assert written == {str(tmp_path / "e1.mcap"): folder}
    assert [(one.episode, one.kind) for one in left_out] == [
        ("broken", "RecordingError"),
        ("episode_009", "DemonstrationError"),
    ]
    assert read_tasks(folder) == (demonstration.task,)
    assert json.loads((tmp_path / "folders/task_instruction.json").read_text()) == [demonstration.task]
    marks = demonstration.keyframes
    assert [(s.start, s.end) for s in read_segments(folder)] == list(zip(marks[:-1], marks[1:], strict=True))
    config = dataclasses.replace(CONFIG, chunk=2, pairs=20)
    ours = make([tmp_path / "e1.mcap"], tmp_path / "ours", config)
    through = make([folder], tmp_path / "through", config)
    assert through.episodes["episode_001"] == ours.episodes["e1"]
    with pytest.raises(LearnerError, match="to write a new .*episode_001"):
        write_episode_folders([tmp_path], tmp_path / "folders")
    with pytest.raises(DemonstrationError, match="at least one usable episode of 1"):
        write_episode_folders([tmp_path / "broken.mcap"], tmp_path / "none")
