"""A nano GRM small enough for tests, and a drawn task for it: a bright square crosses the picture."""

from pathlib import Path

import numpy as np
import torch

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.frames.codec import encode
from dopamine_core.reward.models.nano import NanoHopModel
from dopamine_core.reward.nano.export import export_model
from dopamine_core.reward.nano.model import Encoder, HopHead, NanoShape
from dopamine_core.reward.nano.rehearsal import Rehearsal, save_rehearsal
from dopamine_core.types import FramePair

SHAPE = NanoShape(
    width=48,
    height=36,
    channels=(6, 8, 10, 12),
    map_channels=8,
    keypoints=6,
    pooled=8,
    hidden=24,
)
FRAMES = 16


def drawing(share: float, seed: int = 0, size: tuple[int, int] = (48, 36)) -> np.ndarray:
    """One frame (h, w, 3): the square at a share of its way, on a background of the seed's shade."""
    width, height = size
    frame = np.full((height, width, 3), 40 + 4 * (seed % 7), np.uint8)
    left = round(share * (width - 12))
    frame[height // 3 : height // 3 + 12, left : left + 12] = (230, 200, 60)
    return frame


def drawn_pair(share: float, index: int, seed: int = 0) -> FramePair:
    """A frame pair of the drawn task."""
    stamp_ns = (index + 1) * 100_000_000
    frame = drawing(share, seed)
    return FramePair(encode(frame, stamp_ns), encode(frame[::-1].copy(), stamp_ns))


def drawn_demonstration(seed: int = 0, frames: int = FRAMES) -> Demonstration:
    """The square crosses once, at constant speed."""
    pairs = [drawn_pair(k / (frames - 1), k, seed) for k in range(frames)]
    return Demonstration(
        "move it", tuple(pairs), (0, frames - 1), np.zeros(frames), f"drawn-{seed}"
    )


def write_tiny_model(folder: Path) -> Path:
    """A model folder with random weights and a rehearsal."""
    torch.manual_seed(0)
    encoder = _awake(Encoder(SHAPE))
    export_model(encoder, HopHead(SHAPE), folder, success_threshold=0.9, adapted=False)
    save_rehearsal(_rehearsal(NanoHopModel(folder)), folder)
    return folder


def _awake(encoder: Encoder) -> Encoder:
    """Let the normalisation layers see pictures: random weights alone would fade every signal."""
    frames = np.stack([drawing(share, seed) for share in np.linspace(0, 1, 8) for seed in range(4)])
    with torch.no_grad():
        encoder.keypoint.weight *= 20.0
        for _ in range(40):
            encoder(torch.from_numpy(frames), torch.arange(len(frames)) % 2)
    return encoder.eval()


def _rehearsal(model: NanoHopModel) -> Rehearsal:
    """Another task: the square crosses upside down, from right to left; start and goal, then six moments."""
    shares = (0.0, 1.0, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    seen = [
        model.encode_pixels(np.stack([drawing(s, seed)[:, ::-1], drawing(s, seed)[::-1, ::-1]]))
        for seed in range(5)
        for s in shares
    ]
    first = np.repeat(np.arange(5) * len(shares), len(shares))
    return Rehearsal(
        maps=np.stack([row.maps for row in seen]),
        features=np.stack([row.features for row in seen]),
        phi=np.tile(np.array(shares, np.float32), 5),
        episode=first // len(shares),
        start=first,
        goal=first + 1,
    )
