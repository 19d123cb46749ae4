"""A camera's video comes in, chosen frames go out as JPEG files; and frames go back into a video."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import DemonstrationError
from dopamine_core.frames.codec import encode
from dopamine_core.types import EncodedImage

_CODEC = "libx264"
_PIXELS = "yuv420p"  # what every player and the official tools read


def save_frames(video: Path, ids: Collection[int], name_of: dict[int, Path]) -> int:
    """Decode a video once and write some of its frames.

    :param ids: frame indices; those past the end are left for the caller to notice.
    :param name_of: file of each index.
    :returns: number of frames in the video.
    :raises DemonstrationError: when it cannot be opened or decoded to its end.
    """
    count = 0
    try:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                if count in ids:
                    name_of[count].write_bytes(_jpeg(frame.to_ndarray(format="rgb24")).data)
                count += 1
    except (av.error.FFmpegError, IndexError) as error:
        raise DemonstrationError(
            expected=f"a readable video {video}",
            got=f"{type(error).__name__} after {count} frames: {error}",
            remedy="copy the file again or leave the episode out",
        ) from error
    return count


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], rate_hz: float) -> None:
    """Write frames as H.264; odd sides lose their last row or column, which the format cannot hold.

    :param frames: (H, W, 3) uint8 RGB each, all alike.
    """
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        stream = container.add_stream(_CODEC, rate=Fraction(rate_hz).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, _PIXELS
        for pixels in frames:
            even = np.ascontiguousarray(pixels[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())


def _jpeg(pixels: NDArray[np.uint8]) -> EncodedImage:
    return encode(pixels, stamp_ns=1)
