"""What Robometer is told and shown."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.reward.robometer import prompt as prompts
from dopamine_core.reward.robometer.images import read_frame
from dopamine_core.reward.robometer.prompt import RobometerPrompt, own_prompt, read_official
from dopamine_core.reward.vlm.views import shown_size
from dopamine_core.types import EncodedImage

LIMITS = (4096, 2**24)
SOURCE = """
def _process_progress_batch(self, samples):
    prompt = f"Do '{sample.task}' now."
    content = [{"type": "text", "text": prompt}]

def _process_preference_batch(self, samples):
    prompt = f"Compare '{sample.task}'."
    if self.prog_pref:
        task_prompt = f" And say how far."
        prompt += task_prompt
    content = [{"type": "text", "text": prompt}, {"type": "text", "text": "One. "}]
    content.extend([{"type": "text", "text": "<|split_token|>"}, {"type": "text", "text": "Two. "}])
    content.append({"type": "text", "text": "Well?"})
    content.append({"type": "text", "text": "<|pref_token|>"})
"""
READ = RobometerPrompt(
    "official", "Do '{task}' now.", "Compare '{task}'. And say how far.One. ", "Two. ", "Well?"
)


def test_pictures_are_numbered_and_end_with_the_progress_token() -> None:
    parts = READ.progress_parts("lift {it}", 3)
    assert parts == [
        "Do 'lift {it}' now.Picture 1: ",
        "<|prog_token|>Picture 2: ",
        "<|prog_token|>Picture 3: ",
        "<|prog_token|>",
    ]


def test_two_clips_are_split_and_their_numbers_go_on() -> None:
    assert READ.preference_parts("lift", 2, 1) == [
        "Compare 'lift'. And say how far.One. Picture 1: ",
        "<|prog_token|>Picture 2: ",
        "<|prog_token|><|split_token|>Two. Picture 3: ",
        "<|prog_token|>Well?<|pref_token|>",
    ]


def test_our_words_name_the_task_and_hold_no_tokens() -> None:
    words = own_prompt()
    assert "{task}" in words.progress and "{task}" in words.first
    assert not any("<|" in text for text in (words.progress, words.first, words.second, words.last))


def test_words_are_read_from_source_that_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rbm_heads.py"
    path.write_text("raise SystemExit\n" + SOURCE)
    monkeypatch.setattr(prompts, "OFFICIAL_SHA256", READ.sha256)
    assert read_official(path) == READ


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        "",
        "def f(:",
        SOURCE.replace("task_prompt =", "other ="),
        SOURCE.replace('"Well?"', "well"),
    ],
)
def test_other_words_are_not_the_official_ones(tmp_path: Path, source: str) -> None:
    path = tmp_path / "rbm_heads.py"
    path.write_text(source)
    with pytest.raises(ModelError, match="published words"):
        read_official(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent.py"):
        read_official(tmp_path / "absent.py")


@pytest.mark.parametrize(
    ("size", "shown"),
    [((320, 240), (320, 256)), ((640, 480), (640, 480)), ((427, 240), (416, 256))],
)
def test_published_sizes(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert shown_size(*size, *LIMITS) == shown


def test_sides_are_rounded_as_the_base_model_does() -> None:
    rng = np.random.default_rng(0)
    for width, height in rng.integers(40, 3000, (300, 2)).tolist():
        for limits in (LIMITS, (60_000, 90_000)):
            expected = smart_resize(height, width, 32, *limits)
            assert shown_size(width, height, *limits) == expected[::-1]


def test_a_frame_is_brought_to_its_short_edge_then_rounded() -> None:
    assert read_frame(png(640, 480), 240, *LIMITS).shape == (256, 320, 3)
    assert read_frame(png(160, 120), 240, *LIMITS).shape == (256, 320, 3)
    assert read_frame(png(640, 480), 0, *LIMITS).shape == (480, 640, 3)


def test_a_frame_of_the_right_size_is_not_touched() -> None:
    image = png(64, 96)
    assert np.array_equal(read_frame(image, 0, *LIMITS), read_frame(image, 64, *LIMITS))
    assert np.array_equal(
        read_frame(image, 0, *LIMITS), np.asarray(Image.open(io.BytesIO(image.data)))
    )


def test_a_strip_cannot_be_shown() -> None:
    with pytest.raises(ImageError, match="factor of 200"):
        read_frame(png(2010, 10), 0, *LIMITS)


def png(width: int, height: int) -> EncodedImage:
    rgb = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return EncodedImage(1, "png", buffer.getvalue(), width, height)
