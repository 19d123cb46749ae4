"""The video that RoboReward is shown, against transformers' own numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

from dopamine_core.errors import ImageError
from dopamine_core.reward.roboreward.video import Video, at_rate, patches_of, read_video
from dopamine_core.types import EncodedImage
from tests.models.tiny_qwen import write_qwen3

LIMITS = {"min_pixels": 128 * 32**2, "max_pixels": 768 * 32**2}
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> object:
    return AutoImageProcessor.from_pretrained(write_qwen3(tmp_path_factory.mktemp("qwen")))


def frames(count: int, width: int = 96, height: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3), np.uint8)


def png(rgb: np.ndarray, stamp_ns: int = 1) -> EncodedImage:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return EncodedImage(stamp_ns, "png", buffer.getvalue(), rgb.shape[1], rgb.shape[0])


def shown_alone(rgb: np.ndarray, processor: object) -> torch.Tensor:
    """The image processor's patches: (N, 3, 2, 16, 16), both frames of a patch the same."""
    made = processor(images=[rgb], do_resize=False, return_tensors="pt")  # type: ignore[operator]
    return made["pixel_values"].reshape(-1, 3, 2, 16, 16)


def test_each_frame_of_a_pair_has_the_image_processors_numbers(processor: object) -> None:
    rgb = frames(4)
    patches, grid = patches_of(torch.from_numpy(rgb).permute(0, 3, 1, 2).float(), processor)
    assert grid == (2, 4, 6) and patches.shape == (48, 1536)
    pairs = patches.reshape(2, 24, 3, 2, 16, 16)
    for k, one in enumerate(rgb):
        alone = shown_alone(one, processor)[:, :, 0]
        torch.testing.assert_close(pairs[k // 2, :, :, k % 2], alone, atol=1e-6, rtol=0)


def test_an_image_is_a_pair_of_equal_frames(processor: object) -> None:
    rgb = frames(1)[0]
    twice = torch.from_numpy(np.stack([rgb, rgb])).permute(0, 3, 1, 2).float()
    alone = shown_alone(rgb, processor).reshape(-1, 1536)
    torch.testing.assert_close(patches_of(twice, processor)[0], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("count", "rate_hz"), [(2, 1.0), (6, 1.0), (8, 2.0), (4, 0.5), (6, 3.0)])
def test_times_are_those_that_the_library_writes(count: int, rate_hz: float) -> None:
    video = Video(torch.empty(0), (count // 2, 2, 4), 2, rate_hz)
    times = Qwen3VLProcessor._calculate_timestamps(None, list(range(count)), rate_hz, 2)
    pads = "<|vision_start|><|video_pad|><|video_pad|><|vision_end|>"
    assert video.text == "".join(f"<{time:.1f} seconds>{pads}" for time in times)


def test_an_odd_frame_is_repeated(processor: object) -> None:
    images = [png(rgb) for rgb in frames(3)]
    odd = read_video(images, processor, rate_hz=1.0, **LIMITS)
    even = read_video([*images, images[-1]], processor, rate_hz=1.0, **LIMITS)
    assert odd.grid == even.grid and odd.grid[0] == 2
    assert torch.equal(odd.pixels, even.pixels)
    assert read_video(images[:1], processor, rate_hz=1.0, **LIMITS).grid[0] == 1


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((640, 480), (30, 40)),
        ((320, 240), (20, 28)),
        ((128, 96), (20, 28)),
        ((1280, 960), (48, 64)),
        ((1920, 1080), (40, 72)),
    ],
)
def test_a_frame_has_128_to_768_tokens(
    processor: object, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    video = read_video([png(frames(1, *size)[0])], processor, rate_hz=1.0, **LIMITS)
    assert video.grid == (1, *grid)
    assert 128 <= video.tokens <= 768


def test_frames_of_different_sizes_are_brought_to_the_first_ones(processor: object) -> None:
    video = read_video(
        [png(frames(1)[0]), png(frames(1, 64, 64)[0])], processor, rate_hz=1.0, **LIMITS
    )
    assert video.grid[0] == 1


def test_junk_is_no_frame(processor: object) -> None:
    with pytest.raises(ImageError):
        read_video([EncodedImage(1, "png", b"junk", 1, 1)], processor, rate_hz=1.0, **LIMITS)


TEN_HZ = [k * SECOND // 10 for k in range(31)]
CHOSEN = {
    "one a second, back from the newest": (TEN_HZ, 1.0, 32, [0, 10, 20, 30]),
    "the newest is shown": (TEN_HZ[:26], 1.0, 32, [5, 15, 25]),
    "two a second": (TEN_HZ[:11], 2.0, 32, [0, 5, 10]),
    "no more than there are": (TEN_HZ[:4], 30.0, 32, [0, 1, 2, 3]),
    "too many are spread": (TEN_HZ, 10.0, 4, [0, 10, 20, 30]),
    "one frame": (TEN_HZ[:1], 1.0, 32, [0]),
    "less than a period": (TEN_HZ[:4], 1.0, 32, [3]),
    "a gap": ([0, SECOND, 9 * SECOND], 1.0, 32, [0, 1, 2]),
    "a clock set back stands still": ([5 * SECOND, 6 * SECOND, SECOND], 1.0, 32, [0, 2]),
}


@pytest.mark.parametrize("case", CHOSEN)
def test_frames_are_chosen_by_their_stamps(case: str) -> None:
    stamps, rate_hz, limit, expected = CHOSEN[case]
    assert at_rate(stamps, rate_hz, limit) == expected


def test_the_newest_frame_is_always_last() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        stamps = np.cumsum(rng.integers(0, 2 * SECOND, rng.integers(1, 40))).tolist()
        chosen = at_rate(stamps, float(rng.uniform(0.1, 5.0)), int(rng.integers(1, 20)))
        assert chosen[-1] == len(stamps) - 1
        assert all(a < b for a, b in zip(chosen, chosen[1:], strict=False))
