"""The codec against references made by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from dopamine_core.errors import ImageError
from dopamine_core.frames.codec import decode, encode, from_compressed, from_raw

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
ROW = np.array([[RED, GREEN, BLUE, GREY]], np.uint8)  # (1, 4, 3)
# BT.601 video range, from the standard's table of colour bars
YUV_OF = {
    "white": ((235, 128, 128), (255, 255, 255)),
    "black": ((16, 128, 128), (0, 0, 0)),
    "red": ((81, 90, 240), (255, 0, 0)),
    "green": ((145, 54, 34), (0, 255, 0)),
    "blue": ((41, 240, 110), (0, 0, 255)),
}


@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", ROW, ROW),
        ("bgr8", ROW[..., ::-1], ROW),
        ("rgba8", np.dstack([ROW, np.full((1, 4), 7, np.uint8)]), ROW),
        ("bgra8", np.dstack([ROW[..., ::-1], np.full((1, 4), 7, np.uint8)]), ROW),
        (
            "mono8",
            np.array([[0, 9, 200, 255]], np.uint8),
            np.array([[[v] * 3 for v in (0, 9, 200, 255)]], np.uint8),
        ),
    ],
)
@pytest.mark.parametrize("padding", [0, 5])
def test_packed_encodings(
    encoding: str, pixels: np.ndarray, expected: np.ndarray, padding: int
) -> None:
    line = pixels.tobytes()
    data = (line + b"\xaa" * padding) * 2
    rgb = from_raw(encoding, 4, 2, len(line) + padding, data)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, np.vstack([expected, expected]))


@pytest.mark.parametrize("name", YUV_OF)
@pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2"])
def test_yuv_colour_bars(encoding: str, name: str) -> None:
    (y, u, v), expected = YUV_OF[name]
    four = (u, y, v, y) if encoding == "yuv422" else (y, u, y, v)
    rgb = from_raw(encoding, 2, 1, 4, bytes(four))
    assert np.abs(rgb.astype(int) - np.array(expected)).max() <= 3


def test_yuv_keeps_each_pixels_own_luma_and_pairs_share_chroma() -> None:
    uyvy = bytes((90, 81, 240, 235, 128, 16, 128, 235))
    rgb = from_raw("yuv422", 4, 1, 8, uyvy)
    assert rgb[0, 0].tolist()[0] > 250 > rgb[0, 0].tolist()[1]
    assert rgb[0, 2].tolist() == [0, 0, 0]
    assert rgb[0, 3].tolist() == [255, 255, 255]
    yuyv = bytes((81, 90, 235, 240, 16, 128, 235, 128))
    np.testing.assert_array_equal(from_raw("yuv422_yuy2", 4, 1, 8, yuyv), rgb)


@pytest.mark.parametrize(
    ("encoding", "width", "height", "step", "size", "named"),
    [
        ("bayer_rggb8", 4, 2, 4, 8, "bayer_rggb8"),
        ("rgb8", 4, 2, 11, 24, "step 11"),
        ("rgb8", 4, 2, 12, 23, "23 bytes"),
        ("yuv422", 3, 2, 6, 12, "3x2"),
        ("mono8", 0, 0, 0, 0, "0x0"),
    ],
)
def test_contradicting_messages_are_named(
    encoding: str, width: int, height: int, step: int, size: int, named: str
) -> None:
    with pytest.raises(ImageError, match=named):
        from_raw(encoding, width, height, step, bytes(size))


def smooth(width: int = 640, height: int = 480) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (np.dstack([x, y, (x + y) / 2]) * 255).astype(np.uint8)


def test_encode_then_decode_is_close_and_deterministic() -> None:
    rgb = smooth()
    image = encode(rgb, stamp_ns=42)
    assert (image.stamp_ns, image.format, image.width, image.height) == (42, "jpeg", 640, 480)
    assert np.abs(decode(image).astype(int) - rgb).mean() < 2.0
    assert image.data == encode(rgb, stamp_ns=42).data
    np.testing.assert_array_equal(decode(image, (160, 120)), decode(image, (160, 120)))


@pytest.mark.parametrize("size", [(160, 120), (96, 96), (128, 96), (640, 480), (800, 600)])
def test_shrinking_equals_the_mean_over_the_covered_pixels(size: tuple[int, int]) -> None:
    small = decode(encode(smooth(), 1), size)
    assert small.shape == (size[1], size[0], 3)
    assert np.abs(small.astype(int) - smooth(*size)).mean() < 2.5


def test_png_is_lossless_and_shrinks_too() -> None:
    buffer = io.BytesIO()
    Image.fromarray(smooth(64, 48)).save(buffer, "PNG")
    image = from_compressed("png", buffer.getvalue(), 5)
    assert (image.format, image.width, image.height) == ("png", 64, 48)
    np.testing.assert_array_equal(decode(image), smooth(64, 48))
    assert decode(image, (32, 24)).shape == (24, 32, 3)


def test_cut_and_foreign_bytes_are_named() -> None:
    image = encode(smooth(), 1)
    cut = from_compressed("jpeg", image.data[: len(image.data) // 2], 1)
    with pytest.raises(ImageError, match="cut or corrupt"):
        decode(cut, (160, 120))
    with pytest.raises(ImageError, match="do not open"):
        from_compressed("jpeg", b"no image", 1)
    buffer = io.BytesIO()
    Image.fromarray(smooth(8, 8)).save(buffer, "BMP")
    with pytest.raises(ImageError, match="bmp"):
        from_compressed("bmp", buffer.getvalue(), 1)
    with pytest.raises(ImageError, match="uint8"):
        encode(np.zeros((4, 4, 3), np.float32), 1)  # type: ignore[arg-type]
