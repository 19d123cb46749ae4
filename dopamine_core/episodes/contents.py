"""What stands in an episode's bag: topics and metadata records, spelled once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dopamine_core.types import EpisodeInfo

FRONT_IMAGE = "front/image/compressed"
WRIST_IMAGE = "wrist/image/compressed"
DECISION = "decision"
POTENTIAL = "reward/potential"
REWARD = "reward/terms"
COMMAND = "command/executed"
JOINT_STATES = "joint_states"
EPISODE = "episode"
FORMAT_VERSION = "1"

EPISODE_RECORD = "episode"
KEYFRAMES_RECORD = "keyframes"


def episode_record(info: EpisodeInfo) -> dict[str, str]:
    """Metadata by which a person or a tool knows an episode without decoding messages."""
    return {
        "format_version": FORMAT_VERSION,
        "episode_id": info.episode_id,
        "kind": info.kind.name.lower(),
        "task": info.task,
        "state": info.state.name.lower(),
        "outcome": info.outcome.name.lower(),
        "outcome_source": info.outcome_source.name.lower(),
        "kept": str(info.kept).lower(),
    }


def keyframes_record(keyframes: Sequence[int], marked_ns: Sequence[int]) -> dict[str, str]:
    """Metadata of the keyframes: decision indices and the operator's marks."""
    return {
        "decisions": ",".join(str(index) for index in keyframes),
        "marked_ns": ",".join(str(stamp) for stamp in marked_ns),
    }


def keyframes_of(metadata: Mapping[str, Mapping[str, str]]) -> tuple[int, ...] | None:
    """Decision indices of the recorded keyframes; None when they were never found.

    :raises ValueError: when the record is damaged.
    """
    if KEYFRAMES_RECORD not in metadata:
        return None
    text = metadata[KEYFRAMES_RECORD].get("decisions", "")
    return tuple(int(index) for index in text.split(",") if index)


def marks_of(metadata: Mapping[str, Mapping[str, str]]) -> tuple[int, ...]:
    """Moments that the operator marked."""
    text = metadata.get(KEYFRAMES_RECORD, {}).get("marked_ns", "")
    return tuple(int(stamp) for stamp in text.split(",") if stamp)
