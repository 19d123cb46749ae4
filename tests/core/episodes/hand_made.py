"""Hand-made episodes: tiny values with known stamps, so that tests can say what must come out."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    Decision,
    DecisionOwner,
    EncodedImage,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    JointSample,
    ModelId,
    Outcome,
    OutcomeSource,
    Potential,
    Reading,
    Status,
)

MS = 1_000_000
PERIOD = 100 * MS
TICK = 20 * MS
START = 1_000_000 * MS
END_OF_TEST = START + 2000 * MS
JOINTS = tuple(f"joint_{i}" for i in range(1, 7))


def stamp(k: float) -> int:
    """Stamp of decision k; fractions lie between decisions."""
    return START + round(k * PERIOD)


def image(stamp_ns: int, shade: int) -> EncodedImage:
    """A real, small JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade % 256, 40, 90)).save(buffer, "JPEG")
    return EncodedImage(stamp_ns, "jpeg", buffer.getvalue(), 32, 24)


def pair(k: float) -> FramePair:
    """Frames of decision k: 5 ms and 9 ms old."""
    return FramePair(
        image(stamp(k) - 9 * MS, round(4 * k)), image(stamp(k) - 5 * MS, round(4 * k) + 1)
    )


def joints(k: int) -> JointSample:
    """Joint sample of decision k: 2 ms old."""
    return JointSample(stamp(k) - 2 * MS, JOINTS, np.full(6, 0.1 * k), np.zeros(6))


def decision(k: int, episode_id: str = "e1", owner: DecisionOwner = DecisionOwner.DEMO) -> Decision:
    """Decision k, which looks at ``pair(k)`` and ``joints(k)``."""
    front, wrist = pair(k).key
    return Decision(stamp(k), episode_id, k, owner, front, wrist, joints(k).stamp_ns)


def tick(
    stamp_ns: int,
    dx: float = 0.001,
    *,
    source: CommandSource = CommandSource.HUMAN,
    decision_ns: int = 0,
    gripper: float = 0.0,
) -> CommandRecord:
    """One command tick that moves dx metres along x."""
    moved = np.array([dx, 0.0, 0.0, 0.0, 0.0, 0.0])
    return CommandRecord(
        stamp_ns, source, decision_ns, moved, moved, gripper, gripper, JOINTS, np.full(6, dx)
    )


def ticks(count: int, dx: float = 0.001, gripper: float = 0.0) -> list[CommandRecord]:
    """50 Hz ticks of a person over ``count`` decisions, 10 ms off the decisions' grid."""
    stamps = range(START - 10 * MS, stamp(count), TICK)
    return [tick(stamp_ns, dx, gripper=gripper) for stamp_ns in stamps]


def potential(k: int, phi: float, episode_id: str = "e1", status: Status = Status.OK) -> Potential:
    """Label lane's answer to decision k."""
    reading = Reading(status, hop=(0.0, phi, phi - 1), reading=(phi, phi, phi), progress=phi)
    value = phi if status is Status.OK else float("nan")
    return Potential(stamp(k), episode_id, k, reading, value, phi > 0.9, ModelId("nano", "ab" * 32))


def info(
    *,
    episode_id: str = "e1",
    state: EpisodeState = EpisodeState.CLOSED,
    kind: EpisodeKind = EpisodeKind.DEMONSTRATION,
    end_ns: int = 0,
    outcome: Outcome = Outcome.SUCCESS,
    source: OutcomeSource = OutcomeSource.OPERATOR,
    success_ns: int = 0,
) -> EpisodeInfo:
    """State of an episode that started at decision 0."""
    closed = state is EpisodeState.CLOSED
    kept = closed and outcome is Outcome.SUCCESS and kind is EpisodeKind.DEMONSTRATION
    return EpisodeInfo(
        episode_id,
        state,
        kind,
        "insert the peg",
        end_ns if closed else START,
        START - MS,
        end_ns=end_ns if closed else 0,
        outcome=outcome if closed else Outcome.UNKNOWN,
        outcome_source=source if closed else OutcomeSource.NONE,
        success_ns=success_ns,
        kept=kept,
    )
