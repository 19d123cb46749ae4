"""Nano GRM back end: frame pairs come in, hops go out; onnxruntime on one thread, no torch.

A model folder holds ``encoder.onnx``, ``head.onnx`` and ``model.json`` (sizes, hashes, success threshold); an
adapted one also ``references/{start,goal}_{front,wrist}.jpg``, the demonstration's own images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import decode
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import HopAnswer, HopQuery
from dopamine_core.types import CAMERAS, EncodedImage, FramePair, ModelId, Status

SHIPPED = Path(__file__).parent / "nano_weights"
FORMAT = 1
_FILES = ("encoder.onnx", "head.onnx")


@dataclass(frozen=True)
class Config:
    """Which weights."""

    path: str = setting("", doc="Model folder; empty: the shipped weights.")

    def __post_init__(self) -> None:
        check(self)


def load(config: Config, fusion: FusionConfig) -> PairwiseModel:
    """Load the shipped or an adapted nano GRM.

    :raises ModelError: when the weights are missing or corrupt.
    """
    return PairwiseModel(NanoHopModel(config.path or None), fusion)


@dataclass(frozen=True)
class EncodedPair:
    """A frame pair after the encoder; ``present`` is 0 for a camera that gave no image."""

    maps: NDArray[np.float32]  # (2, C, h, w), front then wrist
    features: NDArray[np.float32]  # (2, F)
    present: NDArray[np.float32]  # (2,)


@dataclass(frozen=True)
class ModelFolder:
    """A verified model folder: its description and the bytes of its two files."""

    path: Path
    info: dict[str, Any]
    encoder: bytes
    head: bytes

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels that the encoder takes."""
        return int(self.info["shape"]["width"]), int(self.info["shape"]["height"])

    @property
    def model_id(self) -> ModelId:
        """Name, hash over both files, and whether the head was adapted."""
        both = self.info["encoder_sha256"] + self.info["head_sha256"]
        digest = hashlib.sha256(both.encode()).hexdigest()
        return ModelId("nano", digest, bool(self.info.get("adapted", False)))


def read_folder(folder: Path) -> ModelFolder:
    """Read a model folder and check its hashes.

    :raises ModelError: when a file is missing, unreadable, of another format or changed since it was written.
    """
    try:
        info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        contents = [(folder / name).read_bytes() for name in _FILES]
        hashes = [info["encoder_sha256"], info["head_sha256"]]
        size = info["shape"]["width"], info["shape"]["height"], float(info["success_threshold"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            expected=f"encoder.onnx, head.onnx and model.json in {folder}",
            got=f"{type(error).__name__}: {error}",
            remedy="reinstall the shipped weights, or adapt or train again",
        ) from error
    if info.get("format") != FORMAT or not 0.0 < size[2] <= 1.0:
        raise ModelError(
            expected=f"a nano model of format {FORMAT} with a success threshold in (0, 1]",
            got=f"format {info.get('format')}, threshold {size[2]} in {folder}",
            remedy="train or adapt again with this version",
        )
    for name, content, expected in zip(_FILES, contents, hashes, strict=True):
        got = hashlib.sha256(content).hexdigest()
        if got != expected:
            raise ModelError(
                expected=f"{folder / name} with sha256 {expected}",
                got=got,
                remedy="the file is corrupt or was replaced: reinstall the weights, or adapt or train again",
            )
    return ModelFolder(folder, info, *contents)


def open_session(content: bytes, name: str) -> onnxruntime.InferenceSession:
    """Open ONNX bytes on one thread, so that inference never competes with the control path.

    :raises ModelError: when the bytes are not a readable ONNX model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own per fault
        raise ModelError(
            expected=f"a readable ONNX model in {name}",
            got=str(error).splitlines()[0],
            remedy="reinstall the shipped weights, or adapt or train again",
        ) from error


def to_pixels(image: EncodedImage, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a frame for the encoder: (h, w, 3) uint8 RGB.

    :raises ImageError: when the bytes cannot be decoded.
    """
    return decode(image, size)


class NanoHopModel:
    """The pairwise back end on the shipped or an adapted nano GRM.

    :param folder: model folder; the shipped weights when left out.
    :raises ModelError: when the weights are missing or corrupt.
    """

    fast = True

    def __init__(self, folder: Path | str | None = None) -> None:
        files = read_folder(Path(folder) if folder else SHIPPED)
        self.folder = files.path
        self.info = files.info
        self.model_id = files.model_id
        self.success_threshold = float(files.info["success_threshold"])
        self.size = files.size  # (width, height) in pixels that the encoder takes
        self._encoder = open_session(files.encoder, str(files.path / "encoder.onnx"))
        self._head = open_session(files.head, str(files.path / "head.onnx"))

    def encode(self, pair: FramePair) -> EncodedPair:
        """Encode a pair once. A wrist image without bytes counts as missing; the front one is required.

        :raises ImageError: when the bytes cannot be decoded.
        """
        if not pair.front.data:
            raise ImageError(
                expected="a front image", got="no bytes", remedy="is the front camera publishing?"
            )
        seen = [image for image in (pair.front, pair.wrist) if image.data]
        pixels = np.stack([to_pixels(image, self.size) for image in seen])  # (1..2, h, w, 3)
        return self.encode_pixels(pixels)

    def encode_pixels(self, pixels: NDArray[np.uint8]) -> EncodedPair:
        """Encode decoded frames.

        :param pixels: (1 or 2, h, w, 3) uint8 RGB, front then wrist, at the encoder's size.
        """
        views = np.arange(len(pixels), dtype=np.int64)
        maps, features = self._encoder.run(None, {"image": pixels, "view": views})
        missing = len(CAMERAS) - len(pixels)
        if missing:
            maps = np.concatenate([maps, np.zeros_like(maps)])
            features = np.concatenate([features, np.zeros_like(features)])
        present = np.array([1.0, 0.0 if missing else 1.0], dtype=np.float32)
        return EncodedPair(maps, features, present)

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer a batch of queries, one answer each, in order."""
        if not queries:
            return []
        hop, deviation, _ = self.answer(queries)
        return [_to_answer(float(h), float(d)) for h, d in zip(hop, deviation, strict=True)]

    def answer(self, queries: Sequence[HopQuery]) -> tuple[NDArray[np.float32], ...]:
        """Raw outputs of the head: hop (Q,), deviation (Q,), phi (Q, 2) of BEFORE and AFTER."""
        rows = [(q.start, q.goal, q.before, q.after) for q in queries]
        inputs = {
            "maps": np.stack([[role.maps for role in row] for row in rows]),  # (Q, 4, 2, C, h, w)
            "features": np.stack([[role.features for role in row] for row in rows]),
            "present": np.stack([[role.present for role in row] for row in rows]),
        }
        return tuple(self._head.run(None, inputs))


def _to_answer(hop: float, deviation: float) -> HopAnswer:
    if not abs(hop) <= 1.0 + 1e-5:
        return HopAnswer(Status.INVALID_HOP, text=f"expected a hop in [-1, 1], got {hop}")
    return HopAnswer(Status.OK, min(1.0, max(-1.0, hop)), deviation)
