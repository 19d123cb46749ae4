"""The official trainer's files: what is written is read back, what is not whole is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dopamine_core.errors import DemonstrationError, LearnerError
from dopamine_core.reward.grm import official_data
from dopamine_core.reward.grm.official_data import (
    Segment,
    check_images,
    check_prompt,
    read_items,
    read_segments,
    read_tasks,
    sft_item,
    sft_question,
    write_annotations,
)
from dopamine_core.reward.grm.prompt import GrmPrompt, own_prompt

IMAGES = [f"episode_001/cam_high/frame_{k:06d}.jpg" for k in range(8)]
MARKS = " <image>" * 8


def item(**changes):
    row = sft_item("one", IMAGES, "stack {the} cups", 0.125, own_prompt()).as_json()
    return {**row, **changes}


def write(path: Path, content) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_an_item_has_the_official_shape():
    row = item()
    assert list(row) == ["id", "image", "task", "conversations"]
    human, gpt = row["conversations"]
    assert (human["from"], gpt) == ("human", {"from": "gpt", "value": "<score>+12.5%</score>"})
    assert human["value"].count("<image>") == 8 and "stack {the} cups" in human["value"]


def test_items_come_back_from_both_kinds_of_file(tmp_path):
    from_list = read_items(write(tmp_path / "a.json", [item(), item(id="two")]))
    lines = tmp_path / "b.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in (item(), item(id="two"))) + "\n")
    assert from_list == read_items(lines)
    assert [one.id for one in from_list] == ["one", "two"]
    assert from_list[0].hop == 0.125
    assert from_list[0].as_json() == item()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": IMAGES[:7]}, "7 images"),
        ({"image": "a.jpg"}, "no list of images"),
        ({"image": [*IMAGES[:7], 8]}, "8 images"),
        ({"task": None}, "id, task and values are texts"),
        ({"conversations": []}, "no SFT item"),
        ({"conversations": [{"from": "gpt", "value": ""}, {"from": "human", "value": ""}]}, "turn"),
        (
            {"conversations": [{"from": "human", "value": MARKS}, {"from": "gpt", "value": "<score>-25.0.0%</score>"}]},
            "answers '<score>-25.0.0%</score>'",
        ),
        (
            {"conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "<score>1%</score>"}]},
            "1 times <image>",
        ),
    ],
)
def test_an_item_that_is_not_whole_is_named(tmp_path, change, said):
    path = write(tmp_path / "a.json", [item(), item(**change)])
    with pytest.raises(LearnerError, match="1 that are not") as caught:
        read_items(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_file_without_items_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(LearnerError, match="a JSON list of SFT items"):
        read_items(path)


def test_missing_images_are_counted(tmp_path):
    (tmp_path / "episode_001/cam_high").mkdir(parents=True)
    for name in IMAGES[:6]:
        (tmp_path / name).write_bytes(b"x")
    items = read_items(write(tmp_path / "a.json", [item(), item()]))
    with pytest.raises(LearnerError, match="2 that are not.*frame_000006"):
        check_images(items, tmp_path)
    for name in IMAGES[6:]:
        (tmp_path / name).write_bytes(b"x")
    check_images(items, tmp_path)


def test_another_prompt_is_refused(tmp_path):
    items = read_items(write(tmp_path / "a.json", [item()]))
    check_prompt(items, own_prompt())
    with pytest.raises(LearnerError, match="another text in item 'one'"):
        check_prompt(items, GrmPrompt("file", "{task}" + MARKS))


def test_only_the_official_prompt_loses_its_back_ticks():
    text = "do `{task}`" + "<image>" * 8
    assert sft_question(GrmPrompt("official", text), "it").startswith("do it<image>")
    assert sft_question(GrmPrompt("file", text), "it").startswith("do `it`<image>")
    asked = sft_item("one", IMAGES, "it", 0.0, GrmPrompt("official", text))
    check_prompt([asked], GrmPrompt("official", text))


def test_annotations_come_back(tmp_path):
    segments = (Segment("reach", 8, 40), Segment("lift", 40, 75))
    write_annotations(tmp_path, segments, ["lift it", "pick it up"])
    assert read_segments(tmp_path) == segments
    assert read_tasks(tmp_path) == ("lift it", "pick it up")
    assert "anotation" in json.loads((tmp_path / official_data.KEYFRAMES_FILE).read_text())[0]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"start_frame_id": 5, "end_frame_id": 5}],
        [{"start_frame_id": -1, "end_frame_id": 5}],
        [{"start_frame_id": 0, "end_frame_id": 9}, {"start_frame_id": 8, "end_frame_id": 20}],
        [{"start_frame_id": 0.5, "end_frame_id": 9}],
        [{"start_frame_id": 0}],
        {"start_frame_id": 0},
    ],
)
def test_parts_that_make_no_episode_are_named(tmp_path, rows):
    write(tmp_path / official_data.KEYFRAMES_FILE, rows)
    with pytest.raises(DemonstrationError, match=official_data.KEYFRAMES_FILE):
        read_segments(tmp_path)


@pytest.mark.parametrize(
    ("content", "tasks"),
    [
        (["a", "b"], ("a", "b")),
        ({"instruction": "a"}, ("a",)),
        ({"instructions": ["a", "b"]}, ("a", "b")),
    ],
)
def test_tasks_are_read_in_every_official_form(tmp_path, content, tasks):
    (tmp_path / "episode_001").mkdir()
    write(tmp_path / official_data.TASK_FILE, content)
    assert read_tasks(tmp_path / "episode_001") == tasks


@pytest.mark.parametrize("content", [[], {}, 3, [""], ["an <image>"], ["a", None]])
def test_a_file_without_a_task_is_named(tmp_path, content):
    write(tmp_path / official_data.TASK_FILE, content)
    with pytest.raises(DemonstrationError, match="the task in"):
        read_tasks(tmp_path)
