"""Recorded bags come in, episodes and demonstrations go out, through the same assembler as live."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.records import Schema
from mcap_ros2.decoder import DecoderFactory

from dopamine_core.episodes import contents, decode
from dopamine_core.episodes.assembler import AssemblerConfig, EpisodeAssembler
from dopamine_core.episodes.bag import BagContent, BagMessage, read_bag
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.demonstration import Demonstration, demonstration_of
from dopamine_core.episodes.keyframes import find_keyframes
from dopamine_core.errors import DopamineError, RecordingError
from dopamine_core.types import (
    EncodedImage,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
)

# A bag is read at once, so the assembler must not forget what its decisions name.
_WHOLE_BAG = AssemblerConfig(history_s=60.0)
_DECODERS: dict[str, Callable[[Any], Any]] = {
    contents.FRONT_IMAGE: decode.image,
    contents.WRIST_IMAGE: decode.image,
    contents.DECISION: decode.decision,
    contents.POTENTIAL: decode.potential,
    contents.COMMAND: decode.command,
    contents.JOINT_STATES: decode.joints,
    contents.EPISODE: decode.episode,
}


# What decoding damaged or foreign bytes may raise.
_UNREADABLE = (
    DopamineError,
    McapError,
    struct.error,
    ValueError,
    AttributeError,
    IndexError,
    TypeError,
)


def load_episode(
    path: Path | str, *, info: EpisodeInfo | None = None, to_success: bool = True
) -> EpisodeData:
    """Load one recorded episode.

    A recording without a close (recovered after a crash) is a truncated episode of unknown outcome.

    :param path: ``*.mcap`` of one episode.
    :param info: state of the episode when it is known better than the recording says; None takes the recording's.
    :param to_success: whether decisions after the success stamp are dropped.
    :raises RecordingError: when it is missing, damaged, or holds no episode.
    """
    path = Path(path)
    content = read_bag(path)
    values = _decode(path, content)
    assembler = EpisodeAssembler(_WHOLE_BAG)
    info = dataclasses.replace(info or _episode_info(path, values), bag_path=str(path))
    for method, topic in (
        ("add_decision", contents.DECISION),
        ("add_potential", contents.POTENTIAL),
        ("add_joints", contents.JOINT_STATES),
        ("add_command", contents.COMMAND),
    ):
        for value in values.get(topic, []):
            getattr(assembler, method)(value)
    for pair in _pairs(values):
        assembler.add_pair(pair)
    assembler.on_episode(info if to_success else dataclasses.replace(info, success_ns=0))
    episode = dataclasses.replace(assembler.flush()[0], info=info)
    return _with_keyframes(path, episode, content)


def load_demonstration(path: Path | str) -> Demonstration:
    """Load one kept demonstration.

    :raises RecordingError: when the bag cannot be read.
    :raises DemonstrationError: when the operator did not keep it or too many frames are lost.
    """
    return demonstration_of(load_episode(path))


def _decode(path: Path, content: BagContent) -> dict[str, list[Any]]:
    """Turn the messages of each known topic into core values."""
    factory = DecoderFactory()
    schemas: dict[str, Schema] = {}
    values: dict[str, list[Any]] = {}
    for message in content.messages:
        name = message.channel.topic
        if name in _DECODERS:
            schema = schemas.setdefault(message.channel.type_name, _schema(message, len(schemas)))
            values.setdefault(name, []).append(_value(path, factory, schema, message))
    return values


def _value(path: Path, factory: DecoderFactory, schema: Schema, message: BagMessage) -> Any:
    topic = message.channel.topic
    try:
        decoder = factory.decoder_for("cdr", schema)
        if decoder is None:
            raise ValueError(f"no decoder for {schema.name}")
        return _DECODERS[topic](decoder(message.data))
    except _UNREADABLE as error:
        raise RecordingError(
            expected=f"a readable message on '{topic}' in {path}",
            got=f"{type(error).__name__}: {error}",
            remedy="the recording is damaged or of another version: restore it or leave it out",
        ) from error


def _schema(message: BagMessage, count: int) -> Schema:
    channel = message.channel
    return Schema(count + 1, channel.schema.encode(), "ros2msg", channel.type_name)


def _episode_info(path: Path, values: dict[str, list[Any]]) -> EpisodeInfo:
    """State of the episode at its end; the latest correction counts."""
    states = values.get(contents.EPISODE, [])
    if not states:
        raise RecordingError(
            expected=f"an episode in {path}",
            got="no message on 'episode'",
            remedy="only recordings of the demo node can be loaded",
        )
    closed = [state for state in states if state.state is EpisodeState.CLOSED]
    if closed:
        return closed[-1]
    last_ns = max([d.stamp_ns for d in values.get(contents.DECISION, [])] + [states[-1].stamp_ns])
    text = "the recording ends without a close"
    return dataclasses.replace(
        states[-1], state=EpisodeState.CLOSED, stamp_ns=last_ns, end_ns=last_ns, text=text
    )


def _pairs(values: dict[str, list[Any]]) -> list[FramePair]:
    """The pairs that the decisions name, where both frames are there."""
    front = _by_stamp(values.get(contents.FRONT_IMAGE, []))
    wrist = _by_stamp(values.get(contents.WRIST_IMAGE, []))
    named = dict.fromkeys(decision.frames_key for decision in values.get(contents.DECISION, []))
    return [FramePair(front[a], wrist[b]) for a, b in named if a in front and b in wrist]


def _by_stamp(images: list[EncodedImage]) -> dict[int, EncodedImage]:
    return {image.stamp_ns: image for image in images}


def _with_keyframes(path: Path, episode: EpisodeData, content: BagContent) -> EpisodeData:
    """Add the recorded keyframes; those of a demonstration are found now if they never were."""
    try:
        keyframes = contents.keyframes_of(content.metadata)
        marked = contents.marks_of(content.metadata)
    except ValueError as error:
        raise RecordingError(
            expected=f"decision indices in the keyframes record of {path}",
            got=str(error),
            remedy="correct the record",
        ) from error
    if keyframes is None and episode.info.kind is EpisodeKind.DEMONSTRATION:
        stamps = [decision.stamp_ns for decision in episode.decisions]
        keyframes = find_keyframes(stamps, episode.actions, marked)
    inside = tuple(mark for mark in keyframes or () if mark < len(episode))
    return dataclasses.replace(episode, keyframes=inside)
