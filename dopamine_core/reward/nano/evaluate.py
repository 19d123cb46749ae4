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

from dopamine_core.evaluation import metrics
from dopamine_core.reward.fusion import Chain, FusionConfig
from dopamine_core.reward.nano.losses import NanoNet
from dopamine_core.reward.nano.store import EpisodeStore
from dopamine_core.reward.success import held_level

READINGS = ("incremental", "forward", "backward", "fused")


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
    return fuse_hops(torch.cat(hops).view(3, count).double().cpu().numpy())


def fuse_hops(hops: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Run the recursion over hops (3, T), ordered incremental, forward, backward."""
    chain, own = Chain(FusionConfig()), Chain(FusionConfig(chain="own"))
    rows = []
    for triple in hops.T:
        row = (float(triple[0]), float(triple[1]), float(triple[2]))
        sample, alone = chain.fuse(row), own.fuse(row)
        chain.advance(sample)
        own.advance(alone)
        rows.append((alone.readings[0], sample.readings[1], sample.readings[2], sample.progress))
    return dict(zip(READINGS, np.array(rows).T, strict=True))


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
    experts = [s for s in scored if s.expert]
    others = [s for s in scored if not s.expert]
    counts = [metrics.regressions_seen(s.progress[reading], s.truth) for s in scored]
    total = sum(count.total for count in counts)
    return {
        "voc": metrics.nan_mean([metrics.voc(s.progress[reading]) for s in experts]),
        "rank_imperfect": metrics.nan_mean(
            [metrics.spearman(s.progress[reading], s.truth) for s in others]
        ),
        "rmse": metrics.nan_mean([metrics.rmse(s.progress[reading], s.truth) for s in scored]),
        "regressions_seen": sum(count.seen for count in counts) / total if total else float("nan"),
        "regressions": float(total),
        "episodes": float(len(scored)),
    }


def choose_threshold(scored: Sequence[Scored]) -> float:
    """Success threshold of the unadapted model: best balanced accuracy of the success rule over episodes."""
    peaks = [held_level(s.progress["fused"]) for s in scored]
    done = np.array([bool(s.done.any()) for s in scored])
    candidates = np.linspace(0.6, 0.98, 77)
    if not scored:
        return 0.9
    scores = []
    for threshold in candidates:
        fired = np.array(peaks) >= threshold
        caught = float(fired[done].mean()) if done.any() else 1.0
        false = float(fired[~done].mean()) if (~done).any() else 0.0
        scores.append(
            caught - 2.0 * false
        )  # a false success ends an episode and teaches the wrong thing
    return float(candidates[int(np.argmax(scores))])
