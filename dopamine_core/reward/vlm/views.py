"""Which camera's image a model is shown, and in which size; shared by models on Qwen3-VL that see one camera."""

from __future__ import annotations

import math

from dopamine_core.errors import ImageError
from dopamine_core.types import EncodedImage, FramePair

FACTOR = 32  # pixels per token along one side
_LONGEST = 200  # sides may differ by this factor


def camera_image(pair: FramePair, camera: str) -> EncodedImage:
    """Return one camera's image of a pair.

    :param camera: ``front`` or ``wrist``.
    :raises ImageError: when it has no bytes; another camera never stands in for it.
    """
    image: EncodedImage = getattr(pair, camera)
    if not image.data:
        raise ImageError(
            expected=f"a {camera} image",
            got="no bytes",
            remedy=f"is the {camera} camera publishing? Else choose another one (setting camera)",
        )
    return image


def shown_size(width: int, height: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Round both sides to multiples of 32, and keep the area within its limits.

    :returns: (width, height).
    :raises ImageError: when one side is more than 200 times the other.
    """
    if max(width, height) > _LONGEST * min(width, height):
        raise ImageError(
            expected=f"an image whose sides differ by less than a factor of {_LONGEST}",
            got=f"{width} x {height}",
            remedy="crop the camera image",
        )
    sides = [max(FACTOR, round(side / FACTOR) * FACTOR) for side in (width, height)]
    area = sides[0] * sides[1]
    if min_pixels <= area <= max_pixels:
        return sides[0], sides[1]
    target, turn = (max_pixels, math.floor) if area > max_pixels else (min_pixels, math.ceil)
    share = math.sqrt(target / (width * height))
    sides = [max(FACTOR, turn(side * share / FACTOR) * FACTOR) for side in (width, height)]
    return sides[0], sides[1]
