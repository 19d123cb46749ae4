"""A network and stored episodes come in; progress curves and their figures go out, in batches on the training device.

The published figures come from ``benchmarks/nano_progress.py``, which goes through the reward model's seam; this is the
trainer's own look at episodes it has not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dopamine_core.evaluation import score
from dopamine_core.reward.nano.losses import NanoNet
from dopamine_core.reward.nano.store import EpisodeStore

_THRESHOLDS = np.linspace(0.6, 0.98, 39)
_FALLBACK_THRESHOLD = 0.9  # without an episode to choose by


@dataclass(frozen=True)
class EncodedFrames:
    """Frames after the encoder."""

    maps: Tensor  # (N, 2, C, h, w)
    features: Tensor  # (N, 2, F)


@torch.no_grad()
def encode_frames(net: NanoNet, frames: NDArray[np.uint8], device: torch.device) -> EncodedFrames:
    """Encode (N, 2, h, w, 3) uint8 frames."""
    maps, features = [], []
    for first in range(0, len(frames), 256):
        chunk = torch.from_numpy(np.array(frames[first : first + 256])).to(device)
        view = torch.arange(2, device=device).repeat(len(chunk))
        m, f = net.encoder(chunk.flatten(0, 1), view)
        maps.append(m.view(len(chunk), 2, *m.shape[1:]))
        features.append(f.view(len(chunk), 2, -1))
    return EncodedFrames(torch.cat(maps), torch.cat(features))


@torch.no_grad()
def curves(
    net: NanoNet, episode: EncodedFrames, start: EncodedFrames, goal: EncodedFrames
) -> dict[str, NDArray[np.float64]]:
    """Progress (T,) of one episode by each reading and fused (Eq. 5-8); start and goal hold one pair each."""
    count = len(episode.maps)
    maps = torch.cat([start.maps, goal.maps, episode.maps])
    features = torch.cat([start.features, goal.features, episode.features])
    after = torch.arange(2, count + 2)
    befores = [
        torch.cat([after[:1], after[:-1]]),
        torch.full_like(after, 2),
        torch.full_like(after, 1),
    ]
    roles = torch.cat(
        [torch.stack([after * 0, after * 0 + 1, before, after], 1) for before in befores]
    )
    roles = roles.to(maps.device)
    hops = []
    for part in roles.split(512):
        present = torch.ones(len(part), 4, 2, device=maps.device)
        hops.append(net.head(maps[part], features[part], present)[0])
    return score.curves(torch.cat(hops).view(3, count).double().cpu().numpy().T)


@dataclass(frozen=True)
class Scored:
    """One episode's curves beside the truth."""

    task: str
    expert: bool
    mode: str
    progress: dict[str, NDArray[np.float64]]
    label: NDArray[np.float64]
    truth: NDArray[np.float64]
    done: NDArray[np.bool_]

    def judged(self, reading: str) -> score.JudgedEpisode:
        """Put one curve beside the truth."""
        return score.JudgedEpisode(self.progress[reading], self.truth, self.done, self.expert)


def score_store(
    net: NanoNet, store: EpisodeStore, episodes: Sequence[int], device: torch.device, seed: int = 0
) -> list[Scored]:
    """Score stored episodes, each with the references of a sibling demonstration out of the same choice."""
    rng = np.random.default_rng(seed)
    chosen = np.asarray(episodes, np.int64)
    scored = []
    net.eval()
    for e in chosen:
        siblings = [
            i for i in chosen if i != e and store.expert[i] and store.task[i] == store.task[e]
        ]
        if not siblings:
            continue
        other = store.span(int(rng.choice(siblings)))
        references = [
            encode_frames(net, store.frames[i : i + 1], device)
            for i in (other.start, other.stop - 1)
        ]
        span = store.span(int(e))
        progress = curves(net, encode_frames(net, store.frames[span], device), *references)
        name = store.tasks[int(store.task[e])]
        truth, label = store.truth[span].astype(float), store.label[span].astype(float)
        row = Scored(
            name, bool(store.expert[e]), store.modes[e], progress, label, truth, store.done[span]
        )
        scored.append(row)
    return scored


def figures(scored: Sequence[Scored], reading: str = "fused") -> dict[str, float]:
    """The trainer's figures over some episodes."""
    return score.figures([one.judged(reading) for one in scored])


def choose_threshold(scored: Sequence[Scored]) -> float:
    """Success threshold of the unadapted model: most right calls of the success rule, less twice the false ones.

    A false success ends an episode and teaches the wrong thing; a missed one costs time.
    """
    if not scored:
        return _FALLBACK_THRESHOLD
    judged = [one.judged("fused") for one in scored]
    table = {float(t): score.success_figures(judged, float(t)) for t in _THRESHOLDS}
    return max(table, key=lambda t: table[t]["right"] - 2.0 * table[t]["false"])
