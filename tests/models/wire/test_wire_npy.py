"""The .npy reader: what numpy writes comes back; what else comes is refused before anything is allocated."""

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.errors import WireError
from dopamine_core.reward.wire.limits import WireLimits, WireSizeError
from dopamine_core.reward.wire.npy import from_npy, to_npy

LIMITS = WireLimits()
FRAMES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


def saved(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def headed(header: str, pixels: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A file with a header of our choice."""
    text = header.encode("latin-1")
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + text + pixels


def test_frames_come_back() -> None:
    assert np.array_equal(from_npy(to_npy(FRAMES), "part", LIMITS, 8), FRAMES)


def test_column_order_comes_back() -> None:
    assert np.array_equal(from_npy(saved(np.asfortranarray(FRAMES)), "part", LIMITS, 8), FRAMES)


def test_a_header_of_version_two_is_read() -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4, 3), }\n"
    read = from_npy(headed(header, FRAMES.tobytes(), b"\x02\x00"), "part", LIMITS, 8)
    assert np.array_equal(read, FRAMES)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"GIF89a" + bytes(40), "GIF89a"),
        (to_npy(FRAMES)[:-1], "71"),
        (to_npy(FRAMES) + b"x", "73"),
        (to_npy(FRAMES)[:40], "header"),
        (saved(FRAMES.astype(np.float32)), "f4"),
        (saved(FRAMES.astype(np.int64)), "i8"),
        (saved(np.array([{"a": 1}], dtype=object), True), r"\|O"),
        (saved(FRAMES[0]), r"\(3, 4, 3\)"),
        (saved(FRAMES.transpose(0, 3, 1, 2).copy()), "channels last"),
        (saved(FRAMES[:0]), r"\(0, 3, 4, 3\)"),
        (headed("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 4, 4, 3)}"), "-1"),
        (headed("{'descr': '|u1', 'fortran_order': False, 'shape': (True, 4, 4, 3)}"), "True"),
        (headed("{'descr': '|u1', 'fortran_order': False}"), "without"),
        (headed("(" * 900), "unreadable"),
        (headed("__import__('os')"), "unreadable"),
        (headed(" " * 2000), "2000 bytes"),
        (headed("{}", version=b"\x09\x00"), "NUMPY"),
    ],
)
def test_other_files_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        from_npy(content, "part", LIMITS, 8)


@pytest.mark.parametrize("shape", [(9, 3, 4, 3), (1, 5000, 5000, 3), (10**6, 10**6, 10**6, 3)])
def test_a_header_that_promises_too_much_allocates_nothing(shape: tuple[int, ...]) -> None:
    bomb = headed(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}")
    tracemalloc.start()
    with pytest.raises(WireSizeError):
        from_npy(bomb, "part", LIMITS, 8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_byte_is_a_named_error_or_other_pixels(data: st.DataObject) -> None:
    content = bytearray(to_npy(FRAMES))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        read = from_npy(bytes(content), "part", LIMITS, 8)
    except WireError:
        return
    assert read.size == FRAMES.size and read.dtype == np.uint8


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_named_error(content: bytes) -> None:
    with pytest.raises(WireError):
        from_npy(content, "part", LIMITS, 8)
