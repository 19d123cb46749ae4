"""Encoded training moments go beside the weights and come back: what adaptation rehearses so as not to forget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import ModelError

FILE = "rehearsal.npz"
_MAP_STEP = 1.0 / 127.0  # maps are unit vectors: eight bits suffice


@dataclass(frozen=True)
class Rehearsal:
    """Encoded moments of training episodes; rows of one episode share ``episode``."""

    maps: NDArray[np.float32]  # (N, 2, C, h, w)
    features: NDArray[np.float32]  # (N, 2, F)
    phi: NDArray[np.float32]  # (N,)
    episode: NDArray[np.int64]  # (N,) rising
    start: NDArray[np.int64]  # (N,) row of the sibling demonstration's start
    goal: NDArray[np.int64]  # (N,) row of its goal


def save_rehearsal(rehearsal: Rehearsal, folder: Path) -> None:
    """Write ``rehearsal.npz``, maps in eight bits."""
    np.savez_compressed(
        folder / FILE,
        maps=np.round(rehearsal.maps / _MAP_STEP).astype(np.int8),
        features=rehearsal.features.astype(np.float16),
        phi=rehearsal.phi,
        episode=rehearsal.episode.astype(np.int32),
        start=rehearsal.start.astype(np.int32),
        goal=rehearsal.goal.astype(np.int32),
    )


def load_rehearsal(folder: Path) -> Rehearsal:
    """Read ``rehearsal.npz``.

    :raises ModelError: when it is missing or unreadable.
    """
    try:
        with np.load(folder / FILE) as data:
            return Rehearsal(
                maps=data["maps"].astype(np.float32) * np.float32(_MAP_STEP),
                features=data["features"].astype(np.float32),
                phi=data["phi"],
                episode=data["episode"].astype(np.int64),
                start=data["start"].astype(np.int64),
                goal=data["goal"].astype(np.int64),
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            expected=f"{FILE} in {folder}",
            got=f"{type(error).__name__}: {error}",
            remedy="reinstall the shipped weights, or train again",
        ) from error
