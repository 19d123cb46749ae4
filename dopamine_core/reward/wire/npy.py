"""Frames become the bytes of an ``.npy`` file and back; the header is checked before anything is allocated."""

from __future__ import annotations

import ast
import io
import math
from typing import Any

import numpy as np

from dopamine_core.errors import WireError
from dopamine_core.reward.wire.limits import WireLimits
from dopamine_core.reward.wire.values import Frames

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # major version -> bytes of the header's length
_LONGEST_HEADER = 1024  # one of a plain array has about 120 bytes
_NOT_A_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


def to_npy(frames: Frames) -> bytes:
    """Write frames (T, H, W, 3) as an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(frames), allow_pickle=False)
    return buffer.getvalue()


def from_npy(data: bytes | memoryview, name: str, limits: WireLimits, most: int) -> Frames:
    """Read frames; the result looks at ``data`` and copies nothing.

    Only uint8 arrays are read: pickled objects cannot be.

    :param name: of the part, for messages.
    :param most: frames allowed.
    :returns: (T, H, W, 3) uint8, read-only.
    :raises WireError: when it is no ``.npy`` file of such an array, or is cut.
    :raises WireSizeError: when the header announces more than the limits.
    """
    header, offset = _header(memoryview(data), name)
    shape = _shape(header, name)
    limits.check_shape(name, shape, most)
    size = math.prod(shape)
    if len(data) - offset != size:
        raise WireError(
            expected=f"{size} bytes of pixels in {name} for the shape {shape}",
            got=f"{len(data) - offset}",
            remedy="the upload is cut or its header is wrong: send it again",
        )
    order = "F" if header["fortran_order"] else "C"
    frames = np.ndarray(shape, np.uint8, buffer=data, offset=offset, order=order)
    frames.flags.writeable = False
    return frames


def _header(data: memoryview, name: str) -> tuple[dict[str, Any], int]:
    """Return the header's mapping and where the pixels begin."""
    start = bytes(data[:12])
    count = _LENGTH_BYTES.get(start[6]) if len(start) == 12 and start.startswith(_MAGIC) else None
    if count is None:
        raise _not_npy(name, f"{len(data)} bytes beginning with {start[:8]!r}")
    length = int.from_bytes(start[8 : 8 + count], "little")
    offset = 8 + count + length
    if length > _LONGEST_HEADER or offset > len(data):
        raise _not_npy(name, f"a header of {length} bytes in {len(data)}")
    try:
        header = ast.literal_eval(bytes(data[8 + count : offset]).decode("latin-1").strip())
    except _NOT_A_LITERAL as error:
        raise _not_npy(name, f"an unreadable header ({type(error).__name__})") from error
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise _not_npy(name, "a header without descr, fortran_order and shape")
    return header, offset


def _shape(header: dict[str, Any], name: str) -> tuple[int, ...]:
    if header["descr"] not in ("|u1", "u1", "<u1"):
        raise WireError(
            expected=f"{name} of dtype uint8",
            got=str(header["descr"])[:80],
            remedy="send pixels as uint8 in 0 .. 255",
        )
    shape = header["shape"]
    if not isinstance(shape, tuple) or not all(type(n) is int for n in shape):
        raise _not_npy(name, f"the shape {str(shape)[:80]}")
    return shape


def _not_npy(name: str, got: str) -> WireError:
    return WireError(
        expected=f"an .npy file of a uint8 array in {name}",
        got=got,
        remedy="write it with numpy.save(file, frames, allow_pickle=False)",
    )
