"""The query's words and images: order, filling, and prompts from files known by their hash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.grm import prompt as prompt_module
from dopamine_core.reward.grm.prompt import GrmPrompt, own_prompt, read_prompt
from dopamine_core.reward.grm.views import SLOTS, eight_images, three_views
from dopamine_core.types import EncodedImage, FramePair

MISSING = EncodedImage(0, "", b"", 0, 0)


def pair(number: int, wrist: bool = True) -> FramePair:
    front, held = (encode(np.full((8, 8, 3), number + k, np.uint8), 1) for k in (0, 100))
    return FramePair(front, held if wrist else MISSING)


def test_eight_images_in_their_order() -> None:
    start, goal, before, after = (pair(n) for n in (1, 2, 3, 4))
    images = eight_images(start, goal, before, after)
    assert len(images) == len(SLOTS) == 8
    assert images == (
        *(start.front, goal.front),
        *(before.front, before.wrist, before.wrist),
        *(after.front, after.wrist, after.wrist),
    )


def test_without_a_wrist_camera_the_front_image_fills() -> None:
    only_front = pair(3, wrist=False)
    assert three_views(only_front) == (only_front.front,) * 3


def test_without_a_front_image_there_is_no_query() -> None:
    with pytest.raises(ImageError, match="front"):
        three_views(FramePair(MISSING, pair(1).wrist))


def test_own_prompt_puts_every_word_before_the_images_but_their_names() -> None:
    parts = own_prompt().parts("lift the {red} block")
    assert len(parts) == 9 and "lift the {red} block" in parts[0]
    assert all("lift" not in part and len(part) < 20 for part in parts[1:])


def test_a_task_may_hold_anything_printable() -> None:
    task = "put <image> on {task} 100 % {0}"
    parts = own_prompt().parts(task)
    assert len(parts) == 9 and task in parts[0]


def test_official_prompt_is_known_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\nJudge `{task}`: " + "<image> " * 8 + "again `{task}`\n"
    published = GrmPrompt("official", text)
    monkeypatch.setattr(prompt_module, "OFFICIAL_SHA256", published.sha256)
    script = tmp_path / "inference.py"
    script.write_text(f'import os\nSYSTEM_PROMPT = """{text}"""\nraise SystemExit("never run")\n')
    plain = tmp_path / "prompt.txt"
    plain.write_text(text, encoding="utf-8")
    assert read_prompt(script) == read_prompt(plain) == published
    plain.write_text(text + "x", encoding="utf-8")
    with pytest.raises(ModelError, match=published.sha256):
        read_prompt(plain)
    assert read_prompt(plain, official=False).name == "file"


@pytest.mark.parametrize(
    "content", ["SYSTEM_PROMPT = f()", "def x(:", "OTHER = 'a'"], ids=["call", "syntax", "absent"]
)
def test_a_script_without_the_prompt_is_refused(tmp_path: Path, content: str) -> None:
    script = tmp_path / "inference.py"
    script.write_text(content)
    with pytest.raises(ModelError, match="SYSTEM_PROMPT"):
        read_prompt(script)


def test_a_missing_file_and_a_prompt_without_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="none.txt"):
        read_prompt(tmp_path / "none.txt")
    with pytest.raises(ModelError, match="7 times <image>"):
        GrmPrompt("file", "{task}" + "<image>" * 7)
    with pytest.raises(ModelError, match="0 times {task}"):
        GrmPrompt("file", "<image>" * 8)
