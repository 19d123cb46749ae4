"""What bags hold is read as values; recordings of an earlier version stay readable."""

import dataclasses
import math

import pytest
from mcap.records import Schema
from mcap_ros2.decoder import DecoderFactory

from dopamine_core.episodes import decode
from dopamine_core.episodes.bag import BagMessage
from dopamine_core.types import Potential
from tests.core.episodes import bag_messages
from tests.core.episodes.hand_made import potential


def read(message: BagMessage) -> Potential:
    """Decode with the schema that stands in the bag."""
    channel = message.channel
    schema = Schema(1, channel.schema.encode(), "ros2msg", channel.type_name)
    decoder = DecoderFactory().decoder_for("cdr", schema)
    assert decoder is not None
    return decode.potential(decoder(message.data))


def answer() -> Potential:
    plain = potential(3, 0.5)
    return dataclasses.replace(
        plain, reading=dataclasses.replace(plain.reading, success_probability=0.25)
    )


def test_a_models_own_success_probability_is_read() -> None:
    assert read(bag_messages.potential(answer())).reading.success_probability == 0.25


def test_a_recording_without_the_field_says_that_there_is_none() -> None:
    old = bag_messages.potential(answer(), without="success_probability")
    assert "success_probability" not in old.channel.schema
    got = read(old)
    assert math.isnan(got.reading.success_probability)
    assert (got.potential, got.success, got.model) == (
        pytest.approx(0.5),
        answer().success,
        answer().model,  # what stands behind the missing field is read rightly
    )
