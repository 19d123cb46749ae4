"""Frames of an episode come in, the video that Qwen3-VL is shown goes out: one frame a second, in pairs.

A video's frames are cut into patches two by two; before each pair stands its time in the text. The numbers are those
of the image processor, whose images are pairs of equal frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from dopamine_core.frames.codec import decode
from dopamine_core.reward.clips import spread
from dopamine_core.reward.vlm.views import shown_size
from dopamine_core.types import EncodedImage

PAIR = 2  # frames of a patch
VIDEO_PAD = "<|video_pad|>"
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Video:
    """A video as the vision tower reads it."""

    pixels: torch.Tensor  # (t * h * w, D) float32, patches in merge order
    grid: tuple[int, int, int]  # t pairs, h, w in patches
    merge: int  # patches per token along one side
    rate_hz: float

    @property
    def tokens(self) -> int:
        """Tokens that stand for one pair of frames."""
        return self.grid[1] * self.grid[2] // self.merge**2

    @property
    def text(self) -> str:
        """What stands in the message: each pair's middle time in seconds, then its tokens."""
        shown = f"<|vision_start|>{VIDEO_PAD * self.tokens}<|vision_end|>"
        middles = [(PAIR * k + (PAIR - 1) / 2) / self.rate_hz for k in range(self.grid[0])]
        return "".join(f"<{middle:.1f} seconds>{shown}" for middle in middles)


def at_rate(stamps_ns: Sequence[int], rate_hz: float, limit: int) -> list[int]:
    """Choose frames at a rate, counted back from the newest; where they are too many, spread over all of these.

    :param stamps_ns: in order of time, at least one; a clock that was set back counts as standing still.
    :param limit: most frames, at least 1.
    :returns: increasing indices, the newest frame last.
    """
    times_s = np.maximum.accumulate(np.asarray(stamps_ns, np.int64) - stamps_ns[0]) / _SECOND_NS
    steps = round(float(times_s[-1]) * rate_hz)
    wanted_s = times_s[-1] - np.arange(steps, 0, -1) / rate_hz
    nearest = [int(np.abs(times_s - wanted).argmin()) for wanted in wanted_s]
    chosen = sorted({*nearest, len(stamps_ns) - 1})
    return [chosen[k] for k in spread(len(chosen), limit)]


def read_video(
    images: Sequence[EncodedImage],
    image_processor: Any,
    *,
    rate_hz: float,
    min_pixels: int,
    max_pixels: int,
) -> Video:
    """Decode frames, bring them to one size and cut them into patches; an odd last frame is repeated.

    :param images: in order of time, at least one.
    :param rate_hz: frames a second that the text names.
    :param min_pixels: smallest frame shown.
    :param max_pixels: largest frame shown.
    :raises ImageError: when bytes cannot be decoded, or one side is more than 200 times the other.
    """
    rgb = [decode(image) for image in images]
    height, width = rgb[0].shape[:2]
    size = shown_size(width, height, min_pixels, max_pixels)
    frames = [_resized(one, size) for one in rgb]
    frames += frames[-1:] * (len(frames) % PAIR)
    pixels, grid = patches_of(torch.stack(frames), image_processor)
    return Video(pixels, grid, image_processor.merge_size, rate_hz)


def _resized(rgb: NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """Resize one frame to (width, height) as videos are: (3, h, w) float32, whole numbers 0 ... 255."""
    pixels = torch.from_numpy(rgb).permute(2, 0, 1).float()
    if pixels.shape[1:] == size[::-1]:
        return pixels
    fitted = functional.interpolate(
        pixels[None], size=size[::-1], mode="bicubic", antialias=True, align_corners=False
    )
    return fitted[0].clamp(0.0, 255.0).round()


def patches_of(
    frames: torch.Tensor, image_processor: Any
) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """Scale, normalise and cut frames into patches of two frames, neighbours that are merged side by side.

    :param frames: (T, 3, H, W) float32, 0 ... 255; T even, sides multiples of the merged patch.
    :returns: patches (t * h * w, 3 * 2 * p * p), and t, h, w.
    """
    patch, merge = image_processor.patch_size, image_processor.merge_size
    mean = torch.tensor(image_processor.image_mean).view(3, 1, 1)
    deviation = torch.tensor(image_processor.image_std).view(3, 1, 1)
    scaled = (frames * image_processor.rescale_factor - mean) / deviation
    pairs, (height, width) = len(frames) // PAIR, frames.shape[-2:]
    rows, columns = height // patch, width // patch
    cut = scaled.reshape(
        pairs, PAIR, 3, rows // merge, merge, patch, columns // merge, merge, patch
    )
    ordered = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return ordered.reshape(pairs * rows * columns, -1), (pairs, rows, columns)
