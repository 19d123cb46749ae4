"""What ROS serialises and a bag stores is read back without ROS as the same values."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from dopamine_msgs.msg import Episode, FramePair, Potential, Reward
from mcap.records import Schema
from mcap_ros2.decoder import DecoderFactory
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import JointState

from dopamine_core.episodes import decode
from dopamine_core.episodes.potential_set import PotentialSet
from dopamine_core.types import CommandRecord, CommandSource, LimitReason, Outcome, ResetState
from dopamine_ros.convert import commands, images, reward
from dopamine_ros.convert.episodes import episode_from_msg, episode_to_msg
from dopamine_ros.schemas import channel_of, schema_text
from dopamine_ros.serialised import serialised
from tests.core.episodes.hand_made import END_OF_TEST, decision, info, joints, pair, potential

RECORD = CommandRecord(
    7,
    CommandSource.POLICY,
    5,
    np.arange(6.0),
    np.arange(6.0) / 2,
    0.25,
    0.5,
    ("joint_1",),
    np.array([0.1]),
    LimitReason.STEP | LimitReason.WORKSPACE,
    "step, workspace",
    ResetState.DONE,
    3,
)
CLEAR_SUCCESS = dataclasses.replace(
    potential(3, 0.5),
    reading=dataclasses.replace(potential(3, 0.5).reading, success_probability=0.75),
)
VALUES = [
    (decision(3), reward.decision_to_msg, decode.decision),
    (potential(3, 0.5), reward.potential_to_msg, decode.potential),
    (CLEAR_SUCCESS, reward.potential_to_msg, decode.potential),
    (RECORD, commands.command_to_msg, decode.command),
    (joints(2), commands.joint_sample_to_msg, decode.joints),
    (pair(2).front, images.encoded_to_msg, decode.image),
    (info(end_ns=END_OF_TEST, outcome=Outcome.STOP), episode_to_msg, decode.episode),
]


def through_a_bag(message: Any) -> Any:
    """Serialise with ROS, decode with the stock decoder and the schema in the bag."""
    channel = channel_of("topic", type(message))
    schema = Schema(1, channel.schema.encode(), "ros2msg", channel.type_name)
    decoder = DecoderFactory().decoder_for("cdr", schema)
    assert decoder is not None
    return decoder(serialised(message))


def plain(value: Any) -> Any:
    """Comparable form of a dataclass with arrays and NaN."""
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return "nan" if isinstance(value, float) and np.isnan(value) else value


@pytest.mark.parametrize(("value", "to_msg", "read"), VALUES, ids=lambda v: type(v).__name__)
def test_values_survive_a_bag(value: Any, to_msg: Any, read: Any) -> None:
    assert plain(read(through_a_bag(to_msg(value)))) == plain(value)


def test_the_monitor_carries_a_models_own_success_probability() -> None:
    reading = CLEAR_SUCCESS.reading
    message = reward.progress_to_msg(reading, pair(2), "e1", CLEAR_SUCCESS.model, 7)
    assert through_a_bag(message).success_probability == 0.75
    silent = reward.progress_to_msg(potential(3, 0.5).reading, None, "", CLEAR_SUCCESS.model, 7)
    assert np.isnan(silent.success_probability)


def test_a_relabelled_episode_comes_back_from_its_message() -> None:
    whole = PotentialSet(
        info(end_ns=END_OF_TEST), CLEAR_SUCCESS.model, "ab" * 32, (CLEAR_SUCCESS, potential(4, 0.25))
    )
    message = reward.potential_set_to_msg(whole, 7)
    assert plain(reward.potential_set_from_msg(through_a_bag(message))) == plain(whole)
    refusal = through_a_bag(reward.no_potentials_to_msg(whole.info, "why", whole.model, 7))
    assert (refusal.status.text, len(refusal.potentials)) == ("why", 0)
    assert refusal.status.code != 0 and refusal.episode.episode_id == "e1"


@pytest.mark.parametrize("kind", [Episode, FramePair, Potential, Reward, JointState])
def test_strict_readers_accept_schema_and_bytes(kind: type) -> None:
    channel = channel_of("topic", kind)
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(channel.schema, channel.type_name))
    assert store.deserialize_cdr(serialised(kind()), channel.type_name) is not None


@pytest.mark.parametrize(
    "sizes", [(0, 0, 0), (1, 1, 0), (7, 7, 7), (3, 0, 0), (2, 2, 0), (1, 0, 1)]
)
def test_joint_states_have_no_stray_bytes(sizes: tuple[int, int, int]) -> None:
    position, velocity, effort = ([0.5] * size for size in sizes)
    names = [f"joint_{i}" for i in range(sizes[0])]
    message = JointState(name=names, position=position, velocity=velocity, effort=effort)
    message.header.frame_id = "base"
    store = get_typestore(Stores.ROS2_JAZZY)
    read = store.deserialize_cdr(serialised(message), "sensor_msgs/msg/JointState")
    assert (list(read.position), list(read.velocity), list(read.effort)) == (
        position,
        velocity,
        effort,
    )


def test_a_schema_holds_each_dependency_once() -> None:
    text = schema_text("dopamine_msgs", "FramePair")
    assert text.count("MSG: sensor_msgs/CompressedImage") == 1
    assert text.count("MSG: builtin_interfaces/Time") == 1
    assert "MSG: dopamine_msgs/FramePair" not in text


def test_an_episode_comes_back_from_its_message() -> None:
    for outcome in Outcome:
        value = info(end_ns=END_OF_TEST, outcome=outcome)
        message = episode_to_msg(value)
        assert episode_from_msg(message) == value
        assert (message.terminated, message.truncated) == (value.terminated, value.truncated)
