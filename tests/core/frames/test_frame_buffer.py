"""The buffer finds pairs by the two stamps that name them, and forgets the old."""

from dopamine_core.frames.buffer import FrameBuffer
from dopamine_core.types import EncodedImage, FramePair


def pair(stamp_ns: int, skew_ns: int = 1) -> FramePair:
    return FramePair(
        EncodedImage(stamp_ns, "jpeg", b"f", 1, 1),
        EncodedImage(stamp_ns + skew_ns, "jpeg", b"w", 1, 1),
    )


def test_lookup_and_forgetting() -> None:
    buffer = FrameBuffer(capacity_s=1.0)
    assert buffer.newest is None and buffer.get((1, 2)) is None
    pairs = [pair(k * 400_000_000) for k in range(1, 6)]
    for item in pairs:
        buffer.add(item)
    assert buffer.newest is pairs[-1]
    assert buffer.get(pairs[-1].key) is pairs[-1]
    assert buffer.get((pairs[-1].key[0], 0)) is None
    assert buffer.get(pairs[0].key) is None
    assert len(buffer) == 3
    restarted = pair(5)
    buffer.add(restarted)  # the clock fell back: the old pairs are of another time
    assert buffer.newest is restarted and len(buffer) == 1
