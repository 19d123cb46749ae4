"""Frame pairs come in, frozen features go out: the nano encoder, by onnxruntime on one thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import ImageError
from dopamine_core.reward.models.nano import open_session, to_pixels
from dopamine_core.types import CAMERAS, FramePair


@dataclass(frozen=True)
class Seen:
    """A frame pair after the encoder."""

    stamp_ns: int
    features: NDArray[np.float32]  # (2, F), front then wrist
    present: NDArray[np.float32]  # (2,), 0 for a camera that gave no image


class FrozenEncoder:
    """The encoder of a nano folder.

    :param content: bytes of ``encoder.onnx``.
    :param size: (width, height) in pixels that it takes.
    :param name: for messages.
    :raises ModelError: when the bytes are no readable ONNX model.
    """

    def __init__(self, content: bytes, size: tuple[int, int], name: str) -> None:
        self.content = content
        self.size = size
        self._session = open_session(content, name)

    def encode(self, pair: FramePair) -> Seen:
        """Encode a pair. A wrist image without bytes counts as missing; the front one is required.

        :raises ImageError: when the bytes cannot be decoded.
        """
        if not pair.front.data:
            raise ImageError(
                expected="a front image", got="no bytes", remedy="is the front camera publishing?"
            )
        images = [image for image in (pair.front, pair.wrist) if image.data]
        features = self.features(np.stack([to_pixels(image, self.size) for image in images]))
        missing = len(CAMERAS) - len(features)
        padded = np.concatenate([features, np.zeros((missing, features.shape[1]), np.float32)])
        present = np.array([1.0, 0.0 if missing else 1.0], np.float32)
        return Seen(pair.stamp_ns, padded, present)

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode decoded views: (V, F).

        :param pixels: (V, h, w, 3) uint8, front then wrist, at the encoder's size.
        """
        views = np.arange(len(pixels), dtype=np.int64)
        return np.asarray(self._session.run(["feature"], {"image": pixels, "view": views})[0])
