"""A store of episodes comes in; a trained nano GRM goes out, with the curve of its losses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from dopamine_core.reward.nano.batches import Batch, BatchMaker
from dopamine_core.reward.nano.config import TrainingConfig
from dopamine_core.reward.nano.losses import (
    GEOMETRY_SCALE_M,
    NanoNet,
    augment,
    geometry_loss,
    hop_losses,
)
from dopamine_core.reward.nano.model import NanoShape
from dopamine_core.reward.nano.store import EpisodeStore

OnProgress = Callable[[str, float], None]
_TOOL = slice(0, 3)  # geometry columns of the tool's position
_WARM_STEPS, _TIMED_STEPS = 10, 40  # speed is measured between these two
_LOADERS = 4


@dataclass
class Curve:
    """Losses over the steps, and how fast they went."""

    steps: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)
    total_steps: int = 0
    seconds: float = 0.0
    device: str = ""


class Trainer:
    """Trains one network on one store.

    :param store: training episodes.
    :param config: settings.
    :param shape: sizes of the network.
    :param device: torch device; the frames are moved there when it is a GPU.
    """

    def __init__(
        self, store: EpisodeStore, config: TrainingConfig, shape: NanoShape, device: torch.device
    ) -> None:
        torch.manual_seed(config.seed)
        self._config, self.device, self._store = config, device, store
        self._frames = _load_frames(store, device)
        self._mean, targets = _standardise(store)
        self._targets = torch.from_numpy(targets).to(device)  # (N, G)
        self.net = NanoNet(shape, len(store.tasks), targets.shape[1]).to(device)
        self.net = self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = NanoNet(shape, len(store.tasks), targets.shape[1]).to(device)
        self.average.load_state_dict(self.net.state_dict())
        self._generator = torch.Generator(device=device).manual_seed(config.seed)
        self._optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def run(self, on_progress: OnProgress | None = None) -> Curve:
        """Train to the end of the schedule; ``average`` then holds the weights to ship."""
        curve = Curve(total_steps=self._config.steps, device=str(self.device))
        batches = _batches(self._store, self._config, self.device)
        began = warm = time.monotonic()
        self.net.train()
        step = 0
        while step < curve.total_steps:
            terms = self._step(next(batches), self._learning_rate(step, curve.total_steps), step)
            step += 1
            if step == _WARM_STEPS:
                warm = self._clock()
            if step == _TIMED_STEPS:
                self._fit_schedule(curve, (self._clock() - warm) / (_TIMED_STEPS - _WARM_STEPS))
            if step % 50 == 0 or step == curve.total_steps:
                _note(curve, step, terms)
                if on_progress:
                    on_progress("train", step / curve.total_steps)
        curve.seconds = self._clock() - began
        return curve

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()

    def _fit_schedule(self, curve: Curve, step_s: float) -> None:
        """Shorten the schedule when it would take longer than allowed."""
        affordable = int(self._config.train_minutes * 60.0 / step_s)
        curve.total_steps = max(_TIMED_STEPS + 1, min(curve.total_steps, affordable))

    def _learning_rate(self, step: int, total: int) -> float:
        """Linear warm-up, then cosine to zero."""
        config = self._config
        warm = max(1.0, config.warm_up * total)
        if step < warm:
            return config.learning_rate * (step + 1) / warm
        return (
            config.learning_rate
            * 0.5
            * (1.0 + math.cos(math.pi * (step - warm) / max(1.0, total - warm)))
        )

    def _step(self, batch: Batch, rate: float, step: int) -> dict[str, Tensor]:
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        terms = self._terms(batch)
        config = self._config
        loss = 0.5 * terms["hop_entropy"] + 4.0 * (
            terms["hop_mse"] + config.phi_weight * terms["phi_mse"]
        )
        loss = loss + config.geometry_weight * terms["geometry"]
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._optimiser.step()
        self._follow(min(config.ema, (step + 1.0) / (step + 10.0)))
        return {name: term.detach() for name, term in terms.items()}

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        device = self.device
        index = torch.from_numpy(batch.frames)
        roles = torch.from_numpy(batch.roles).to(device)
        phi = torch.from_numpy(batch.phi).to(device)
        x = augment(self._pixels(index), torch.from_numpy(batch.look).to(device), self._generator)
        view = torch.arange(2, device=device).repeat(len(index))
        with torch.autocast(device.type, torch.bfloat16, enabled=_half_is_fast(device)):
            flat = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            maps, features = self.net.encoder.encode(flat, view)
            maps = maps.view(len(index), 2, *maps.shape[1:])
            features = features.view(len(index), 2, -1)
            present = torch.from_numpy(batch.present).to(device)
            logits, guess = self.net.head.logits(maps[roles], features[roles], present)
        hop = torch.from_numpy(batch.hop).to(device)
        terms = hop_losses(self.net.head, logits, guess, hop, phi[roles[:, 2:]])
        target = self._targets[index.to(device)]
        tool = 0.2 * torch.nan_to_num(target[:, _TOOL])
        reads = self.net.geometry(features, tool, torch.from_numpy(batch.task).to(device))
        terms["geometry"] = geometry_loss(reads, target)
        return terms

    def _pixels(self, index: Tensor) -> Tensor:
        if isinstance(self._frames, Tensor):
            return self._frames[index.to(self.device)]
        return torch.from_numpy(np.stack([self._frames[i] for i in index.tolist()])).to(self.device)

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        """Move the averaged weights, running statistics included, towards the trained ones."""
        ours = [t for t in self.average.state_dict().values() if t.is_floating_point()]
        theirs = [t for t in self.net.state_dict().values() if t.is_floating_point()]
        torch._foreach_lerp_(ours, theirs, 1.0 - decay)


def _half_is_fast(device: torch.device) -> bool:
    """Whether bf16 arithmetic has units of its own: any CUDA device, or a CPU with AMX tiles."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


def _load_frames(store: EpisodeStore, device: torch.device) -> Tensor | np.ndarray:
    """All frames on the GPU, or the memory map on a CPU."""
    if device.type != "cuda":
        return store.frames
    frames = torch.empty(store.frames.shape, dtype=torch.uint8, device=device)
    for first in range(0, len(frames), 4096):
        chunk = np.ascontiguousarray(store.frames[first : first + 4096])
        frames[first : first + len(chunk)].copy_(torch.from_numpy(chunk))
    return frames


def _standardise(store: EpisodeStore) -> tuple[np.ndarray, np.ndarray]:
    """Centre geometry per task and scale it: (tasks, G) means and (N, G) targets."""
    task = store.frame_task()
    means = np.stack([_mean(store.geometry[task == t]) for t in range(len(store.tasks))])
    return means, ((store.geometry - means[task]) / GEOMETRY_SCALE_M).astype(np.float32)


def _mean(rows: np.ndarray) -> np.ndarray:
    known = np.isfinite(rows)
    total = np.where(known, rows, 0.0).sum(axis=0)
    return total / np.maximum(known.sum(axis=0), 1)


def _note(curve: Curve, step: int, terms: dict[str, Tensor]) -> None:
    curve.steps.append(step)
    for name, term in terms.items():
        curve.losses.setdefault(name, []).append(float(term))


class _BatchStream(IterableDataset[Batch]):
    """An endless stream of batches; each loading process has its own seed."""

    def __init__(self, store: EpisodeStore, config: TrainingConfig) -> None:
        self._store, self._config = store, config

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        seed = self._config.seed + 7919 * (0 if worker is None else worker.id)
        maker = BatchMaker(self._store, self._config, seed)
        while True:
            yield maker.make()


def _batches(store: EpisodeStore, config: TrainingConfig, device: torch.device) -> Iterator[Batch]:
    """Batches in an order that depends on the seed alone; made beside the training on a GPU machine."""
    stream = _BatchStream(store, config)
    if device.type != "cuda":
        return iter(stream)
    loader = DataLoader(stream, batch_size=None, num_workers=_LOADERS, prefetch_factor=4)
    return iter(loader)
