"""Camera frames come in one by one; checked, paired and encoded once, frame pairs go out.

What is wrong with the cameras is told by :meth:`Intake.fault`, so that a missing reading has a
reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.config import check, setting
from dopamine_core.errors import ImageError
from dopamine_core.frames.camera_stats import CameraReport, CameraStats
from dopamine_core.frames.checks import FrameCheck, FrameCheckConfig
from dopamine_core.frames.codec import check_raw, encode, from_raw
from dopamine_core.frames.pairing import Pairer, PairerCounts
from dopamine_core.frames.rate import RateGate
from dopamine_core.types import CAMERAS, EncodedImage, FramePair, Status

_RATE_SLACK = 1.15  # a camera a little above the limit loses no pairs to jitter


@dataclass(frozen=True)
class IntakeConfig:
    """How camera frames are taken in."""

    rate_hz: float = setting(
        30.0, doc="Pairs encoded per second at most; 0: all.", unit="Hz", low=0.0, high=240.0
    )
    max_skew_s: float = setting(
        0.0166,
        doc="Largest time between the frames of a pair; half a frame period is sensible.",
        unit="s",
        low=0.0,
        high=1.0,
    )
    stale_after_s: float = setting(
        0.5, doc="A camera or pair older than this is reported.", unit="s", low=0.01, high=60.0
    )
    jpeg_quality: int = setting(90, doc="JPEG quality of raw frames, encoded once.", low=1, high=95)
    max_future_s: float = setting(
        0.1, doc="How far a stamp may lie ahead of the clock.", unit="s", low=0.0, high=10.0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class RawImage:
    """A frame as a camera driver sends it, not yet encoded."""

    stamp_ns: int
    encoding: str
    width: int
    height: int
    step: int
    data: memoryview | bytes


Frame = RawImage | EncodedImage


class Intake:
    """Checks, pairs and encodes. Not thread-safe: one worker pushes; reports may be read by others.

    :param config: rates and tolerances.
    """

    def __init__(self, config: IntakeConfig | None = None) -> None:
        self._config = config or IntakeConfig()
        checks = FrameCheckConfig(max_future_s=self._config.max_future_s)
        self._checks = {name: FrameCheck(name, checks) for name in CAMERAS}
        self._stats = {name: CameraStats(name) for name in CAMERAS}
        self._pairer: Pairer[Frame] = Pairer(int(self._config.max_skew_s * 1e9))
        self._gate = RateGate(self._config.rate_hz)
        self._last_pair_ns = 0  # arrival
        self._last_pair_stamp_ns = 0
        self.pairs = 0
        self.last_skew_ns = 0

    @property
    def pairing(self) -> PairerCounts:
        """What became of the frames."""
        return self._pairer.counts

    def push(self, camera: str, frame: Frame, now_ns: int) -> FramePair | None:
        """Take a frame; return the pair that it completes, if it does and the rate allows.

        :param camera: ``"front"`` or ``"wrist"``.
        :raises ImageError: when the frame cannot be used; it is counted and named in the reports.
        """
        try:
            self._check(camera, frame, now_ns)
        except ImageError as error:
            self._stats[camera].refuse(str(error), now_ns)
            raise
        self._stats[camera].admit(frame.stamp_ns, now_ns)
        limited = self._limited(camera)
        if not limited:
            frame = self._encoded(frame)  # at once: the other camera's frame is still on its way
        frames = self._pairer.add(camera, frame)
        if frames is None:
            return None
        if limited and not self._gate.passes(max(f.stamp_ns for f in frames)):
            return None
        pair = FramePair(*(self._encoded(f) for f in frames))
        self._last_pair_ns, self._last_pair_stamp_ns = now_ns, pair.stamp_ns
        self.pairs += 1
        self.last_skew_ns = pair.skew_ns
        return pair

    def refuse(self, camera: str, error: ImageError, now_ns: int) -> None:
        """Count a frame that could not even be read."""
        self._stats[camera].refuse(f"camera '{camera}': {error}", now_ns)

    def accept_new_sizes(self) -> None:
        """Let each camera's next frame fix its size anew."""
        for check_ in self._checks.values():
            check_.reset()

    def reports(self) -> list[CameraReport]:
        """Give the figures of both cameras."""
        return [self._stats[name].report() for name in CAMERAS]

    def fault(self, now_ns: int) -> tuple[Status, str] | None:
        """Say why there is no fresh pair; None when there is one."""
        for report in self.reports():
            silent = self.camera_fault(report, now_ns)
            if silent is not None:
                return silent
        if now_ns - self._last_pair_ns > self._stale_ns():
            return Status.SKEW, self._skew_text()
        age_s = (now_ns - self._last_pair_stamp_ns) / 1e9
        if age_s > self._config.stale_after_s:
            return Status.STALE, (
                f"expected frames at most {self._config.stale_after_s} s old, got {age_s:.2f} s; "
                "is the camera host's clock right, or the network too slow?"
            )
        return None

    def camera_fault(self, report: CameraReport, now_ns: int) -> tuple[Status, str] | None:
        """Say why a camera gives no frames; None when it does."""
        if report.last_arrival_ns and now_ns - report.last_arrival_ns <= self._stale_ns():
            return None
        if report.last_error_ns and now_ns - report.last_error_ns <= self._stale_ns():
            return Status.BAD_IMAGE, report.last_error
        spoke = (
            f"last spoke {(now_ns - report.last_arrival_ns) / 1e9:.1f} s ago"
            if report.last_arrival_ns
            else "never spoke"
        )
        return Status.MISSING_FRAME, (
            f"camera '{report.camera}' {spoke} (allowed {self._config.stale_after_s} s): "
            f"is {report.camera}/image_raw publishing?"
        )

    def _limited(self, camera: str) -> bool:
        """Whether the camera is so fast that pairs must be skipped."""
        limit_hz = self._config.rate_hz
        return limit_hz > 0.0 and self._stats[camera].steady_rate_hz > _RATE_SLACK * limit_hz

    def _stale_ns(self) -> int:
        return int(self._config.stale_after_s * 1e9)

    def _check(self, camera: str, frame: Frame, now_ns: int) -> None:
        if isinstance(frame, RawImage):
            try:
                check_raw(frame.encoding, frame.width, frame.height, frame.step, len(frame.data))
            except ImageError as error:
                where = f"camera '{camera}': {error.expected}"
                raise ImageError(expected=where, got=error.got, remedy=error.remedy) from error
        size = frame.width, frame.height
        if self._checks[camera].admit(frame.stamp_ns, size, now_ns):
            self._pairer.reset()

    def _encoded(self, frame: Frame) -> EncodedImage:
        if isinstance(frame, EncodedImage):
            return frame
        rgb = from_raw(frame.encoding, frame.width, frame.height, frame.step, frame.data)
        return encode(rgb, frame.stamp_ns, self._config.jpeg_quality)

    def _skew_text(self) -> str:
        front, wrist = (report.last_stamp_ns for report in self.reports())
        return (
            f"expected frames at most {self._config.max_skew_s * 1e3:.1f} ms apart, got front and "
            f"wrist {abs(front - wrist) / 1e6:.1f} ms apart; synchronise the cameras or raise "
            "intake.max_skew_s"
        )
