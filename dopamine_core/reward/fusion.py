"""Three hops come in, three readings and one fused progress go out.

Equation numbers are those of arXiv 2512.23703 v1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dopamine_core.config import check, setting

Triple = tuple[float, float, float]  # incremental, forward-anchored, backward-anchored


@dataclass(frozen=True)
class FusionConfig:
    """How three readings become one."""

    mode: str = setting(
        "mean",
        doc="Fusion of the readings: their mean (Eq. 8), the consistency check (Eq. 9-11), or its "
        "absolute-gap form that predicts by the incremental reading and corrects by the anchors.",
        choices=("mean", "consistency", "absolute_gap"),
    )
    chain: str = setting(
        "fused",
        doc="What the incremental reading chains from: the fused progress or its own last value.",
        choices=("fused", "own"),
    )
    alpha: float = setting(
        20.0, doc="Sharpness of the consistency weight (Eq. 10).", low=0.0, high=1000.0
    )
    eps: float = setting(
        1e-6, doc="Keeps the relative gap finite at zero progress (Eq. 9).", low=1e-12, high=1.0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class FusedSample:
    """One fused sample.

    ``sensitivity`` is how much each reading moves the progress at a fixed consistency weight; it
    turns the uncertainty of hops into that of progress.
    """

    readings: Triple  # each in [0, 1]
    progress: float  # Phi* in [0, 1]
    consistency: float  # w in [0, 1]; NaN where the mode has none
    sensitivity: Triple


def clamp(value: float) -> float:
    """Limit to [0, 1]."""
    return min(1.0, max(0.0, value))


def step(progress: float, hop: float) -> float:
    """Progress gained by a hop (Eq. 4): a share of what is left, or of what was reached.

    :param progress: Phi* that the hop starts from, in [0, 1].
    :param hop: in [-1, 1].
    """
    return (1.0 - progress) * hop if hop >= 0.0 else progress * hop


def read(hops: Triple, chained: float) -> Triple:
    """Turn hops into readings, each clamped to [0, 1] (Eq. 5-7).

    :param hops: incremental, forward-anchored, backward-anchored; each in [-1, 1].
    :param chained: Phi* (or the incremental reading's own last value) that the chain stands at.
    """
    incremental = chained + step(chained, hops[0])  # Eq. 5
    forward = hops[1]  # Eq. 6
    backward = 1.0 + hops[2]  # Eq. 7
    return clamp(incremental), clamp(forward), clamp(backward)


def fuse(hops: Triple, previous: float, chained: float, config: FusionConfig) -> FusedSample:
    """Fuse one sample.

    :param hops: incremental, forward-anchored, backward-anchored; each in [-1, 1].
    :param previous: fused progress Phi*(t-1) of the last valid sample, in [0, 1].
    :param chained: what the incremental reading chains from, in [0, 1]; for chain ``fused`` this is
        ``previous``.
    """
    readings = read(hops, chained)
    if config.mode == "mean":
        third = 1.0 / 3.0
        return FusedSample(
            readings, clamp(sum(readings) / 3.0), math.nan, (third, third, third)
        )  # Eq. 8
    _, forward, backward = readings
    anchored = (forward + backward) / 2.0  # m of Eq. 9
    gap = abs(backward - forward)
    if config.mode == "consistency":
        weight = math.exp(-config.alpha * (gap / (anchored + config.eps)) ** 2)  # Eq. 9, 10
        gained = step(chained, hops[0])
        progress = previous + (weight / 2.0) * (anchored - previous + gained)  # Eq. 11
        sensitivity = (weight / 2.0, weight / 4.0, weight / 4.0)
    else:
        weight = math.exp(-config.alpha * gap**2)
        progress = readings[0] + (weight / 2.0) * (anchored - readings[0])
        sensitivity = (1.0 - weight / 2.0, weight / 4.0, weight / 4.0)
    return FusedSample(readings, clamp(progress), weight, sensitivity)


class Chain:
    """The recursion over one episode: Phi*(0) = 0, an invalid sample leaves it where it is."""

    def __init__(self, config: FusionConfig) -> None:
        self.config = config
        self.started = False
        self.progress = 0.0  # Phi* of the last valid sample
        self.own = 0.0  # its incremental reading

    @property
    def chained(self) -> float:
        """What the incremental reading chains from."""
        return self.own if self.config.chain == "own" else self.progress

    def fuse(self, hops: Triple) -> FusedSample:
        """Fuse the next sample without advancing; the first one's incremental hop is not used."""
        if not self.started:
            readings = read((0.0, hops[1], hops[2]), 0.0)
            return FusedSample(readings, 0.0, math.nan, (0.0, 0.0, 0.0))
        return fuse(hops, self.progress, self.chained, self.config)

    def advance(self, sample: FusedSample) -> None:
        """Go on from a valid sample."""
        self.started = True
        self.progress, self.own = sample.progress, sample.readings[0]

    def start(self) -> None:
        """Go on from a first frame whose answer was invalid: Phi* there is 0 all the same."""
        self.started = True
