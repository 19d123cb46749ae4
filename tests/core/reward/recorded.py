"""Recordings of a bar that fills, as the demo node writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dopamine_core.episodes import contents
from dopamine_core.episodes.bag import BagWriter
from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    Decision,
    DecisionOwner,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    JointSample,
    ModelId,
    Outcome,
    Potential,
    Reading,
    Status,
)
from tests.core.episodes import bag_messages
from tests.core.episodes.hand_made import JOINTS, MS, PERIOD, START, TICK
from tests.core.reward.toy_model import bar_pair

LIVE = ModelId("live", "11" * 32)
LIVE_PHI = 0.125  # what the live model always says
TASK = "fill the bar"


def closed(
    name: str,
    start_ns: int,
    count: int,
    *,
    bag: Path,
    kind: EpisodeKind = EpisodeKind.ROLLOUT,
    outcome: Outcome = Outcome.TIME_LIMIT,
    success_index: int | None = None,
) -> EpisodeInfo:
    """State of such an episode after its close."""
    success_ns = 0
    if outcome is Outcome.SUCCESS:
        success_ns = start_ns + (count - 1 if success_index is None else success_index) * PERIOD
    end_ns = start_ns + (count - 1) * PERIOD + MS
    return EpisodeInfo(
        name,
        EpisodeState.CLOSED,
        kind,
        TASK,
        end_ns,
        start_ns - MS,
        end_ns,
        outcome,
        success_ns=success_ns,
        kept=kind is EpisodeKind.DEMONSTRATION,
        bag_path=str(bag),
    )


def write_bar_episode(
    folder: Path,
    name: str,
    shares: Sequence[float],
    *,
    start_ns: int = START,
    lost: Sequence[int] = (),
    kind: EpisodeKind = EpisodeKind.ROLLOUT,
    outcome: Outcome = Outcome.TIME_LIMIT,
    success_index: int | None = None,
) -> Path:
    """Record an episode in which the bar shows the given shares; potentials are the live model's.

    :param lost: decisions whose frames are not in the recording.
    :param success_index: decision of the success stamp; the last one when left out.
    """
    path = folder / f"{name}.mcap"
    count = len(shares)
    info = closed(
        name, start_ns, count, bag=path, kind=kind, outcome=outcome, success_index=success_index
    )
    stamps = [start_ns + k * PERIOD for k in range(count)]
    pairs = [bar_pair(share, ns) for share, ns in zip(shares, stamps, strict=True)]
    kept = [pair for k, pair in enumerate(pairs) if k not in lost]
    owner = DecisionOwner.DEMO if kind is EpisodeKind.DEMONSTRATION else DecisionOwner.AGENT
    reading = Reading(Status.OK, reading=(LIVE_PHI,) * 3, progress=LIVE_PHI)
    moved = np.array([0.001, 0.0005, -0.001, 0.0, 0.0, 0.0])
    ticks = range(start_ns - TICK, info.end_ns + TICK, TICK)
    folder.mkdir(parents=True, exist_ok=True)
    writer = BagWriter(path)
    for message in (
        [bag_messages.image(contents.FRONT_IMAGE, pair.front) for pair in kept]
        + [bag_messages.image(contents.WRIST_IMAGE, pair.wrist) for pair in kept]
        + [
            bag_messages.joints(JointSample(ns, JOINTS, np.full(6, 0.02 * k)))
            for k, ns in enumerate(stamps)
        ]
        + [
            bag_messages.decision(Decision(ns, name, k, owner, ns, ns, ns))
            for k, ns in enumerate(stamps)
        ]
        + [
            bag_messages.command(
                CommandRecord(
                    ns, CommandSource.HUMAN, 0, moved, moved, 1.0, 1.0, JOINTS, np.full(6, 0.004)
                )
            )
            for ns in ticks
        ]
        + [
            bag_messages.potential(Potential(ns, name, k, reading, LIVE_PHI, False, LIVE))
            for k, ns in enumerate(stamps)
        ]
        + [bag_messages.episode(info)]
    ):
        writer.write(message)
    writer.add_metadata(contents.EPISODE_RECORD, contents.episode_record(info))
    return writer.finish()
