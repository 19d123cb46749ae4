"""The processes of one run: who is who, what they sum and wait for, and what is said when one is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from dopamine_core.errors import LearnerError

_BUCKET = 32 << 20  # elements of a gradient that travel at once


@dataclass(frozen=True)
class Processes:
    """This process among all of a run.

    :param rank: number of this process; 0 writes.
    :param count: number of processes.
    """

    rank: int
    count: int
    device: torch.device
    mesh: DeviceMesh | None

    @property
    def first(self) -> bool:
        """Whether this process writes logs and results."""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """Sum numbers over all processes."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return sums.tolist()

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Sum gradients over all processes, where each holds all of them."""
        if self.count == 1:
            return
        for bucket in _buckets(parameters):
            flat = torch.cat([_gradient(p).flatten() for p in bucket])
            dist.all_reduce(flat)
            for parameter, part in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                parameter.grad = part.view_as(parameter)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined_processes(timeout_s: float) -> Iterator[Processes]:
    """Join the processes that torchrun started; without it this one is alone.

    :param timeout_s: longest wait for another process.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if count == 1:
        yield Processes(0, 1, device, None)
        return
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    try:
        yield Processes(dist.get_rank(), count, device, init_device_mesh(device.type, (count,)))
    finally:
        dist.destroy_process_group()


@contextmanager
def named_loss(processes: Processes, remedy: Any) -> Iterator[None]:
    """Turn what a lost process or a request to end does to this one into a named error.

    :param remedy: asked for words only then.
    """

    def ended(number: int, _: Any) -> None:
        raise LearnerError(
            expected="a run to its end",
            got=f"{signal.Signals(number).name} to process {processes.rank} of {processes.count}",
            remedy=remedy(),
        )

    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if not _is_lost(error):
            raise
        raise LearnerError(
            expected=f"all {processes.count} processes",
            got=f"no answer from one, seen by process {processes.rank} ({str(error).splitlines()[0]})",
            remedy=remedy(),
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_lost(error: BaseException) -> bool:
    """Whether an error speaks of the connection between processes; gloo has no class of its own for it."""
    words = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in words or "connection closed by peer" in words


def _buckets(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for parameter in parameters:
        if bucket and sum(p.numel() for p in bucket) + parameter.numel() > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket


def _gradient(parameter: Tensor) -> Tensor:
    """A parameter that this process's items do not touch sums as zero."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
