"""The nano back end: what it loads, what it refuses, and that it answers as torch does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.reward.models.nano import NanoHopModel, read_folder
from dopamine_core.reward.nano.head_weights import load_head
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import HopModel, HopQuery, References
from dopamine_core.types import EncodedImage, FramePair, Status
from tests.core.reward.tiny_nano import drawn_pair


@pytest.fixture
def copied(tiny_nano: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_nano, tmp_path / "model"))


def describe(folder: Path, **changes: object) -> None:
    """Change ``model.json``."""
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def remove_encoder(folder: Path) -> None:
    (folder / "encoder.onnx").unlink()


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "head.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "head.onnx").write_bytes(bytes(content))


def truncate_description(folder: Path) -> None:
    (folder / "model.json").write_text('{"format": 1,')


def other_format(folder: Path) -> None:
    describe(folder, format=99)


def no_threshold(folder: Path) -> None:
    describe(folder, success_threshold=0.0)


def garbage_with_its_hash(folder: Path) -> None:
    import hashlib

    (folder / "head.onnx").write_bytes(b"not a model")
    describe(folder, head_sha256=hashlib.sha256(b"not a model").hexdigest())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (remove_encoder, "encoder.onnx"),
        (flip_a_bit, "sha256"),
        (truncate_description, "model.json"),
        (other_format, "format 99"),
        (no_threshold, "threshold 0.0"),
        (garbage_with_its_hash, "readable ONNX"),
    ],
)
def test_damaged_folders_are_named(copied: Path, damage: object, says: str) -> None:
    damage(copied)  # type: ignore[operator]
    with pytest.raises(ModelError, match=says):
        load_reward_model("nano", str(copied))


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        NanoHopModel(tmp_path / "nowhere")


def test_hash_covers_both_files(copied: Path) -> None:
    before = NanoHopModel(copied).model_id
    described = json.loads((copied / "model.json").read_text())
    assert before.name == "nano" and not before.adapted
    assert before.sha256 not in (described["encoder_sha256"], described["head_sha256"])
    describe(copied, adapted=True)
    assert NanoHopModel(copied).model_id.adapted


def query(model: NanoHopModel, before: float, after: float) -> HopQuery:
    ends = [model.encode(drawn_pair(share, 0)) for share in (0.0, 1.0)]
    asked = [model.encode(drawn_pair(share, 0)) for share in (before, after)]
    return HopQuery("move it", *ends, *asked)


def test_batch_equals_one_by_one(tiny_nano: Path) -> None:
    model = NanoHopModel(tiny_nano)
    assert isinstance(model, HopModel)
    queries = [query(model, *pair) for pair in ((0.0, 0.5), (0.5, 0.2), (1.0, 1.0))]
    together = model.hops(queries)
    alone = [model.hops([one])[0] for one in queries]
    assert [a.status for a in together] == [Status.OK] * 3
    np.testing.assert_allclose([a.hop for a in together], [a.hop for a in alone], atol=1e-5)
    assert model.hops([]) == []


def test_head_comes_back_from_what_ships(tiny_nano: Path) -> None:
    model = NanoHopModel(tiny_nano)
    row = query(model, 0.1, 0.8)
    roles = (row.start, row.goal, row.before, row.after)
    inputs = [
        np.stack([getattr(r, n) for r in roles])[None] for n in ("maps", "features", "present")
    ]
    with torch.no_grad():
        expected = load_head(read_folder(tiny_nano))(*map(torch.from_numpy, inputs))
    for ours, theirs in zip(model.answer([row]), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_wrist_may_be_missing_but_not_the_front(tiny_nano: Path) -> None:
    model = NanoHopModel(tiny_nano)
    pair = drawn_pair(0.5, 0)
    nothing = EncodedImage(pair.stamp_ns, "jpeg", b"", 48, 36)
    assert model.encode(FramePair(pair.front, nothing)).present.tolist() == [1.0, 0.0]
    with pytest.raises(ImageError, match="front"):
        model.encode(FramePair(nothing, pair.wrist))
    corrupt = EncodedImage(pair.stamp_ns, "jpeg", b"\xff\xd8junk", 48, 36)
    with pytest.raises(ImageError):
        model.encode(FramePair(corrupt, pair.wrist))


def test_a_session_runs_on_it(tiny_nano: Path) -> None:
    ends = drawn_pair(0.0, 0), drawn_pair(1.0, 1)
    session = PairwiseModel(NanoHopModel(tiny_nano)).open(References("move it", ends[1:], ends[0]))
    readings = [session.observe(drawn_pair(k / 4, k)) for k in range(5)]
    assert all(reading.ok and 0.0 <= reading.progress <= 1.0 for reading in readings)
