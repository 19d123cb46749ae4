"""A learner, questions to learn from and questions to judge on come in; the best adapters found go out.

Everything a step does follows from its number and the seed, so that a run broken off goes on as if nothing had been.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dopamine_core.errors import ModelError
from dopamine_core.reward.grm.training.adapt_config import AdaptConfig
from dopamine_core.reward.grm.training.collate import Question
from dopamine_core.reward.grm.training.learner import Learner, Weights
from dopamine_core.reward.grm.training.randomness import own_random

STEPS, HELD_OUT, TIME = "steps", "held-out error", "time"
_ORDER = 2  # tells the order of pairs from the seed's other uses

Watch = Callable[[float, float, float], None]  # share done, loss, held-out error


@dataclass
class Tuning:
    """How far it is, and what was best. Plain values and tensors, as they are written to disk."""

    step: int = 0
    spent_s: float = 0.0
    before: float = math.nan  # RMSE of hops on the held-out pairs
    best: float = math.inf
    best_step: int = 0
    mass: float = math.nan  # least probability of a score on the held-out pairs, at the best step
    stale: int = 0  # looks without gain
    stopped_by: str = ""
    curve: list[list[float]] = field(default_factory=list)  # step, mean loss since the last, error
    losses: list[float] = field(default_factory=list)  # since the last look
    weights: Weights = field(default_factory=dict)
    best_weights: Weights = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)


Save = Callable[[Tuning], None]


class Tuner:
    """Lowers the loss by AdamW until the held-out error no longer falls, the steps are done or the time is over.

    :param lessons: questions to learn from.
    :param judged: held-out questions.
    :param seed: the same seed and number of threads give the same adapters on a CPU.
    """

    def __init__(
        self,
        learner: Learner,
        lessons: Sequence[Question],
        judged: Sequence[Question],
        config: AdaptConfig,
        seed: int,
    ) -> None:
        self._learner, self._lessons, self._judged = learner, lessons, judged
        self._config, self._seed = config, seed
        self._labels = np.array([question.hop for question in judged])
        self._optimiser = torch.optim.AdamW(
            learner.parameters, lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def run(self, begun: Tuning | None, budget_s: float, watch: Watch, save: Save) -> Tuning:
        """Learn; leaves the best adapters in the learner.

        :param begun: where an earlier run was broken off; it is gone on with.
        :param budget_s: time for all runs together.
        :param watch: told after every step; may raise to end it.
        :param save: given the state every so often.
        :raises ModelError: when the loss is not finite.
        """
        tuning = self._restored(begun) if begun else self._fresh()
        before_s, began_s = tuning.spent_s, time.monotonic()
        while not tuning.stopped_by:
            loss = self._step(tuning)
            tuning.spent_s = before_s + time.monotonic() - began_s
            self._judge(tuning, late=tuning.spent_s >= budget_s)
            watch(tuning.step / self._config.steps, loss, _last_error(tuning))
            if tuning.step % self._config.save_every == 0 or tuning.stopped_by:
                self._keep(tuning)
                save(tuning)
        self._learner.put(tuning.best_weights)
        return tuning

    def _fresh(self) -> Tuning:
        error, mass = self._look()
        weights = self._learner.weights()
        return Tuning(before=error, best=error, mass=mass, best_weights=weights)

    def _restored(self, begun: Tuning) -> Tuning:
        self._learner.put(begun.weights)
        self._optimiser.load_state_dict(begun.optimiser)
        return begun

    def _keep(self, tuning: Tuning) -> None:
        tuning.weights = self._learner.weights()
        tuning.optimiser = copy.deepcopy(self._optimiser.state_dict())

    def _step(self, tuning: Tuning) -> float:
        """One step of the optimiser over a batch, a few pairs at a time."""
        config = self._config
        batch = [self._lessons[k] for k in self._batch(tuning.step)]
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * rate_factor(config, tuning.step)
        self._optimiser.zero_grad(set_to_none=True)
        total = 0.0
        seed = self._seed * config.steps + tuning.step  # of dropout
        with own_random(seed, self._learner.checkpoint.device), self._learner.learning():
            for begin in range(0, len(batch), config.micro_batch):
                few = batch[begin : begin + config.micro_batch]
                loss = self._learner.loss(few) * (len(few) / len(batch))
                loss.backward()
                total += float(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(self._learner.parameters, config.clip_norm)
        if not (math.isfinite(total) and math.isfinite(float(norm))):
            raise ModelError(
                expected=f"a finite loss and gradient in step {tuning.step + 1}",
                got=f"{total} and {float(norm)}",
                remedy="lower learning_rate",
            )
        self._optimiser.step()
        tuning.step += 1
        tuning.losses.append(total)
        return total

    def _batch(self, step: int) -> NDArray[np.int64]:
        """Pairs of a step: each epoch is a permutation, and steps run through them without a gap."""
        count, size = len(self._lessons), self._config.batch
        places = np.arange(step * size, (step + 1) * size)
        orders = {
            int(epoch): np.random.default_rng([self._seed, _ORDER, int(epoch)]).permutation(count)
            for epoch in np.unique(places // count)
        }
        return np.array([orders[int(place // count)][place % count] for place in places])

    def _judge(self, tuning: Tuning, *, late: bool) -> None:
        """Look at the held-out pairs when it is time to; the best adapters are kept."""
        done = tuning.step >= self._config.steps
        if tuning.step % self._config.check_every and not done and not late:
            return
        error, mass = self._look()
        tuning.curve.append([tuning.step, float(np.mean(tuning.losses)), error])
        tuning.losses = []
        if error < tuning.best:
            tuning.best, tuning.best_step, tuning.stale = error, tuning.step, 0
            tuning.mass, tuning.best_weights = mass, self._learner.weights()
        else:
            tuning.stale += 1
        if done or late or tuning.stale >= self._config.patience:
            tuning.stopped_by = STEPS if done else TIME if late else HELD_OUT

    def _look(self) -> tuple[float, float]:
        """RMSE of hops on the held-out pairs, and the least probability of a score."""
        read = self._learner.read(self._judged)
        error = float(np.sqrt(np.mean((read.hops - self._labels) ** 2)))
        return error, float(read.mass.min())


def rate_factor(config: AdaptConfig, step: int) -> float:
    """Share of the learning rate: linear warm-up, then cosine to zero.

    :param step: of the step that is about to be done, from 0.
    """
    warm = math.ceil(config.warm_up_share * config.steps)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, config.steps - warm)))


def _last_error(tuning: Tuning) -> float:
    return tuning.curve[-1][2] if tuning.curve else tuning.before
