"""One observation from pair, joints, command and Phi; one encoder; a missing reading is named, never zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dopamine_core.control.kinematics import FINGER_JOINT, Kinematics
from dopamine_core.errors import ConfigError, DopamineError, FrameError, ImageError, LearnerError
from dopamine_core.frames.codec import encode
from dopamine_core.rl.encoder import FrozenEncoder
from dopamine_core.rl.observation import ObservationBuilder, ObservationConfig, Sensed
from dopamine_core.types import EncodedImage, FramePair, JointSample
from tests.core.rl.constant_policy import mean_colour_encoder

KINEMATICS = Kinematics()
Q = np.array([0.1, 0.2, 1.9, 0.0, 1.0, 0.0])
ALL = ("position", "height", "orientation", "gripper", "contact")


def shade(value: int) -> EncodedImage:
    return encode(np.full((48, 64, 3), value, np.uint8), 5)


def sensed(**changes: object) -> Sensed:
    joints = JointSample(7, (*KINEMATICS.joint_names, FINGER_JOINT), np.array([*Q, 0.01]))
    values = {
        "pair": FramePair(shade(40), shade(200)),
        "joints": joints,
        "commanded": Q,
        "phi": 0.25,
    }
    return Sensed(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> FrozenEncoder:
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    path.write_bytes(mean_colour_encoder())
    return FrozenEncoder(path, name="mean_colour")


def builder(encoder: FrozenEncoder, *names: str) -> ObservationBuilder:
    return ObservationBuilder(encoder, KINEMATICS, ObservationConfig(proprioception=names))


def test_columns_stand_where_the_layout_says(encoder: FrozenEncoder) -> None:
    made = builder(encoder, *ALL)
    assert made.layout == (
        "front:3 wrist:3 position:3 height:1 orientation:3 gripper:1 contact:3 phi:1"
    )
    row = made.build(sensed())
    pose = KINEMATICS.forward(Q)
    assert row.shape == (made.size,) and row.dtype == np.float32
    assert row[:6] == pytest.approx([40.0] * 3 + [200.0] * 3, abs=2.0)
    assert row[6:9] == pytest.approx(pose.position, abs=1e-6)
    assert row[9] == pytest.approx(pose.position[2], abs=1e-6)
    assert row[13] == pytest.approx(0.75)
    assert row[14:17] == pytest.approx(np.zeros(3), abs=1e-6)
    assert row[17] == 0.25
    assert made.floor.shape == (12,)


def test_contact_is_commanded_minus_measured(encoder: FrozenEncoder) -> None:
    pushed = KINEMATICS.step(Q, np.array([0.0, 0.0, -0.004, 0.0, 0.0, 0.0])).q
    row = builder(encoder, "contact").build(sensed(commanded=pushed))
    assert row[6:9] == pytest.approx([0.0, 0.0, -0.004], abs=3e-4)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"phi": float("nan")}, FrameError, "a potential"),
        ({"commanded": None}, FrameError, "commanded joint positions"),
        (
            {"joints": JointSample(7, KINEMATICS.joint_names, Q)},
            FrameError,
            "joint 'finger_joint'",
        ),
        ({"joints": JointSample(7, (FINGER_JOINT,), np.array([0.01]))}, DopamineError, "joint_1"),
        (
            {"pair": FramePair(EncodedImage(1, "jpeg", b"cut", 64, 48), shade(1))},
            ImageError,
            "readable",
        ),
    ],
)
def test_what_is_missing_is_named(
    encoder: FrozenEncoder, changes: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        builder(encoder, *ALL).build(sensed(**changes))


def test_what_is_not_asked_for_may_be_missing(encoder: FrozenEncoder) -> None:
    row = builder(encoder, "position").build(sensed(commanded=None))
    assert np.isfinite(row).all()


@pytest.mark.parametrize("names", [("smell",), ("position", "position")])
def test_unknown_columns_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="proprioception"):
        ObservationConfig(proprioception=names)


def test_same_bytes_give_the_same_features_alone_or_again(encoder: FrozenEncoder) -> None:
    pair = FramePair(shade(10), shade(90))
    assert np.array_equal(encoder.features(pair), encoder.features(pair))


def test_the_encoder_is_known_by_its_hash(encoder: FrozenEncoder, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(mean_colour_encoder())
    assert FrozenEncoder(path, sha256=encoder.sha256).sha256 == encoder.sha256
    with pytest.raises(LearnerError, match="with hash 000000000000"):
        FrozenEncoder(path, sha256="0" * 64)


@pytest.mark.parametrize("data", [b"", b"text", mean_colour_encoder()[:100]])
def test_a_corrupt_encoder_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(data)
    with pytest.raises(LearnerError, match=r"encoder\.onnx"):
        FrozenEncoder(path)


def test_a_missing_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match=r"an encoder at .*nowhere\.onnx"):
        FrozenEncoder(tmp_path / "nowhere.onnx")
