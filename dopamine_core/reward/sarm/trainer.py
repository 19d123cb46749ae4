"""Labelled, encoded demonstrations come in, a fitted network goes out.

The image features are frozen; a small transformer over a window of frames learns the stage (cross-entropy) and the
progress within it (squared error) at every frame of the window. Made-up runs are drawn from the demonstrations: at
several paces, held at the end, and rewound, so that progress can also be lost (arXiv 2509.25358, 2505.10911).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError
from dopamine_core.reward.nano.one_demonstration import Jitter
from dopamine_core.reward.sarm.lesson import Lesson, Run
from dopamine_core.reward.sarm.network import LastFrame, SarmNetwork, SarmShape
from dopamine_core.reward.sarm.stages import MATCH, STAGES
from dopamine_core.reward.sarm.windows import Paths, draw_paths
from dopamine_core.reward.success import CONSECUTIVE

_SMALLEST_DEVIATION = 1e-3  # of a feature that hardly varies
_WARM_UP = 20  # steps


@dataclass(frozen=True)
class SarmConfig:
    """How the model is made and trained."""

    stages: str = setting(
        MATCH,
        doc="match: as many stages as is usual among the demonstrations; exact: all must have equally many keyframes; "
        "single: one stage, whatever the keyframes say.",
        choices=STAGES,
    )
    done_share: float = setting(0.1, doc="Progress kept for being done.", low=0.0, high=0.5)
    window: int = setting(9, doc="Frames looked at, the first one included.", low=3, high=64)
    gap: int = setting(3, doc="Frames between those.", low=1, high=100)
    width: int = setting(64, doc="Width of the transformer.", low=8, high=1024)
    layers: int = setting(2, doc="Layers of the transformer.", low=1, high=12)
    heads: int = setting(4, doc="Attention heads; they divide the width.", low=1, high=16)
    dropout: float = setting(0.2, doc="Dropout.", low=0.0, high=0.9)
    copies: int = setting(4, doc="Jittered copies of each demonstration.", low=0, high=64)
    light: float = setting(0.25, doc="Spread of a copy's light, as a logarithm.", low=0.0, high=1.0)
    tint: float = setting(0.1, doc="Spread of a copy's colours.", low=0.0, high=1.0)
    move: float = setting(
        0.05, doc="Largest shift of a copy, as a share of the width.", low=0.0, high=0.5
    )
    zoom: float = setting(0.05, doc="Spread of a copy's scale, as a logarithm.", low=0.0, high=0.5)
    turn: float = setting(0.04, doc="Spread of a copy's rotation.", unit="rad", low=0.0, high=0.5)
    steps: int = setting(800, doc="Training steps.", low=1, high=10**6)
    batch: int = setting(64, doc="Runs of a step.", low=1, high=4096)
    learning_rate: float = setting(1e-3, doc="Learning rate.", low=1e-6, high=1.0)
    weight_decay: float = setting(0.01, doc="Weight decay.", low=0.0, high=1.0)
    rewind: float = setting(0.5, doc="Share of runs that go back.", low=0.0, high=1.0)
    paces: int = setting(2, doc="Highest pace of a run, in frames per decision.", low=1, high=8)
    wrist_dropout: float = setting(0.2, doc="Share of runs without wrist view.", low=0.0, high=0.9)
    check_every: int = setting(50, doc="Steps between two reports.", low=1, high=10**6)

    def __post_init__(self) -> None:
        check(self)
        if self.width % self.heads:
            raise ConfigError(
                expected="a width that the heads divide",
                got=f"width {self.width}, {self.heads} heads",
                remedy="correct them",
            )

    @property
    def jitter(self) -> Jitter:
        """How much a copy differs from its demonstration."""
        return Jitter(self.light, self.tint, self.move, self.zoom, self.turn)


class Trainer:
    """Fits the network to made-up runs.

    :param lesson: what is learned from.
    :param seed: of the network's first weights and of the runs.
    """

    def __init__(self, lesson: Lesson, config: SarmConfig, seed: int) -> None:
        self._runs, self.config = lesson.runs, config
        self.plan, self.period_s = lesson.plan, lesson.period_s
        self._rng = np.random.default_rng([seed, 1])
        torch.manual_seed(seed)
        seen = np.concatenate([_seen(run) for run in lesson.runs])  # (frames, F)
        deviation = np.maximum(seen.std(0), _SMALLEST_DEVIATION)
        shape = SarmShape(
            features=seen.shape[1],
            classes=self.plan.stages + 1,
            window=config.window,
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            dropout=config.dropout,
        )
        self.network = SarmNetwork(
            shape, torch.from_numpy(seen.mean(0)), torch.from_numpy(deviation)
        )
        self.losses: list[float] = []
        self.stopped_by = "steps"

    def run(self, deadline_s: float, watch: Callable[[float, float], None]) -> None:
        """Train until the steps are done or the time is over."""
        config = self.config
        optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.network.train()
        for step in range(1, config.steps + 1):
            rate = min(1.0, step / _WARM_UP) * (1.0 - 0.95 * step / config.steps)
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * rate
            loss = self._loss()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            optimiser.step()
            self.losses.append(float(loss.detach()))
            if step % config.check_every == 0 or step == config.steps:
                watch(step / config.steps, float(np.mean(self.losses[-config.check_every :])))
            if time.monotonic() >= deadline_s and step < config.steps:
                self.stopped_by = "time"
                break
        self.network.eval()

    def _loss(self) -> torch.Tensor:
        """Cross-entropy of the stage and squared error of the progress within the true one."""
        config, rng = self.config, self._rng
        chosen = rng.integers(0, len(self._runs), config.batch)
        length = np.array([self._runs[k].frames for k in chosen])
        hold = config.window * config.gap // 2
        paths = draw_paths(length, rng, rewind=config.rewind, hold=hold, paces=config.paces)
        features, present, stage, tau = self._windows(chosen, paths, length)
        present[rng.random(config.batch) < config.wrist_dropout, :, 1] = 0.0
        logits, within = self.network(torch.from_numpy(features), torch.from_numpy(present))
        truth = torch.from_numpy(stage)
        of_stage = functional.cross_entropy(logits.flatten(0, 1), truth.flatten())
        at_truth = within.gather(-1, truth[..., None])[..., 0]
        inside = (truth < self.plan.stages).float()  # "done" has no progress within
        error = ((at_truth - torch.from_numpy(tau)) ** 2 * inside).sum() / inside.sum().clamp(
            min=1.0
        )
        return of_stage + error

    def _windows(
        self, chosen: NDArray[np.int64], paths: Paths, length: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        at = paths.window(self.config.window, self.config.gap, length)  # (B, N)
        runs = [self._runs[k] for k in chosen]
        copies = [self._rng.integers(0, len(run.features)) for run in runs]
        parts = list(zip(runs, copies, at, strict=True))
        return (
            np.stack([run.features[copy, frames] for run, copy, frames in parts]),
            np.stack([np.tile(run.present, (len(frames), 1)) for run, _, frames in parts]),
            np.stack([run.labels.stage[frames] for run, _, frames in parts]),
            np.stack([run.labels.tau[frames] for run, _, frames in parts]),
        )

    @torch.no_grad()
    def read(self, run: Run, copy: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probabilities and progress within the classes at every frame of a run, the end held: (T', K + 1) each."""
        ends = np.arange(run.frames + CONSECUTIVE - 1)
        none, one = np.zeros_like(ends), np.ones_like(ends)
        length = np.full(len(ends), run.frames)
        at = Paths(ends, none, one).window(self.config.window, self.config.gap, length)
        features = torch.from_numpy(run.features[copy][at])
        present = torch.from_numpy(np.tile(run.present, (*at.shape, 1)))
        probability, tau = LastFrame(self.network)(features, present)
        return probability.double().numpy(), tau.double().numpy()


def _seen(run: Run) -> NDArray[np.float32]:
    """Features of the views that are there: (frames, F)."""
    views = int(run.present.sum())
    return run.features[:, :, :views].reshape(-1, run.features.shape[-1])
