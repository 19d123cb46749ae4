"""An episode's frames and progress in, one overlay video out: a growing curve above both cameras."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dopamine_core.errors import RecordingError
from dopamine_core.types import FramePair

VIEW = (480, 360)  # each camera, pixels
STRIP = 180  # height of the curve, pixels
SIZE = (VIEW[0] * 2, VIEW[1] + STRIP)
BACKGROUND, INK, GRID, CURVE, GOOD = "#14181f", "#e8edf4", "#39424f", "#4aa3ff", "#3ecf8e"


@dataclass(frozen=True)
class Clip:
    """What one stretch of the video shows.

    :param title: line above the curve.
    :param pairs: frames at decision rate; ``None`` where a frame was lost (the last one stays).
    :param progress: label-lane progress of each decision, ``None`` where there is no reading.
    :param success_at: index of the decision at which success was declared, if any.
    """

    title: str
    pairs: Sequence[FramePair | None]
    progress: Sequence[float | None]
    success_at: int | None = None


def write_overlay(path: Path, clips: Sequence[Clip], rate_hz: float = 10.0) -> int:
    """Encode the clips one after the other as H.264 in MP4.

    :param path: file to write.
    :param rate_hz: decisions, hence frames, per second.
    :returns: number of frames written.
    :raises RecordingError: when no clip holds a frame.
    """
    if not any(pair is not None for clip in clips for pair in clip.pairs):
        raise RecordingError(
            expected="an episode with recorded frames",
            got="none",
            remedy="record the rollouts (record:=true)",
        )
    count = 0
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
        stream.options = {"crf": "27", "preset": "veryfast"}
        for image in _images(clips):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            count += 1
        container.mux(stream.encode())
    return count


def draw(clip: Clip, index: int, pair: FramePair) -> NDArray[np.uint8]:
    """Draw one frame of the video.

    :returns: (540, 960, 3) uint8 rgb.
    """
    canvas = Image.new("RGB", SIZE, BACKGROUND)
    for column, image in enumerate((pair.front, pair.wrist)):
        view = (
            Image.open(io.BytesIO(image.data))
            .convert("RGB")
            .resize(VIEW, Image.Resampling.BILINEAR)
        )
        canvas.paste(view, (column * VIEW[0], STRIP))
    _draw_strip(ImageDraw.Draw(canvas), clip, index)
    return np.asarray(canvas)


def _images(clips: Sequence[Clip]) -> Iterator[NDArray[np.uint8]]:
    for clip in clips:
        last: FramePair | None = None
        for index, pair in enumerate(clip.pairs):
            last = pair or last
            if last is not None:
                yield draw(clip, index, last)
        if last is not None:
            # Stay on the last frame for a second, so that the outcome can be read.
            yield from [draw(clip, len(clip.pairs) - 1, last)] * 10


def _draw_strip(pen: ImageDraw.ImageDraw, clip: Clip, index: int) -> None:
    top, bottom, left, right = 46, STRIP - 18, 56, SIZE[0] - 24
    font, small = ImageFont.load_default(18), ImageFont.load_default(13)
    reading = clip.progress[index]
    text = "no reading" if reading is None else f"progress {reading:.2f}"
    pen.text((left, 14), clip.title, fill=INK, font=font)
    pen.text((right, 14), text, fill=CURVE, font=font, anchor="ra")
    for level in (0.0, 0.5, 1.0):
        y = bottom - level * (bottom - top)
        pen.line([(left, y), (right, y)], fill=GRID)
        pen.text((left - 10, y), f"{level:g}", fill=INK, font=small, anchor="rm")
    step = (right - left) / max(len(clip.progress) - 1, 1)
    if clip.success_at is not None and index >= clip.success_at:
        x = left + clip.success_at * step
        pen.line([(x, top), (x, bottom)], fill=GOOD, width=2)
        pen.text((x - 6, top + 2), "success", fill=GOOD, font=small, anchor="ra")
    for run in _runs(clip.progress[: index + 1]):
        points = [(left + i * step, bottom - value * (bottom - top)) for i, value in run]
        if len(points) > 1:
            pen.line(points, fill=CURVE, width=3, joint="curve")
        x, y = points[-1]
        pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=CURVE)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches of readings; a missing one breaks the curve."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, min(max(value, 0.0), 1.0)))
    return [run for run in runs if run]
