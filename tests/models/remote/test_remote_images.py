"""Images: bytes within the limits go as they came, others are brought to them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dopamine_core.errors import ImageError
from dopamine_core.frames.codec import encode, from_compressed
from dopamine_core.reward.remote.images import data_url, fitted
from dopamine_core.types import EncodedImage
from tests.core.reward.toy_model import bar_image

JPEG = encode(bar_image(0.5, 64, 48), 1)


def png() -> EncodedImage:
    buffer = io.BytesIO()
    Image.fromarray(bar_image(0.5, 64, 48)).save(buffer, "PNG")
    return EncodedImage(1, "png", buffer.getvalue(), 64, 48)


def sent(image: EncodedImage, *limits: int, jpeg: bool = False) -> EncodedImage:
    url = data_url(image, *limits, jpeg=jpeg)
    return from_compressed(url.kind, base64.b64decode(url.base64), 1)


def test_bytes_within_the_limits_go_as_they_came() -> None:
    assert sent(JPEG).data == JPEG.data
    assert sent(JPEG, 64 * 48, 64 * 48).data == JPEG.data
    assert sent(png()).data == png().data and sent(png()).format == "png"


def test_others_are_brought_to_the_limits() -> None:
    small, large = sent(JPEG, 0, 800), sent(JPEG, 10_000)
    assert (small.width, small.height) == (32, 24)
    assert (large.width, large.height) == (116, 87)
    assert sent(png(), 0, 800).format == "jpeg"
    assert sent(png(), jpeg=True).format == "jpeg"


def test_what_the_bytes_are_is_read_from_them() -> None:
    lying = EncodedImage(1, "png", JPEG.data, 10_000, 10_000)
    assert sent(lying, 0, 5000).data == JPEG.data
    assert data_url(lying).kind == "jpeg"


@pytest.mark.parametrize("data", [b"", b"junk", JPEG.data[:200], JPEG.data[: len(JPEG.data) * 3 // 4]])
def test_bytes_that_are_no_whole_image_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        data_url(EncodedImage(1, "jpeg", data, 64, 48))


def test_a_cut_photograph_is_refused() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    whole = encode(rgb, 1)
    assert data_url(whole).kind == "jpeg"
    with pytest.raises(ImageError):
        data_url(EncodedImage(1, "jpeg", whole.data[: len(whole.data) // 2], 640, 480))


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_limits_are_kept(width: int, height: int, low: int, span: int) -> None:
    high = low + span if span else 0
    wide, tall = fitted((width, height), low, high)
    assert wide >= 1 and tall >= 1
    assert not high or wide * tall <= high or width * height < low
    assert width * height >= low or wide * tall >= low
    assert fitted((wide, tall), 0, high if width * height >= low else 0) == (wide, tall)
