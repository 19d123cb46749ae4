"""One demonstration comes in; encoded moments with labels, and the questions to learn from, go out.

Every frame is encoded once as it came and a few times under other light, colours and camera poses. A hop's four
roles are taken from different copies, so that the head learns what changed in the scene and not what changed in the
light. Failures that one demonstration can show: it runs backwards (AFTER is an earlier moment), nothing happens (zero
hops), and the moments just before completion are asked against the goal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.evaluation.metrics import spearman
from dopamine_core.reward.demonstration_progress import decoded
from dopamine_core.reward.hops import balance, hop_label
from dopamine_core.reward.models.nano import NanoHopModel
from dopamine_core.reward.nano.rehearsal import Rehearsal

_ORDERED = 0.9  # rank correlation with time from which the base model's reading counts ...
_ENDED = 0.8  # ... and how far it must see the demonstration come

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Jitter:
    """How much a copy of the demonstration differs from it, alike for all its frames."""

    light: float  # spread of gain, gamma and contrast, as logarithms
    tint: float  # spread of the colour matrix
    move: float  # largest shift, as a share of the picture's width
    zoom: float  # spread of the scale, as a logarithm
    turn: float  # spread of the rotation, rad


SAME_CELL = Jitter(light=0.1, tint=0.05, move=0.03, zoom=0.03, turn=0.03)


@dataclass(frozen=True)
class Encodings:
    """Encoded moments."""

    maps: NDArray[np.float32]  # (N, 2, C, h, w)
    features: NDArray[np.float32]  # (N, 2, F)
    present: NDArray[np.float32]  # (N, 2)


@dataclass(frozen=True)
class Moments:
    """Encoded moments with their progress; the table that queries index."""

    seen: Encodings
    phi: NDArray[np.float32]  # (N,)


@dataclass(frozen=True)
class Queries:
    """Hop questions and their labels."""

    roles: Indices  # (Q, 4) start, goal, before, after: rows of the table
    hop: NDArray[np.float32]  # (Q,)
    phi: NDArray[np.float32]  # (Q, 2) of BEFORE and AFTER


def pixels_of(model: NanoHopModel, demonstration: Demonstration) -> NDArray[np.uint8]:
    """Decode a demonstration for the encoder: (T, V, h, w, 3) uint8; see ``decoded``."""
    return decoded(demonstration, model.size)


def blended(
    progress: NDArray[np.float64], read: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Move labels towards what the base model reads, if it reads the demonstration in the right order, to its end.

    Keyframes found from motion fall where a person hesitates, too; a model that knows the kind of task puts progress
    where the scene changes.

    :param progress: (T,) labels by keyframes, 1 from arrival on.
    :param read: (T,) fused progress of the base model.
    :param share: of the base model, in [0, 1].
    """
    arrived = int(np.argmax(progress >= 1.0))
    rising = (
        np.maximum.accumulate(read[: arrived + 1]) + np.minimum.accumulate(read[arrived::-1])[::-1]
    )
    rising = (rising - rising[0]) / max(float(rising[-1] - rising[0]), 1e-6)
    ordered = spearman(read[: arrived + 1], np.arange(arrived + 1)) >= _ORDERED
    ordered &= read[arrived] >= _ENDED
    mixed = progress.copy()
    if ordered:
        mixed[: arrived + 1] += share * (rising - progress[: arrived + 1])
    return mixed


def with_margin(progress: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """Set arrival apart: what comes before ends at ``1 - margin``, so that done differs from nearly done."""
    return np.where(progress >= 1.0, 1.0, progress * (1.0 - margin))


def encode_copies(
    model: NanoHopModel,
    pixels: NDArray[np.uint8],
    copies: int,
    how: Jitter,
    rng: np.random.Generator,
    watch: Callable[[float], None],
) -> Encodings:
    """Encode a demonstration as it came and jittered; row ``copy * T + t``, copy 0 as it came.

    :param pixels: (T, V, h, w, 3) uint8.
    :param copies: jittered copies beside the original.
    :param how: how much they differ.
    :param watch: called with the share that is done; may raise to end it.
    """
    rows = []
    for copy in range(copies + 1):
        shown = pixels if copy == 0 else jitter(pixels, how, rng)
        rows += [model.encode_pixels(frame) for frame in shown]
        watch((copy + 1) / (copies + 1))
    return Encodings(
        maps=np.stack([row.maps for row in rows]),
        features=np.stack([row.features for row in rows]),
        present=np.stack([row.present for row in rows]),
    )


def jitter(pixels: NDArray[np.uint8], how: Jitter, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change light, colours and pose of both cameras, alike for all frames of a copy.

    :param pixels: (T, V, h, w, 3) uint8.
    """
    shown = []
    for view in range(pixels.shape[1]):
        x = pixels[:, view].astype(np.float32) / 255.0
        mixed = np.eye(3) + rng.normal(0.0, how.tint, (3, 3))
        x = np.clip(x @ mixed.T.astype(np.float32), 1e-3, 1.0)
        x = x ** np.float32(np.exp(rng.normal(0.0, how.light)))
        x = x * np.float32(np.exp(rng.normal(0.0, how.light)))
        x = (x - x.mean()) * np.float32(np.exp(rng.normal(0.0, how.light))) + x.mean()
        x = x + rng.normal(0.0, 0.008, x.shape).astype(np.float32)
        shown.append(_moved(np.clip(x * 255.0, 0, 255).astype(np.uint8), how, rng))
    return np.stack(shown, axis=1)


def _moved(frames: NDArray[np.uint8], how: Jitter, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shift, zoom and turn (T, h, w, 3) about the middle; the border repeats."""
    height, width = frames.shape[1:3]
    shift = rng.uniform(-how.move, how.move, 2) * width
    scale, angle = np.exp(rng.normal(0.0, how.zoom)), rng.normal(0.0, how.turn)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    middle = np.array([width, height]) / 2.0
    offset = middle + shift - turn @ middle
    # Pixel (x, y) of the result is taken from turn @ (x, y) + offset of a picture with a repeated border.
    rim = width // 4
    coefficients = np.column_stack([turn, offset + rim]).ravel().tolist()
    padded = np.pad(frames, ((0, 0), (rim, rim), (rim, rim), (0, 0)), mode="edge")
    return np.stack(
        [
            np.asarray(
                Image.fromarray(frame).transform(
                    (width, height),
                    Image.Transform.AFFINE,
                    coefficients,
                    Image.Resampling.BILINEAR,
                )
            )
            for frame in padded
        ]
    )


class DemonstrationQueries:
    """Draws questions about one demonstration.

    :param table: its moments, ``copies + 1`` times T rows.
    :param frames: T.
    :param times: moments that may be asked about (others are held out); start and goal always serve as references.
    """

    def __init__(self, table: Moments, frames: int, times: Indices) -> None:
        self._phi = table.phi[:frames]
        self._frames, self._copies = frames, len(table.phi) // frames
        self._times = times
        late = times[self._phi[times] >= 0.7]
        self._late = late if len(late) else times
        a, b = (grid.ravel() for grid in np.meshgrid(times, times))
        self._before, self._after = a[a != b], b[a != b]
        self._gaps = np.abs(self._before - self._after)
        self._scores = hop_label(self._phi[self._before], self._phi[self._after])

    def draw(self, count: int, rng: np.random.Generator) -> Queries:
        """Half balanced pairs, 5 % zero hops, the rest asked from the first frame and from the goal."""
        zeros, pairs = max(1, count // 20), count // 2
        picked = balance(self._scores, self._gaps, pairs, rng)
        still = rng.choice(self._times, zeros)
        anchored = self._anchored(count - len(picked) - zeros, rng)
        before = np.concatenate([self._before[picked], still, anchored[0]])
        after = np.concatenate([self._after[picked], still, anchored[1]])
        return self._queries(before, after, rng)

    def every(self) -> Queries:
        """All anchored questions of the moments, and each against a few others, as they came."""
        times = self._times
        near = times[np.minimum(np.arange(len(times)) + 1, len(times) - 1)]
        first, last = np.zeros_like(times), np.full_like(times, self._frames - 1)
        before = np.concatenate([first, last, times, near])
        after = np.concatenate([times, times, near, times])
        return self._queries(before, after, None)

    def _anchored(self, count: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
        """From the first frame (Eq. 6) and from the goal (Eq. 7), the late moments twice as often."""
        times = np.where(
            rng.random(count) < 0.5, rng.choice(self._times, count), rng.choice(self._late, count)
        )
        return np.where(rng.random(count) < 0.5, 0, self._frames - 1), times

    def _queries(self, before: Indices, after: Indices, rng: np.random.Generator | None) -> Queries:
        start, goal = np.zeros_like(before), np.full_like(before, self._frames - 1)
        hop = hop_label(self._phi[before], self._phi[after]).astype(np.float32)
        roles = np.stack([start, goal, before, after], axis=1)
        if rng is not None:
            roles = roles + self._copy_of(before, rng)
        return Queries(roles, hop, np.stack([self._phi[before], self._phi[after]], axis=1))

    def _copy_of(self, before: Indices, rng: np.random.Generator) -> Indices:
        """Row offsets (Q, 4): references of one copy, episode of another; a goal as BEFORE mostly the former."""
        shown = rng.integers(0, self._copies, (len(before), 2)) * self._frames
        anchored = (before == self._frames - 1) & (rng.random(len(before)) < 0.8)
        return np.stack(
            [shown[:, 0], shown[:, 0], np.where(anchored, shown[:, 0], shown[:, 1]), shown[:, 1]],
            axis=1,
        )


class RehearsalQueries:
    """Draws questions about moments of the training tasks.

    :param rehearsal: what ships beside the weights.
    :param episodes: episodes that may be asked about.
    :param offset: row of the table at which the rehearsal begins.
    """

    def __init__(self, rehearsal: Rehearsal, episodes: Indices, offset: int) -> None:
        self._rehearsal, self._offset = rehearsal, offset
        a, b = np.nonzero(rehearsal.episode[:, None] == rehearsal.episode[None, :])
        seen = _asked(rehearsal) & np.isin(rehearsal.episode, episodes)
        fit = seen[a] & seen[b] & (a != b)
        self._before, self._after = a[fit], b[fit]
        self._moments = np.flatnonzero(seen)
        first = np.full(int(rehearsal.episode.max()) + 1, len(seen))
        np.minimum.at(first, rehearsal.episode[self._moments], self._moments)
        self._first = first  # (E,) earliest moment of each episode

    def draw(self, count: int, rng: np.random.Generator) -> Queries:
        """Half pairs within episodes, half asked from the first moment and from the goal."""
        picked = rng.integers(0, len(self._before), count // 2)
        after = rng.choice(self._moments, count - len(picked))
        episode = self._rehearsal.episode[after]
        forward = rng.random(len(after)) < 0.5
        anchor = np.where(forward, self._first[episode], self._rehearsal.goal[after])
        before = np.concatenate([self._before[picked], anchor])
        after = np.concatenate([self._after[picked], after])
        return self._queries(before, after)

    def _queries(self, before: Indices, after: Indices) -> Queries:
        r = self._rehearsal
        roles = np.stack([r.start[after], r.goal[after], before, after], axis=1) + self._offset
        hop = hop_label(r.phi[before], r.phi[after]).astype(np.float32)
        return Queries(roles, hop, np.stack([r.phi[before], r.phi[after]], axis=1))


def _asked(rehearsal: Rehearsal) -> NDArray[np.bool_]:
    """Rows that are moments, not references."""
    asked = np.ones(len(rehearsal.phi), bool)
    asked[rehearsal.start] = asked[rehearsal.goal] = False
    return asked


def joined(
    demonstration: Encodings, progress: NDArray[np.float64], rehearsal: Rehearsal
) -> Moments:
    """One table: the demonstration's copies, all with the same progress (T,), then the rehearsal."""
    copies = len(demonstration.maps) // len(progress)
    both = np.ones((len(rehearsal.phi), 2), np.float32)
    seen = Encodings(
        maps=np.concatenate([demonstration.maps, rehearsal.maps]),
        features=np.concatenate([demonstration.features, rehearsal.features]),
        present=np.concatenate([demonstration.present, both]),
    )
    phi = np.concatenate([np.tile(progress, copies).astype(np.float32), rehearsal.phi])
    return Moments(seen, phi)
