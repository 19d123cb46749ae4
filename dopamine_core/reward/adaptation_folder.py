"""What adaptations of all back ends share: who listens, and a folder that appears whole or not at all."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dopamine_core.errors import AdaptationCancelled, ModelError

PART_PREFIX = ".adapting-"  # of the folder in which a result is put together
ON_DEMONSTRATIONS = "held-out demonstrations"
ON_PAIRS = "held-out pairs of the demonstration"


class OnProgress(Protocol):
    """Told how an adaptation goes."""

    def __call__(self, *, phase: str, fraction: float, loss: float, held_out_error: float) -> None:
        """``fraction`` is of the whole; a number that does not exist yet is NaN."""


@dataclass(frozen=True)
class Listener:
    """Who is told, and who may end it."""

    on_progress: OnProgress | None = None
    should_cancel: Callable[[], bool] | None = None

    def say(
        self, phase: str, fraction: float, loss: float = math.nan, held_out_error: float = math.nan
    ) -> None:
        """Report progress, or end when the caller wants to.

        :raises AdaptationCancelled: when ``should_cancel`` said so.
        """
        if self.should_cancel and self.should_cancel():
            raise AdaptationCancelled(
                expected="an adaptation to its end",
                got=f"a cancel during {phase}",
                remedy="start it again when it is wanted; nothing was written",
            )
        if self.on_progress:
            self.on_progress(
                phase=phase, fraction=fraction, loss=loss, held_out_error=held_out_error
            )


def put_folder(folder: Path, place: Path, marker: str) -> None:
    """Move a finished folder to its place; an adapted model that is there goes away.

    :param marker: file that tells an adapted model from somebody's other files.
    :raises ModelError: when other files are there.
    """
    if place.exists():
        if not (place / marker).exists() and any(place.iterdir()):
            raise ModelError(
                expected=f"a new folder or an adapted model at {place}",
                got="a folder with other files",
                remedy="choose another folder",
            )
        shutil.rmtree(place)
    folder.rename(place)


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: a figure that does not exist is null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def state_folder(out_dir: Path) -> Path:
    """Where the state of an adaptation lies while it runs, for those that can be gone on with."""
    return out_dir.parent / f".{out_dir.name}.state"


def leave_nothing(out_dir: Path) -> None:
    """Remove what an adaptation leaves when its process is ended by force; its result, if there is one, stays."""
    parts = out_dir.parent.glob(f"{PART_PREFIX}*")
    for folder in (state_folder(out_dir), *parts):
        shutil.rmtree(folder, ignore_errors=True)
