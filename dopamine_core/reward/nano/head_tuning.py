"""A head, a table of encoded moments and questions about them come in; the head that has learned them goes out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dopamine_core.config import check, setting
from dopamine_core.reward.nano.model import HopHead
from dopamine_core.reward.nano.one_demonstration import (
    DemonstrationQueries,
    Jitter,
    Moments,
    Queries,
    RehearsalQueries,
)

Watch = Callable[[float, float, float], None]  # share done, loss, held-out error


@dataclass(frozen=True)
class TuningConfig:
    """How the head is adapted."""

    steps: int = setting(250, doc="Most optimiser steps.", low=1, high=100_000)
    queries: int = setting(
        96,
        doc="Questions per step about the demonstration, and as many rehearsed.",
        low=8,
        high=4096,
    )
    copies: int = setting(8, doc="Jittered copies of the demonstration.", low=1, high=64)
    light: float = setting(0.15, doc="Spread of their gain, gamma and contrast.", low=0.0, high=1.0)
    tint: float = setting(0.1, doc="Spread of their colour matrix.", low=0.0, high=1.0)
    move: float = setting(
        0.06, doc="Largest shift of their pictures, as a share of the width.", low=0.0, high=0.25
    )
    zoom: float = setting(0.06, doc="Spread of their scale.", low=0.0, high=0.5)
    turn: float = setting(0.05, doc="Spread of their rotation.", unit="rad", low=0.0, high=0.5)
    base_share: float = setting(
        0.4,
        doc="Share of the base model's weights in the result (WiSE-FT, arXiv 2109.01903).",
        low=0.0,
        high=1.0,
    )
    learning_rate: float = setting(7e-4, doc="Peak rate.", low=1e-6, high=0.1)
    weight_decay: float = setting(0.01, doc="AdamW weight decay.", low=0.0, high=1.0)
    phi_weight: float = setting(0.5, doc="Weight of the error of phi.", low=0.0, high=100.0)
    check_every: int = setting(
        20, doc="Steps between looks at the held-out pairs.", low=1, high=1000
    )
    patience: int = setting(8, doc="Looks without gain after which it ends.", low=1, high=1000)
    wrist_dropout: float = setting(
        0.2, doc="Questions without wrist references.", low=0.0, high=1.0
    )
    prior_share: float = setting(
        0.5,
        doc="Share of the base model's own reading in the labels, where it reads the demonstration in order.",
        low=0.0,
        high=1.0,
    )
    completion_margin: float = setting(
        0.1,
        doc="Step of progress at completion: sets done apart from nearly done.",
        low=0.0,
        high=0.5,
    )
    held_out_share: float = setting(
        0.2, doc="Share of moments kept for judging.", low=0.05, high=0.5
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def jitter(self) -> Jitter:
        """How the copies differ from the demonstration: as another scene or cell would."""
        return Jitter(self.light, self.tint, self.move, self.zoom, self.turn)


@dataclass
class Tuned:
    """What tuning did."""

    head: HopHead
    error_before: float  # RMSE of hops on the demonstration's held-out pairs
    error_after: float
    rehearsal_before: float  # the same on rehearsed moments of held-out episodes
    rehearsal_after: float
    steps: int = 0
    stopped_by: str = "steps"  # "steps" | "held-out error" | "time"
    curve: list[tuple[int, float, float]] = field(
        default_factory=list
    )  # step, loss, held-out error


class HeadTuner:
    """Minimises the squared error of hops (Eq. 12) and of phi over a table of encoded moments.

    :param table: demonstration and rehearsal.
    :param seed: the same seed and number of threads give the same head.
    """

    def __init__(self, head: HopHead, table: Moments, config: TuningConfig, seed: int) -> None:
        self.head, self._config = head, config
        self._average = copy.deepcopy(head).eval()
        self._base = copy.deepcopy(self._average)
        seen = table.seen
        self._maps, self._features = torch.from_numpy(seen.maps), torch.from_numpy(seen.features)
        self._present = torch.from_numpy(seen.present)
        self._rng = np.random.default_rng([seed, 1])
        self._seed = seed
        self._optimiser = torch.optim.AdamW(
            head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def run(
        self,
        lessons: tuple[DemonstrationQueries, RehearsalQueries],
        judged: tuple[Queries, Queries],
        deadline_s: float,
        watch: Watch,
    ) -> Tuned:
        """Learn until the held-out error no longer falls, the steps are done or the time is over.

        :param lessons: what is learned, half and half.
        :param judged: held-out questions of the demonstration and of the rehearsal.
        :param deadline_s: on the monotonic clock.
        :param watch: told how it goes; may raise to end it.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            return self._run(lessons, judged, deadline_s, watch)

    def _run(
        self,
        lessons: tuple[DemonstrationQueries, RehearsalQueries],
        judged: tuple[Queries, Queries],
        deadline_s: float,
        watch: Watch,
    ) -> Tuned:
        config = self._config
        before = [self._error(self._average, part) for part in judged]
        tuned = Tuned(copy.deepcopy(self._average), before[0], before[0], before[1], before[1])
        best, stale = _worth(before), 0
        for step in range(1, config.steps + 1):
            loss = self._step([lesson.draw(config.queries, self._rng) for lesson in lessons], step)
            tuned.steps = step
            late = time.monotonic() >= deadline_s
            if step % config.check_every and step < config.steps and not late:
                continue
            candidate = self._candidate()
            errors = [self._error(candidate, part) for part in judged]
            tuned.curve.append((step, loss, errors[0]))
            watch(step / config.steps, loss, errors[0])
            if _worth(errors) < best:
                best, stale = _worth(errors), 0
                tuned.head = candidate
                tuned.error_after, tuned.rehearsal_after = errors
            else:
                stale += 1
            if late or stale >= config.patience:
                tuned.stopped_by = "time" if late else "held-out error"
                break
        return tuned

    @torch.no_grad()
    def _candidate(self) -> HopHead:
        """What was learned, with a share of what was there: other scenes need that."""
        head = copy.deepcopy(self._average)
        ours, base = list(head.parameters()), list(self._base.parameters())
        torch._foreach_lerp_(ours, base, self._config.base_share)
        return head

    def _step(self, parts: list[Queries], step: int) -> float:
        config = self._config
        rate = config.learning_rate * min(1.0, step / 20) * (1.0 - 0.9 * step / config.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self.head.train()
        loss = sum((self._loss(queries) for queries in parts), torch.zeros(()))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.head.parameters(), 1.0)
        self._optimiser.step()
        self._follow(min(0.95, step / (step + 10.0)))
        return float(loss.detach()) / len(parts)

    def _loss(self, queries: Queries) -> Tensor:
        logits, phi = self.head.logits(*self._inputs(queries, self._config.wrist_dropout))
        hop, _ = self.head.expect(logits)
        error = functional.mse_loss(hop, torch.from_numpy(queries.hop))  # Eq. 12
        return error + self._config.phi_weight * functional.mse_loss(
            phi, torch.from_numpy(queries.phi)
        )

    def _inputs(self, queries: Queries, dropout: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        roles = torch.from_numpy(queries.roles)
        present = self._present[roles]  # (Q, 4, 2)
        if dropout:
            blind = torch.from_numpy(self._rng.random(len(roles)) < dropout)
            present[blind, :2, 1] = 0.0
        return self._maps[roles], self._features[roles], present

    @torch.no_grad()
    def _error(self, head: HopHead, queries: Queries) -> float:
        hop, _, _ = head(*self._inputs(queries))
        return float(np.sqrt(np.mean((hop.numpy() - queries.hop) ** 2)))

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        ours = list(self._average.parameters())
        torch._foreach_lerp_(ours, list(self.head.parameters()), 1.0 - decay)


def _worth(errors: list[float]) -> float:
    """What tuning makes small: error on the demonstration, and half as much on what must not be forgotten."""
    return errors[0] + 0.5 * errors[1]


def split_moments(
    frames: int, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Moments to learn from and moments to judge by; the first and the last are always learned from."""
    inner = rng.permutation(np.arange(1, frames - 1))
    held = np.sort(inner[: max(2, round(share * frames))])
    return np.setdiff1d(np.arange(frames), held), held
