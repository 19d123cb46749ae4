"""Start, goal, BEFORE and AFTER pairs come in, the eight images of one query go out, in their fixed order.

START and GOAL are shown by the front camera alone; BEFORE and AFTER by front, left wrist and right wrist. A camera
that is not there is filled: one wrist camera stands in both wrist slots, without any the front image does.
"""

from __future__ import annotations

from dopamine_core.errors import ImageError
from dopamine_core.types import EncodedImage, FramePair

IMAGES = 8
SLOTS = (
    "start front",
    "goal front",
    "before front",
    "before left wrist",
    "before right wrist",
    "after front",
    "after left wrist",
    "after right wrist",
)


def three_views(pair: FramePair) -> tuple[EncodedImage, EncodedImage, EncodedImage]:
    """Return front, left wrist and right wrist of a pair, missing ones filled.

    :raises ImageError: when the front image has no bytes.
    """
    if not pair.front.data:
        raise ImageError(
            expected="a front image", got="no bytes", remedy="is the front camera publishing?"
        )
    wrist = pair.wrist if pair.wrist.data else pair.front
    return pair.front, wrist, wrist


def eight_images(
    start: FramePair, goal: FramePair, before: FramePair, after: FramePair
) -> tuple[EncodedImage, ...]:
    """Return the query's images in the order of ``SLOTS``.

    :raises ImageError: when a front image has no bytes.
    """
    return (
        three_views(start)[0],
        three_views(goal)[0],
        *three_views(before),
        *three_views(after),
    )
