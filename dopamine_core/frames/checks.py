"""One camera's frames come in; they go out only if stamp and size make sense."""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.config import check, setting
from dopamine_core.errors import ImageError


@dataclass(frozen=True)
class FrameCheckConfig:
    """What a camera's stamps may look like."""

    max_future_s: float = setting(
        0.1, doc="How far a stamp may lie ahead of the clock.", unit="s", low=0.0, high=10.0
    )
    restart_after_s: float = setting(
        1.0,
        doc="A stamp that falls back by more than this is a restarted clock, not a late frame.",
        unit="s",
        low=0.01,
        high=3600.0,
    )

    def __post_init__(self) -> None:
        check(self)


class FrameCheck:
    """Checks of one camera's stream.

    The first good frame fixes the size; a changed size is refused until :meth:`reset`, because
    references and history were made at the old one.

    :param camera: name used in messages.
    """

    def __init__(self, camera: str, config: FrameCheckConfig | None = None) -> None:
        self._camera = camera
        self._config = config or FrameCheckConfig()
        self._last_ns = 0
        self._size: tuple[int, int] | None = None

    def reset(self) -> None:
        """Forget size and stamps, e.g. when a camera was reconfigured between episodes."""
        self._last_ns, self._size = 0, None

    def admit(self, stamp_ns: int, size: tuple[int, int], now_ns: int) -> bool:
        """Admit a frame.

        :param stamp_ns: stamp the camera gave.
        :param size: (width, height) in pixels.
        :param now_ns: present time of the same clock.
        :returns: True when the clock was restarted: older frames must be forgotten.
        :raises ImageError: on zero, future, repeated or backward stamps and on changed size.
        """
        self._check_stamp(stamp_ns, now_ns)
        restarted = self._check_order(stamp_ns)
        self._check_size(size)
        self._last_ns, self._size = stamp_ns, size
        return restarted

    def _check_stamp(self, stamp_ns: int, now_ns: int) -> None:
        if stamp_ns <= 0:
            raise self._error("a stamp above zero", f"{stamp_ns} ns", "let the driver stamp frames")
        ahead_s = (stamp_ns - now_ns) / 1e9
        if ahead_s > self._config.max_future_s:
            raise self._error(
                f"a stamp at most {self._config.max_future_s} s ahead of the clock",
                f"{ahead_s:.3f} s ahead",
                "synchronise the camera host's clock, or set use_sim_time alike on all nodes",
            )

    def _check_order(self, stamp_ns: int) -> bool:
        if stamp_ns > self._last_ns:
            return False
        back_s = (self._last_ns - stamp_ns) / 1e9
        if back_s > self._config.restart_after_s:
            return True
        raise self._error(
            "stamps that increase",
            f"a stamp {back_s:.3f} s behind the last one",
            "is a second publisher on the camera's topic?",
        )

    def _check_size(self, size: tuple[int, int]) -> None:
        if self._size is not None and size != self._size:
            raise self._error(
                f"{self._size[0]}x{self._size[1]} pixels as before",
                f"{size[0]}x{size[1]}",
                "restore the camera's size, or set the task again to start over with the new one",
            )

    def _error(self, expected: str, got: str, remedy: str) -> ImageError:
        where = f"camera '{self._camera}': "
        return ImageError(expected=where + expected, got=got, remedy=remedy)
