"""A frame pair and its reading come in; both views over a progress bar go out as one picture."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dopamine_core.frames.codec import decode
from dopamine_core.types import FramePair, Reading

_VIEW = (320, 240)
_STRIP = 40


def annotate(pair: FramePair, reading: Reading, task: str) -> NDArray[np.uint8]:
    """Draw the picture.

    :returns: (280, 640, 3) uint8 RGB.
    :raises ImageError: when a view cannot be decoded.
    """
    width, height = 2 * _VIEW[0], _VIEW[1] + _STRIP
    canvas = Image.new("RGB", (width, height), (20, 20, 20))
    for column, view in enumerate((pair.front, pair.wrist)):
        canvas.paste(Image.fromarray(decode(view, _VIEW)), (column * _VIEW[0], 0))
    draw = ImageDraw.Draw(canvas)
    _draw_bar(draw, reading, width, height)
    draw.text((6, _VIEW[1] + 4), f"{task}  {_words(reading)}", fill=(255, 255, 255))
    return np.asarray(canvas, dtype=np.uint8)


def _draw_bar(draw: ImageDraw.ImageDraw, reading: Reading, width: int, height: int) -> None:
    share = 0.0 if math.isnan(reading.progress) else reading.progress
    colour = (int(255 * (1 - share)), int(200 * share), 30) if reading.ok else (110, 110, 110)
    top, bottom = height - 16, height - 6
    draw.rectangle((6, top, width - 6, bottom), outline=(90, 90, 90))
    draw.rectangle((6, top, 6 + share * (width - 12), bottom), fill=colour)


def _words(reading: Reading) -> str:
    if not reading.ok:
        return f"{reading.status.name} {reading.text}"[:100]
    incremental, forward, backward = reading.reading
    return (
        f"progress {reading.progress:.2f}  (incremental {incremental:.2f}, "
        f"forward {forward:.2f}, backward {backward:.2f})"
    )
