"""How large a request may be, and the error of one that is larger."""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.config import check, setting
from dopamine_core.errors import WireError

MIB = 1 << 20


class WireSizeError(WireError):
    """A request is larger than the server takes."""


@dataclass(frozen=True)
class WireLimits:
    """Limits of one request; checked before anything is allocated for it."""

    request_mib: int = setting(128, doc="Body of a request.", unit="MiB", low=1, high=4096)
    json_mib: int = setting(
        16,
        doc="Body of a JSON request; its numbers take many times their size.",
        unit="MiB",
        low=1,
        high=256,
    )
    samples: int = setting(64, doc="Samples of a request.", low=1, high=4096)
    trajectory_frames: int = setting(512, doc="Frames of a trajectory.", low=1, high=65536)
    request_frames: int = setting(
        4096, doc="Frames of all trajectories of a request.", low=1, high=10**6
    )
    task_characters: int = setting(2000, doc="Length of a task sentence.", low=1, high=10**6)
    goals: int = setting(16, doc="Goal views sent with a trajectory.", low=1, high=256)
    megapixels: float = setting(4.2, doc="Pixels of one frame.", unit="Mpx", low=0.001, high=100.0)

    def __post_init__(self) -> None:
        check(self)

    @property
    def request_bytes(self) -> int:
        """Largest body in bytes."""
        return self.request_mib * MIB

    @property
    def json_bytes(self) -> int:
        """Largest JSON body in bytes."""
        return min(self.json_mib, self.request_mib) * MIB

    def check_shape(self, name: str, shape: tuple[int, ...], most: int) -> None:
        """Check the shape of frames before they are read.

        :param name: which array, for the message.
        :param most: frames allowed.
        :raises WireError: when it is not (T, H, W, 3).
        :raises WireSizeError: when there are too many frames or pixels.
        """
        if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
            raise WireError(
                expected=f"{name} of shape (T, H, W, 3), T, H and W at least 1",
                got=str(shape),
                remedy="send RGB frames in order of time, channels last",
            )
        frames, height, width, _ = shape
        if frames > most or height * width > self.megapixels * 1e6:
            raise WireSizeError(
                expected=f"{name} of at most {most} frames of {self.megapixels} megapixels",
                got=f"{frames} frames of {width}x{height}",
                remedy="send fewer or smaller frames (8 frames with a short edge of 240 px are usual)",
            )
