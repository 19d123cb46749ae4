"""Camera frames come in, data URLs within the pixel limits go out."""

from __future__ import annotations

import math
from base64 import b64encode
from dataclasses import dataclass

from dopamine_core.frames.codec import decode, encode, from_compressed
from dopamine_core.types import EncodedImage

_PROBE = 8  # a frame is proved readable at an eighth of its size, which JPEG decodes fast


@dataclass(frozen=True)
class DataUrl:
    """An image as a request carries it.

    :param kind: ``jpeg`` or ``png``.
    :param base64: its bytes.
    """

    kind: str
    base64: str

    @property
    def url(self) -> str:
        """``data:image/...;base64,...``."""
        return f"data:image/{self.kind};base64,{self.base64}"


def data_url(image: EncodedImage, min_pixels: int = 0, max_pixels: int = 0, jpeg: bool = False) -> DataUrl:
    """Turn a frame into a data URL; bytes within the limits go as they came.

    :param image: frame; what its bytes are is read from them, not from what it says.
    :param min_pixels: fewer are scaled up; 0: no limit.
    :param max_pixels: more are scaled down; 0: no limit.
    :param jpeg: encode a PNG anew.
    :raises ImageError: when the bytes are no readable image.
    """
    real = from_compressed(image.format, image.data, image.stamp_ns)
    size = fitted((real.width, real.height), min_pixels, max_pixels)
    if size != (real.width, real.height) or (jpeg and real.format != "jpeg"):
        real = encode(decode(real, size), image.stamp_ns)
    else:
        decode(real, (max(1, size[0] // _PROBE), max(1, size[1] // _PROBE)))  # a cut frame is found here
    return DataUrl(real.format, b64encode(real.data).decode("ascii"))


def fitted(size: tuple[int, int], min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Return the size within the limits that keeps the shape.

    :param size: (width, height), each >= 1.
    :param min_pixels: 0: no limit.
    :param max_pixels: 0: no limit; else at least ``min_pixels``.
    :returns: the same size when it is within them; a limit is kept exactly, the shape to a pixel.
    """
    width, height = size
    area = width * height
    if max_pixels and area > max_pixels:
        scale = math.sqrt(max_pixels / area)
        wide = max(1, min(math.floor(width * scale), max_pixels))
        return wide, max(1, min(math.floor(height * scale), max_pixels // wide))
    if area < min_pixels:
        scale = math.sqrt(min_pixels / area)
        return math.ceil(width * scale), math.ceil(height * scale)
    return size
