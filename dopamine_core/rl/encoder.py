"""Frame pairs go in, frozen image features come out; name and hash travel with whatever was learned on them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
)

from dopamine_core.errors import LearnerError
from dopamine_core.frames.codec import decode
from dopamine_core.types import FramePair

_UNREADABLE = (OSError, Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, RuntimeError)


class FrozenEncoder:
    """Image features of both cameras by an ONNX file that no training ever touches.

    The file takes ``image`` (B, H, W, 3) uint8 and, if it knows cameras apart, ``view`` (B,) int64 (0 front,
    1 wrist); its output ``feature`` is (B, F).

    :param path: ONNX file.
    :param name: how people call it.
    :param sha256: wanted hash of the file; empty accepts any.
    :param threads: onnxruntime threads.
    :raises LearnerError: when the file cannot be loaded or has another hash.
    """

    def __init__(
        self, path: Path, *, name: str = "nano", sha256: str = "", threads: int = 1
    ) -> None:
        self.name = name
        data = _read(path)
        self.sha256 = hashlib.sha256(data).hexdigest()
        if sha256 and sha256 != self.sha256:
            raise LearnerError(
                expected=f"encoder {name} with hash {sha256[:12]}",
                got=f"{self.sha256[:12]} in {path.name}",
                remedy="restore the encoder the features were made with, or train again",
            )
        self._session = _open(data, path, threads)
        image = next((i for i in self._session.get_inputs() if i.name == "image"), None)
        outputs = [output.name for output in self._session.get_outputs()]
        if image is None or len(image.shape) != 4 or "feature" not in outputs:
            raise LearnerError(
                expected="an ONNX file with input 'image' (B, H, W, 3) and output 'feature'",
                got=f"{[i.name for i in self._session.get_inputs()]} -> {outputs}",
                remedy="export the encoder with these names",
            )
        self._size = (int(image.shape[2]), int(image.shape[1]))  # (width, height) px
        self._knows_views = any(i.name == "view" for i in self._session.get_inputs())
        self.sizes = self._measure()

    def features(self, pair: FramePair) -> NDArray[np.float32]:
        """Encode one pair, (F_front + F_wrist,).

        :raises ImageError: when a frame cannot be decoded.
        """
        return self.features_of(decode(pair.front, self._size), decode(pair.wrist, self._size))

    def features_of(
        self, front: NDArray[np.uint8], wrist: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Encode two decoded frames (H, W, 3) of the encoder's size."""
        feeds = {"image": np.stack([front, wrist])}
        if self._knows_views:
            feeds["view"] = np.array([0, 1], np.int64)
        (feature,) = self._session.run(["feature"], feeds)
        return feature.reshape(-1).astype(np.float32)

    def _measure(self) -> tuple[int, int]:
        width, height = self._size
        blank = np.zeros((height, width, 3), np.uint8)
        size = len(self.features_of(blank, blank)) // 2
        return size, size


def _read(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise LearnerError(
            expected=f"an encoder at {path}", got=str(error), remedy="train or restore the encoder"
        ) from error


def _open(data: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except _UNREADABLE as error:
        raise LearnerError(
            expected=f"an ONNX encoder in {path.name}",
            got=f"{len(data)} bytes that do not load",
            remedy="restore the file: it is cut or corrupt",
        ) from error
