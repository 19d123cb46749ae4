"""A seed comes in; within a block, random numbers are its own, and those outside go on as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seed of one's own within the block.

    :param device: that is drawn on, beside the CPU.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
