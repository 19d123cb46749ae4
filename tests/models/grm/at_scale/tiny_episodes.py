"""Tiny official episode folders: a bright square walks over the picture, so that frames can be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dopamine_core.reward.grm.official_data import CAMERAS, Segment, write_annotations
from dopamine_core.reward.grm.training_at_scale.video import write_video

FRAMES = 30
SEGMENTS = (Segment("reach", 2, 12), Segment("lift", 12, 28))
TASKS = ("lift it", "pick it up")


def frame(k: int, camera: int = 0) -> np.ndarray:
    """Frame k: grey by its number, a square by its camera."""
    pixels = np.full((48, 64, 3), 8 * k % 256, np.uint8)
    pixels[4:20, 16 * camera : 16 * camera + 16] = (255, 0, 40)
    return pixels


def write_episode(
    folder: Path,
    *,
    frames: int = FRAMES,
    cameras: tuple[str, ...] = CAMERAS,
    segments: tuple[Segment, ...] = SEGMENTS,
    tasks: tuple[str, ...] = TASKS,
) -> Path:
    """Write one episode folder."""
    folder.mkdir(parents=True)
    for number, camera in enumerate(CAMERAS):
        if camera in cameras:
            pictures = [frame(k, number) for k in range(frames)]
            write_video(folder / f"{camera}.mp4", pictures, 30.0)
    write_annotations(folder, segments, tasks)
    return folder
