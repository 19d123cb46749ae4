"""A step number comes in, the items and the learning rate of that step go out: a run's place is its step alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import ConfigError
from dopamine_core.reward.grm.training_at_scale.settings import TrainingSettings


class Schedule:
    """Which items each process sees in each step.

    Items come in the order of one permutation per epoch; a step takes the next ``batch`` of them, and process r of R
    every R-th of these. The steps' items do not depend on the number of processes.

    :param items: number of items.
    :param processes: number of processes, which must share a batch evenly.
    :raises ConfigError: when they cannot.
    """

    def __init__(self, settings: TrainingSettings, items: int, processes: int = 1) -> None:
        if settings.batch % processes:
            raise ConfigError(
                expected=f"a batch that {processes} processes can share evenly",
                got=f"{settings.batch}",
                remedy="set batch to a multiple of the number of processes",
            )
        self._settings, self._items, self._processes = settings, items, processes
        self.steps = settings.steps or math.ceil(settings.epochs * items / settings.batch)
        share = settings.batch // processes
        self.micro_batches = math.ceil(share / settings.micro_batch)

    def items_of(self, step: int) -> NDArray[np.int64]:
        """Item numbers of a step: (batch,)."""
        first = step * self._settings.batch
        places = np.arange(first, first + self._settings.batch)
        epochs = places // self._items
        orders = {epoch: self._order(int(epoch)) for epoch in np.unique(epochs)}
        return np.array([orders[e][p % self._items] for e, p in zip(epochs, places, strict=True)])

    def micro_batches_of(self, step: int, process: int) -> list[list[int]]:
        """Item numbers of each of a process's passes in a step."""
        share = self.items_of(step)[process :: self._processes].tolist()
        size = self._settings.micro_batch
        return [share[k : k + size] for k in range(0, len(share), size)]

    def from_step(self, step: int, process: int) -> Iterator[list[int]]:
        """Item numbers of all passes from a step to the end."""
        for later in range(step, self.steps):
            yield from self.micro_batches_of(later, process)

    def rate_factor(self, step: int) -> float:
        """Share of the learning rate: linear warm-up, then cosine to zero."""
        warm = math.ceil(self._settings.warm_up_share * self.steps)
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._settings.seed, epoch]).permutation(self._items)
