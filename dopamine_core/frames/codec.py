"""Camera pixels come in, JPEG bytes go out and back: the one preprocessing path.

Model, policy and training all decode the same bytes by the same function.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dopamine_core.errors import ImageError
from dopamine_core.types import EncodedImage

JPEG_QUALITY = 90
CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "yuv422": 2, "yuv422_yuy2": 2}
COMPRESSED_FORMATS = ("jpeg", "png")
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def encode(rgb: NDArray[np.uint8], stamp_ns: int, quality: int = JPEG_QUALITY) -> EncodedImage:
    """Encode one frame as JPEG.

    :param rgb: (H, W, 3) uint8, RGB order.
    :param stamp_ns: stamp that the camera gave, > 0.
    :param quality: JPEG quality in [1, 95].
    :raises ImageError: when the array is not (H, W, 3) uint8.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ImageError(
            expected="an (H, W, 3) uint8 array",
            got=f"{rgb.shape} {rgb.dtype}",
            remedy="convert raw images with from_raw first",
        )
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "JPEG", quality=quality)
    height, width = rgb.shape[:2]
    return EncodedImage(stamp_ns, "jpeg", buffer.getvalue(), width, height)


def decode(image: EncodedImage, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode a frame; the same bytes and size always give the same pixels.

    :param image: encoded frame.
    :param size: (width, height) in pixels, or None for the stored size.
    :returns: (h, w, 3) uint8, RGB order.
    :raises ImageError: when the bytes are not a readable image.
    """
    try:
        opened = Image.open(io.BytesIO(image.data))
        if size is not None and opened.format == "JPEG":
            opened.draft("RGB", size)  # lets the JPEG decoder skip detail: 2-4 times faster
        pixels = opened.convert("RGB")
    except _UNREADABLE as error:
        raise _unreadable(image.format, len(image.data), error) from error
    if size is not None and pixels.size != size:
        pixels = pixels.resize(size, Image.Resampling.BOX)
    return np.array(pixels, dtype=np.uint8)  # (h, w, 3)


def from_compressed(format_text: str, data: bytes, stamp_ns: int) -> EncodedImage:
    """Take a camera's own compressed frame as it is; only its header is read.

    :param format_text: ``sensor_msgs/CompressedImage.format``, e.g. ``"jpeg"`` or
        ``"rgb8; jpeg compressed bgr8"``; used in messages only.
    :param data: JPEG or PNG bytes.
    :param stamp_ns: stamp that the camera gave.
    :raises ImageError: when the bytes are neither JPEG nor PNG.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            kind, (width, height) = str(opened.format).lower(), opened.size
    except _UNREADABLE as error:
        raise _unreadable(format_text, len(data), error) from error
    if kind not in COMPRESSED_FORMATS:
        raise ImageError(
            expected="a compressed image in jpeg or png",
            got=f"{kind} (announced as {format_text!r})",
            remedy="set the camera's image_transport format to jpeg",
        )
    return EncodedImage(stamp_ns, kind, bytes(data), width, height)


def from_raw(
    encoding: str, width: int, height: int, step: int, data: bytes | memoryview | NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Turn the fields of a ``sensor_msgs/Image`` into RGB.

    :param encoding: rgb8, bgr8, rgba8, bgra8, mono8, yuv422 (UYVY) or yuv422_yuy2 (YUYV).
    :param width: pixels per row; even for the yuv422 encodings.
    :param height: rows.
    :param step: bytes per row, padding included.
    :param data: at least ``step * height`` bytes.
    :returns: (H, W, 3) uint8, RGB order.
    :raises ImageError: on unknown encodings, or when width, step and data do not fit together.
    """
    flat = np.frombuffer(data, dtype=np.uint8)
    check_raw(encoding, width, height, step, flat.size)
    row = width * CHANNELS[encoding]
    rows = flat[: step * height].reshape(height, step)[:, :row]  # padding cut off
    pixels = rows.reshape(height, width, CHANNELS[encoding])
    if encoding == "mono8":
        return np.repeat(pixels, 3, axis=2)
    if encoding == "yuv422":
        return _yuv_to_rgb(pixels[..., 1], pixels[:, 0::2, 0], pixels[:, 1::2, 0])
    if encoding == "yuv422_yuy2":
        return _yuv_to_rgb(pixels[..., 0], pixels[:, 0::2, 1], pixels[:, 1::2, 1])
    return np.ascontiguousarray(pixels[..., 2::-1] if encoding[0] == "b" else pixels[..., :3])


def check_raw(encoding: str, width: int, height: int, step: int, size: int) -> None:
    """Check the fields of a raw image without touching its pixels; ``size`` in bytes.

    :raises ImageError: on unknown encodings, or when the fields contradict each other.
    """
    if encoding not in CHANNELS:
        raise ImageError(
            expected=f"an encoding of {', '.join(CHANNELS)}",
            got=repr(encoding),
            remedy="set the camera driver's colour format to one of them",
        )
    row = width * CHANNELS[encoding]
    odd = encoding.startswith("yuv422") and width % 2 == 1
    if width <= 0 or height <= 0 or odd or step < row or size < step * height:
        raise ImageError(
            expected=f"{encoding}: step >= {row}, step * height bytes, an even width for yuv",
            got=f"{width}x{height}, step {step}, {size} bytes",
            remedy="check the camera driver: the message contradicts itself",
        )


def _yuv_to_rgb(
    luma: NDArray[np.uint8], blue: NDArray[np.uint8], red: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Convert BT.601 video-range Y (H, W), U and V (H, W / 2) in 8-bit fixed point."""
    y = (luma.astype(np.int32) - 16) * 298 + 128  # (H, W); 298 / 256 = 255 / 219
    u = blue.astype(np.int32) - 128  # (H, W / 2)
    v = red.astype(np.int32) - 128
    rgb = np.empty((*luma.shape, 3), np.uint8)  # (H, W, 3)
    for channel, chroma in enumerate((409 * v, -100 * u - 208 * v, 516 * u)):
        rgb[..., channel] = np.clip((y + np.repeat(chroma, 2, axis=1)) >> 8, 0, 255)
    return rgb


def _unreadable(kind: str, size: int, error: Exception) -> ImageError:
    return ImageError(
        expected="readable JPEG or PNG bytes",
        got=f"{size} bytes of {kind!r} that do not open ({error})",
        remedy="check the camera or the recording: the frame is cut or corrupt",
    )
