"""A drawn task of two stages: a square crosses the picture, then a lamp lights up; each scene at its own pace."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.frames.codec import encode
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.sarm.train import train
from dopamine_core.reward.sarm.trainer import SarmConfig
from dopamine_core.reward.session import RewardModel
from dopamine_core.types import EncodedImage, FramePair

TASK = "bring it over and light the lamp"
MISSING = EncodedImage(0, "", b"", 0, 0)
PERIOD_NS = 100_000_000
_STILL = 3  # frames at the end


def frame(first: float, second: float, seed: int) -> np.ndarray:
    """One picture (36, 48, 3): the square at ``first`` of its way, the lamp at ``second`` of its light."""
    picture = np.full((36, 48, 3), 30 + 6 * (seed % 5), np.uint8)
    left = round(first * 36)
    picture[22:34, left : left + 12] = (230, 200, 60)
    picture[2:14, 18:30] = (40, 40 + round(200 * second), 60)
    return picture


def pair(
    first: float, second: float, index: int, seed: int = 0, *, wrist: bool = True
) -> FramePair:
    """Both views of a moment; the wrist camera sees it upside down."""
    shown, stamp_ns = frame(first, second, seed), (index + 1) * PERIOD_NS
    other = encode(shown[::-1].copy(), stamp_ns) if wrist else MISSING
    return FramePair(encode(shown, stamp_ns), other)


def demonstration(seed: int, *, wrist: bool = True, task: str = TASK) -> Demonstration:
    """The whole task; the first stage takes 12 ... 18 frames, the second 8 ... 12."""
    rng = np.random.default_rng(seed)
    crossing, lighting = int(rng.integers(12, 19)), int(rng.integers(8, 13))
    ways = [(k / crossing, 0.0) for k in range(crossing)]
    ways += [(1.0, k / lighting) for k in range(lighting)] + [(1.0, 1.0)] * _STILL
    pairs = tuple(pair(*way, k, seed, wrist=wrist) for k, way in enumerate(ways))
    marks = (0, crossing, len(pairs) - 1)
    return Demonstration(task, pairs, marks, np.zeros(len(pairs)), f"drawn-{seed}")


def load_tiny_sarm(root: Path, nano: Path) -> RewardModel:
    """A model that has hardly learned the drawn task.

    :param root: folder for its files.
    :param nano: folder of the encoder.
    """
    config = SarmConfig(steps=30, copies=0)
    train([demonstration(0), demonstration(1)], root / "sarm", encoder_dir=nano, config=config)
    return load_reward_model("sarm", str(root / "sarm"))
