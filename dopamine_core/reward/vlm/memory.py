"""How much memory a checkpoint will take comes out, before it is loaded, and is compared with what is free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from dopamine_core.errors import ModelError
from dopamine_core.reward.vlm.files import CheckpointFiles

GIB = 1 << 30
NONE, FOUR_BIT = "none", "4bit"
_MARGIN = 0.10  # fragmentation and buffers of the libraries
_WORKING_BYTES = 512 << 20  # activations and cached prefixes of a few queries
_FOUR_BIT_BYTES = 0.5 + 4.0 / 64.0  # a half byte and one float32 scale per 64 weights


def estimate_bytes(files: CheckpointFiles, dtype: torch.dtype, quantisation: str = NONE) -> int:
    """Estimate the memory that a loaded checkpoint takes while it answers.

    :param dtype: what the weights are kept in.
    :param quantisation: ``4bit``: the language model's matrices are kept in 4 bits, everything else in ``dtype``.
    """
    weights = 0.0
    for name, tensor in files.tensors.items():
        small = quantisation == FOUR_BIT and _is_quantised(name, tensor.shape)
        weights += tensor.elements * (_FOUR_BIT_BYTES if small else dtype.itemsize)
    return int(weights * (1.0 + _MARGIN)) + _WORKING_BYTES


def free_bytes(device: torch.device) -> int:
    """Return what is free on a device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def check_memory(needed: int, device: torch.device, what: str) -> None:
    """Refuse what cannot fit.

    :param needed: bytes.
    :param what: for the message, e.g. a checkpoint's name.
    :raises ModelError: when less is free.
    """
    free = free_bytes(device)
    if needed > free:
        raise ModelError(
            expected=f"{needed / GIB:.1f} GiB free on {device} for {what}",
            got=f"{free / GIB:.1f} GiB",
            remedy="end what else uses the device, take a smaller checkpoint, or set quantisation: 4bit",
        )


@contextmanager
def room_for(what: str, device: torch.device) -> Iterator[None]:
    """Say what to do when a pass finds no memory, and free what the library holds.

    :param what: for the message, e.g. ``a clip``.
    :raises ModelError: when the device's memory does not suffice.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise ModelError(
            expected=f"memory for {what} on {device}",
            got=str(error).splitlines()[0],
            remedy="end what else uses the device, lower at_once, frames or max_pixels, or set quantisation: 4bit",
        ) from error


def _is_quantised(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and "language_model" in name and "embed" not in name
