"""A drawn task for tiny GRMs: a bright bar fills the picture from the left as the work goes on."""

from pathlib import Path

import numpy as np

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.frames.codec import encode
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig
from dopamine_core.types import EncodedImage, FramePair

TASK = "fill the bar"
PROMPT = GrmPrompt("file", "{task}" + "<image>" * 8)
FRAMES = 24


def drawing(share: float, seed: int = 0) -> np.ndarray:
    """One frame (56, 56, 3): a bar of the share's width, on a background of the seed's shade."""
    rng = np.random.default_rng(seed)
    frame = np.empty((56, 56, 3), np.uint8)
    frame[:] = rng.integers(20, 70, 3)
    frame[:, : round(share * 56)] = rng.integers(180, 250, 3)
    frame[:6] = 0  # the ceiling: tells what is up
    return frame


def drawn_pair(share: float, index: int, seed: int = 0, *, wrist: bool = True) -> FramePair:
    """A frame pair: the wrist camera sees the bar upside down, from the right."""
    stamp_ns = (index + 1) * 100_000_000
    frame = drawing(share, seed)
    front = encode(frame, stamp_ns)
    if not wrist:
        return FramePair(front, EncodedImage(stamp_ns, "jpeg", b"", 56, 56))
    return FramePair(front, encode(frame[::-1, ::-1].copy(), stamp_ns))


def drawn_demonstration(
    seed: int = 0, frames: int = FRAMES, *, wrist: bool = True
) -> Demonstration:
    """The bar fills once, at constant speed."""
    pairs = [drawn_pair(k / (frames - 1), k, seed, wrist=wrist) for k in range(frames)]
    marks = (0, frames // 2, frames - 1)
    return Demonstration(TASK, tuple(pairs), marks, np.zeros(frames), f"drawn-{seed}")


def small_images(folder: Path) -> CheckpointConfig:
    """Settings of a tiny checkpoint that is shown four tokens per image."""
    return CheckpointConfig(path=str(folder), device="cpu", min_pixels=784, max_pixels=4096)
