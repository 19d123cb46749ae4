"""An encoded frame comes in, pixels of the size that Robometer was trained on go out, then patches.

Training stored frames with a short edge of 240 pixels (area interpolation), and showed them with sides rounded to
multiples of 32 (bicubic) without any other resizing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dopamine_core.errors import ImageError
from dopamine_core.frames.codec import decode
from dopamine_core.reward.vlm.sequence import Patches
from dopamine_core.types import EncodedImage

FACTOR = 32  # pixels per token along one side
_LONGEST = 200  # sides may differ by this factor


def read_frame(
    image: EncodedImage, short_edge: int, min_pixels: int, max_pixels: int
) -> NDArray[np.uint8]:
    """Decode a frame and bring it to the size that is shown.

    :param short_edge: in pixels; 0 leaves the camera's size.
    :param min_pixels: smallest image shown.
    :param max_pixels: largest image shown.
    :returns: (h, w, 3) uint8, sides multiples of 32.
    :raises ImageError: when the bytes cannot be decoded, or one side is 200 times the other.
    """
    pixels = Image.fromarray(decode(image))
    width, height = pixels.size
    if max(width, height) > _LONGEST * min(width, height):
        raise ImageError(
            expected=f"an image whose sides differ by less than a factor of {_LONGEST}",
            got=f"{width} x {height}",
            remedy="crop the camera image",
        )
    if short_edge:
        scale = short_edge / min(width, height)
        area = Image.Resampling.BOX if scale < 1.0 else Image.Resampling.BILINEAR
        pixels = pixels.resize((int(width * scale), int(height * scale)), area)
    width, height = shown_size(*pixels.size, min_pixels, max_pixels)
    return np.asarray(pixels.resize((width, height), Image.Resampling.BICUBIC))


def shown_size(width: int, height: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Round both sides to multiples of 32, and keep the area within its limits.

    :returns: (width, height).
    """
    sides = [max(FACTOR, round(side / FACTOR) * FACTOR) for side in (width, height)]
    area = sides[0] * sides[1]
    if min_pixels <= area <= max_pixels:
        return sides[0], sides[1]
    target, turn = (max_pixels, math.floor) if area > max_pixels else (min_pixels, math.ceil)
    share = math.sqrt(target / (width * height))
    sides = [max(FACTOR, turn(side * share / FACTOR) * FACTOR) for side in (width, height)]
    return sides[0], sides[1]


def patches_of(rgb: NDArray[np.uint8], image_processor: Any) -> Patches:
    """Cut pixels into patches without resizing them.

    :param rgb: (h, w, 3) uint8, sides multiples of 32.
    """
    made = image_processor(
        images=[rgb], do_resize=False, return_tensors="pt", input_data_format="channels_last"
    )
    _, height, width = (int(n) for n in made["image_grid_thw"][0])
    return Patches(made["pixel_values"].float(), (1, height, width), image_processor.merge_size)
