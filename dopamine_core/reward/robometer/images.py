"""An encoded frame comes in, pixels of the size that Robometer was trained on go out, then patches.

Training stored frames with a short edge of 240 pixels (area interpolation), and showed them with sides rounded to
multiples of 32 (bicubic) without any other resizing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dopamine_core.frames.codec import decode
from dopamine_core.reward.vlm.sequence import Patches
from dopamine_core.reward.vlm.views import shown_size
from dopamine_core.types import EncodedImage


def read_frame(
    image: EncodedImage, short_edge: int, min_pixels: int, max_pixels: int
) -> NDArray[np.uint8]:
    """Decode a frame and bring it to the size that is shown.

    :param short_edge: in pixels; 0 leaves the camera's size.
    :param min_pixels: smallest image shown.
    :param max_pixels: largest image shown.
    :returns: (h, w, 3) uint8, sides multiples of 32.
    :raises ImageError: when the bytes cannot be decoded, or one side is more than 200 times the other.
    """
    pixels = Image.fromarray(decode(image))
    size = shown_size(*pixels.size, min_pixels, max_pixels)
    if short_edge:
        width, height = pixels.size
        scale = short_edge / min(width, height)
        area = Image.Resampling.BOX if scale < 1.0 else Image.Resampling.BILINEAR
        pixels = pixels.resize((int(width * scale), int(height * scale)), area)
        size = shown_size(*pixels.size, min_pixels, max_pixels)
    return np.asarray(pixels.resize(size, Image.Resampling.BICUBIC))


def patches_of(rgb: NDArray[np.uint8], image_processor: Any) -> Patches:
    """Cut pixels into patches without resizing them.

    :param rgb: (h, w, 3) uint8, sides multiples of 32.
    """
    made = image_processor(
        images=[rgb], do_resize=False, return_tensors="pt", input_data_format="channels_last"
    )
    _, height, width = (int(n) for n in made["image_grid_thw"][0])
    return Patches(made["pixel_values"].float(), (1, height, width), image_processor.merge_size)
