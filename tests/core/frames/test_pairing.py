"""Pairing by stamp: a table, then its laws."""

from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.frames.pairing import Pairer
from dopamine_core.types import EncodedImage

MS = 1_000_000


def frame(stamp_ms: float) -> EncodedImage:
    return EncodedImage(int(stamp_ms * MS), "jpeg", b"x", 1, 1)


def run(arrivals: list[tuple[str, float]], max_skew_ms: float = 16.0) -> list[tuple[float, float]]:
    pairer: Pairer[EncodedImage] = Pairer(int(max_skew_ms * MS))
    made = [pairer.add(camera, frame(stamp)) for camera, stamp in arrivals]
    return [(f.stamp_ns / MS, w.stamp_ns / MS) for f, w in filter(None, made)]


def test_table() -> None:
    f, w = "front", "wrist"
    assert run([(f, 1), (w, 2), (f, 34), (w, 35)]) == [(1, 2), (34, 35)]
    assert run([(w, 2), (f, 1)]) == [(1, 2)]  # arrival order does not matter
    assert run([(f, 1), (f, 34), (w, 35), (w, 68)]) == [(34, 35)]  # a lost wrist frame
    assert run([(f, 1), (w, 18)]) == []  # too far apart
    assert run([(f, 1), (f, 34), (w, 2), (w, 35)]) == [(1, 2), (34, 35)]  # one camera came late
    assert run([(f, 1), (f, 10), (w, 9)]) == [(10, 9)]  # the nearest one


def test_counts_and_reset() -> None:
    pairer: Pairer[EncodedImage] = Pairer(16 * MS, capacity=2)
    for stamp in (1, 34, 67):
        assert pairer.add("front", frame(stamp)) is None
    assert (pairer.counts.skewed, pairer.counts.waiting) == (1, 2)
    pairer.reset()
    assert pairer.add("wrist", frame(67)) is None


@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=60),
    st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_pairs_keep_the_skew_use_each_frame_once_and_go_forward(
    gaps: list[int], sides: list[bool]
) -> None:
    stamps = {True: 0, False: 0}
    arrivals = []
    for gap, side in zip(gaps, sides, strict=False):
        stamps[side] += gap + 1
        arrivals.append(("front" if side else "wrist", float(stamps[side])))
    pairs = run(arrivals, max_skew_ms=10.0)
    assert all(abs(front - wrist) <= 10.0 for front, wrist in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in zip(pairs, pairs[1:], strict=False))
