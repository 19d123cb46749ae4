"""A frame pair in, its features kept until they are asked for: the agent looks while the label lane still works."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import DopamineError
from dopamine_core.rl.observation import Encoder
from dopamine_core.types import FramePair


class RememberingEncoder:
    """An encoder that looks at a pair before it is asked, and remembers what it saw.

    :param encoder: the frozen encoder.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.name, self.sha256, self.sizes = encoder.name, encoder.sha256, encoder.sizes
        self._seen: tuple[tuple[int, int], NDArray[np.float32] | DopamineError] | None = None

    def look(self, pair: FramePair) -> None:
        """Encode a pair; an error is kept for whoever asks for the features. May run in another thread."""
        try:
            seen: NDArray[np.float32] | DopamineError = self._encoder.features(pair)
        except DopamineError as error:
            seen = error
        self._seen = (pair.key, seen)

    def has_seen(self, pair: FramePair) -> bool:
        """Whether :meth:`features` will answer at once."""
        seen = self._seen
        return seen is not None and seen[0] == pair.key

    def features(self, pair: FramePair) -> NDArray[np.float32]:
        """Features (F,) of a pair.

        :raises ImageError: when a frame could not be decoded.
        """
        seen = self._seen
        if seen is None or seen[0] != pair.key:
            return self._encoder.features(pair)
        if isinstance(seen[1], DopamineError):
            raise seen[1]
        return seen[1]
