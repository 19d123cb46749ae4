"""Intake on a hand-made clock: what is admitted, encoded, refused and reported."""

import numpy as np
import pytest

from dopamine_core.errors import ImageError
from dopamine_core.frames.checks import FrameCheck, FrameCheckConfig
from dopamine_core.frames.codec import decode, encode
from dopamine_core.frames.intake import Intake, IntakeConfig, RawImage
from dopamine_core.frames.rate import RateGate
from dopamine_core.types import Status

MS = 1_000_000
T0 = 10_000 * MS
PIXELS = np.full((48, 64, 3), 90, np.uint8)


def raw(stamp_ns: int, width: int = 64, height: int = 48, encoding: str = "rgb8") -> RawImage:
    data = np.full((height, width, 3), 90, np.uint8).tobytes()
    return RawImage(stamp_ns, encoding, width, height, 3 * width, data)


def test_raw_frames_become_one_encoded_pair() -> None:
    intake = Intake()
    assert intake.push("front", raw(T0), T0) is None
    pair = intake.push("wrist", raw(T0 + 4 * MS), T0 + 5 * MS)
    assert pair is not None
    assert pair.key == (T0, T0 + 4 * MS)
    assert pair.skew_ns == 4 * MS
    assert np.abs(decode(pair.front).astype(int) - 90).max() <= 2


def test_compressed_frames_pass_untouched() -> None:
    intake = Intake()
    front = encode(PIXELS, T0)
    intake.push("front", front, T0)
    pair = intake.push("wrist", encode(PIXELS, T0), T0)
    assert pair is not None and pair.front is front


@pytest.mark.parametrize(("rate_hz", "pairs"), [(10.0, 20), (15.0, 30), (30.0, 60), (0.0, 60)])
def test_rate_limit_skips_pairs_but_counts_frames(rate_hz: float, pairs: int) -> None:
    intake = Intake(IntakeConfig(rate_hz=rate_hz))
    made = []
    for k in range(90):
        stamp = T0 + k * 33 * MS
        intake.push("front", raw(stamp), stamp)
        made.append(intake.push("wrist", raw(stamp), stamp) is not None)
    assert sum(made[30:]) == pytest.approx(pairs, abs=1)  # the rate is known after a second
    assert [report.frames for report in intake.reports()] == [90, 90]
    assert intake.reports()[0].rate_hz == pytest.approx(1000 / 33)


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (raw(0), "camera 'wrist'.*above zero"),
        (raw(T0 + 5_000 * MS), "camera 'wrist'.*ahead"),
        (raw(T0 - 10 * MS), "camera 'wrist'.*behind"),
        (raw(T0), "camera 'wrist'.*0.000 s behind"),
        (raw(T0 + 33 * MS, width=32), "camera 'wrist'.*64x48.*32x48"),
        (raw(T0 + 33 * MS, encoding="bayer"), "camera 'wrist'.*bayer"),
    ],
)
def test_bad_frames_are_refused_named_and_counted(frame: RawImage, named: str) -> None:
    intake = Intake()
    intake.push("wrist", raw(T0), T0)
    with pytest.raises(ImageError, match=named):
        intake.push("wrist", frame, T0 + 33 * MS)
    assert intake.reports()[1].refused == 1
    assert intake.reports()[1].frames == 1


def test_a_restarted_clock_starts_over() -> None:
    check = FrameCheck("front", FrameCheckConfig())
    assert check.admit(T0, (64, 48), T0) is False
    assert check.admit(1 * MS, (64, 48), 2 * MS) is True
    assert check.admit(34 * MS, (64, 48), 35 * MS) is False


def test_frames_from_before_a_clock_restart_are_never_paired() -> None:
    intake = Intake()
    early = 100 * MS
    intake.push("front", raw(early), early)
    intake.push("front", raw(T0), T0)
    assert intake.push("front", raw(early + 90 * MS), early + 90 * MS) is None  # time fell back
    assert intake.push("wrist", raw(early + 5 * MS), early + 95 * MS) is None
    pair = intake.push("wrist", raw(early + 91 * MS), early + 100 * MS)
    assert pair is not None and pair.key == (early + 90 * MS, early + 91 * MS)


def test_new_sizes_are_accepted_when_asked_for() -> None:
    intake = Intake()
    intake.push("front", raw(T0), T0)
    intake.accept_new_sizes()
    assert intake.push("front", raw(T0 + 33 * MS, width=32), T0 + 33 * MS) is None
    assert intake.reports()[0].refused == 0


def test_bursts_lose_no_pairs_while_the_camera_keeps_its_rate() -> None:
    intake = Intake(IntakeConfig(rate_hz=30.0))
    stamps = [T0 + (k // 3) * 99 * MS + (k % 3) * 5 * MS for k in range(120)]
    pairs = 0
    for stamp in stamps:
        intake.push("front", raw(stamp), stamp)
        pairs += intake.push("wrist", raw(stamp), stamp) is not None
    assert pairs == 120


def feed(intake: Intake, stamps: dict[str, int], now_ns: int) -> None:
    for camera, stamp in stamps.items():
        intake.push(camera, raw(stamp), now_ns)


def test_fault_says_what_is_wrong() -> None:
    intake = Intake()
    assert intake.fault(T0) == (
        Status.MISSING_FRAME,
        "camera 'front' never spoke (allowed 0.5 s): is front/image_raw publishing?",
    )
    feed(intake, {"front": T0, "wrist": T0}, T0)
    assert intake.fault(T0 + 100 * MS) is None
    later = T0 + 2_400 * MS
    intake.push("front", raw(later), later)
    status, text = intake.fault(later) or (None, "")
    assert status is Status.MISSING_FRAME and "'wrist' last spoke 2.4 s ago" in text
    with pytest.raises(ImageError):
        intake.push("wrist", raw(0), later)
    assert (intake.fault(later) or (None,))[0] is Status.BAD_IMAGE


def test_fault_names_skew_and_stale_frames() -> None:
    skewed = Intake()
    for k in range(20):
        now = T0 + k * 50 * MS
        feed(skewed, {"front": now, "wrist": now - 24 * MS}, now)
    status, text = skewed.fault(T0 + 950 * MS) or (None, "")
    assert status is Status.SKEW and "24.0 ms apart" in text
    stale = Intake()
    feed(stale, {"front": T0 - 700 * MS, "wrist": T0 - 700 * MS}, T0)
    assert (stale.fault(T0) or (None,))[0] is Status.STALE


def test_lost_frames_show_as_gaps() -> None:
    intake = Intake()
    for k in (0, 1, 2, 3, 4, 7, 8):
        intake.push("front", raw(T0 + k * 33 * MS), T0 + k * 33 * MS)
    assert intake.reports()[0].lost == 2


def test_a_camera_that_sends_in_bursts_is_not_taken_for_one_that_loses() -> None:
    intake = Intake()
    for k in range(60):
        stamp = T0 + (k // 3) * 99 * MS + (k % 3) * 1 * MS
        intake.push("front", raw(stamp), stamp)
    assert intake.reports()[0].lost < 200  # by the median gap of 1 ms it would be thousands


def test_rate_gate() -> None:
    gate = RateGate(10.0)
    passed = [k for k in range(30) if gate.passes(k * 33 * MS)]
    assert passed == list(range(0, 30, 3))
    assert all(RateGate(0.0).passes(0) for _ in range(3))
    jitter = RateGate(30.0)
    assert all(jitter.passes(stamp * MS) for stamp in (0, 28, 66, 95, 133))
