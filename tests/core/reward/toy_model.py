"""A hop model that computes something from pixels: how far a bright bar has filled the front
image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dopamine_core.frames.codec import decode, encode
from dopamine_core.reward.session import HopAnswer, HopQuery
from dopamine_core.types import FramePair, ModelId, Status

WIDTH, HEIGHT = 64, 48


class BarModel:
    """Reads the filled share of both views and answers Eq. 2 with Phi = share / goal share."""

    model_id = ModelId("bar", "ba5")
    fast = True
    success_threshold = 0.9

    def __init__(self) -> None:
        self.encoded = 0  # frames encoded, to see that each is encoded once

    def encode(self, pair: FramePair) -> float:
        """Share of bright pixels in both views, 0 .. 1."""
        self.encoded += 1
        views = [decode(image) for image in (pair.front, pair.wrist) if image.data]
        return float(np.mean([view.mean() / 255.0 for view in views]))

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Eq. 2 on the shares."""
        return [HopAnswer(Status.OK, hop_of(q.before / q.goal, q.after / q.goal)) for q in queries]


def hop_of(before: float, after: float) -> float:
    """Eq. 2 with Phi_0 = 0 and Phi_M = 1; Eq. 3 for no change."""
    before, after = min(before, 1.0), min(after, 1.0)
    if abs(after - before) < 1e-9:
        return 0.0
    return (after - before) / (1.0 - before) if after > before else (after - before) / before


def bar_pair(share: float, stamp_ns: int = 1, skew_ns: int = 0) -> FramePair:
    """Draw both views with their left share bright."""
    rgb = bar_image(share)
    return FramePair(encode(rgb, stamp_ns), encode(rgb, stamp_ns + skew_ns))


def bar_image(share: float, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(H, W, 3) uint8, the left share white."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : round(share * width)] = 255
    return rgb
