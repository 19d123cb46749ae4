"""Checkpoints that are whole are loaded; damaged, wrong and too large ones are named before anything is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.vlm import memory
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig, choose_device, load_checkpoint
from dopamine_core.reward.vlm.files import find_checkpoint, look_at
from dopamine_core.reward.vlm.sequence import (
    batch_of,
    chat_of,
    image_extent,
    image_positions,
    read_image,
    text_positions,
    tokenise,
)
from dopamine_core.types import EncodedImage
from tests.models.tiny_qwen import write_qwen2_5, write_qwen3

TYPES = ("qwen2_5_vl", "qwen3_vl")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen2_5(tmp_path_factory.mktemp("qwen2_5"))


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "checkpoint"))


def load(folder: Path, **settings: object) -> object:
    return load_checkpoint(CheckpointConfig(path=str(folder), **settings), TYPES)


def test_what_is_loaded_is_what_was_saved(folder: Path) -> None:
    checkpoint = load(folder)
    stored: dict[str, torch.Tensor] = {}
    for shard in folder.glob("*.safetensors"):
        stored |= load_file(shard)
    held = checkpoint.model.state_dict()
    assert sum(t.numel() for t in stored.values()) == checkpoint.files.elements
    norm = next(name for name in stored if name.endswith("norm.weight"))
    assert any(torch.equal(stored[norm], t) for n, t in held.items() if n.endswith("norm.weight"))
    assert not any(p.requires_grad for p in checkpoint.model.parameters())


def test_pixel_limits_are_those_of_the_processor_in_use(folder: Path) -> None:
    image = encode(np.zeros((480, 640, 3), np.uint8), 1)
    published_limits = load(folder)  # 12544 ... 76800
    assert read_image(image, published_limits.image_processor).tokens == 88
    small = load(folder, min_pixels=784, max_pixels=12544)
    assert read_image(image, small.image_processor).tokens <= 16


def test_positions_equal_those_of_transformers(tmp_path: Path) -> None:
    for write in (write_qwen2_5, write_qwen3):
        checkpoint = load(write(tmp_path / write.__name__))
        images = [
            read_image(encode(np.zeros(shape, np.uint8), 1), checkpoint.image_processor)
            for shape in ((480, 640, 3), (200, 300, 3))
        ]
        pieces = tokenise(
            checkpoint.tokenizer, ["a b ", " c", "d\n"], chat_of(checkpoint.tokenizer)
        )
        inputs = batch_of([(pieces, images)], checkpoint.tokenizer, pad_left=True).inputs
        theirs, _ = checkpoint.model.model.get_rope_index(
            inputs["input_ids"],
            image_grid_thw=inputs["image_grid_thw"],
            attention_mask=inputs["attention_mask"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
        )
        position, ours = 0, []
        for k, piece in enumerate(pieces):
            if k:
                ours.append(image_positions(position, images[k - 1]))
                position += image_extent(images[k - 1])
            ours.append(text_positions(position, len(piece)))
            position += len(piece)
        np.testing.assert_array_equal(np.concatenate(ours, axis=1), theirs[:, 0].numpy())


def test_words_merge_across_parts_as_in_the_whole_message(folder: Path) -> None:
    checkpoint = load(folder)
    chat = chat_of(checkpoint.tokenizer)
    pieces = tokenise(checkpoint.tokenizer, ["\n\nhello"], chat)
    whole = checkpoint.tokenizer(chat.before + "\n\nhello" + chat.after, add_special_tokens=False)
    assert pieces == [whole["input_ids"]]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_images_of_other_modes_are_read_as_rgb(folder: Path, mode: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.new("RGB", (64, 48), (200, 10, 10)).convert(mode).save(path)
    image = EncodedImage(1, "png", path.read_bytes(), 64, 48)
    assert read_image(image, load(folder).image_processor).pixels.shape[0] > 0


def test_an_image_that_cannot_be_shown_is_refused(folder: Path) -> None:
    strip = encode(np.zeros((2, 600, 3), np.uint8), 1)
    with pytest.raises(ImageError, match="600 x 2"):
        read_image(strip, load(folder).image_processor)


def test_a_shard_cut_short_is_named(folder: Path) -> None:
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=f"{shard.name}.* bytes"):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff" * 64])
def test_a_shard_that_is_none_is_named(folder: Path, content: bytes) -> None:
    shard = sorted(folder.glob("*.safetensors"))[0]
    shard.write_bytes(content)
    with pytest.raises(ModelError, match=shard.name):
        load(folder)


def test_a_missing_shard_is_named(folder: Path) -> None:
    shard = sorted(folder.glob("*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(ModelError, match=shard.name):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load(folder)


def test_another_architecture_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llava"}))
    with pytest.raises(ModelError, match="llava"):
        load(folder)


def test_weights_that_do_not_fit_the_configuration_are_refused(folder: Path) -> None:
    for shard in folder.glob("*.safetensors"):
        tensors = load_file(shard)
        kept = {k: t for k, t in tensors.items() if not k.endswith("q_proj.weight")}
        save_file(kept, shard, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"] = {
        k: f for k, f in content["weight_map"].items() if not k.endswith("q_proj.weight")
    }
    index.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="q_proj"):
        load(folder)


def test_what_cannot_fit_is_refused_before_it_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 20)
    with pytest.raises(ModelError, match=r"0\.\d GiB free on cpu.*quantisation"):
        load(folder)


def test_estimates_follow_size_and_kind(folder: Path) -> None:
    files = look_at(folder, TYPES)
    sizes = [
        memory.estimate_bytes(files, torch.float32),
        memory.estimate_bytes(files, torch.bfloat16),
        memory.estimate_bytes(files, torch.bfloat16, memory.FOUR_BIT),
    ]
    assert sizes == sorted(sizes, reverse=True)
    difference = sizes[0] - sizes[1]
    assert difference == pytest.approx(1.1 * 2 * files.elements, rel=1e-3)


def test_identity_follows_the_weights(folder: Path) -> None:
    before = look_at(folder, TYPES).sha256()
    assert look_at(folder, TYPES).sha256() == before
    shard = sorted(folder.glob("*.safetensors"))[0]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert look_at(folder, TYPES).sha256() != before


def test_the_licence_of_the_card_is_shown(folder: Path) -> None:
    assert look_at(folder, TYPES).licence == "not stated"
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nbase_model: x\n---\nText\n")
    assert look_at(folder, TYPES).licence == "apache-2.0"


def test_offline_looks_into_the_cache_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    with pytest.raises(ModelError, match="offline"):
        find_checkpoint("owner/model", offline=True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    stored = cache / "models--owner--model"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text(commit)
    shutil.copytree(folder, stored / "snapshots" / commit)
    found = find_checkpoint("owner/model", offline=True)
    assert found.name == commit
    assert find_checkpoint("owner/model", revision=commit, offline=True) == found
    with pytest.raises(ModelError, match="revision fedcba"):
        find_checkpoint("owner/model", revision="fedcba" + commit[6:], offline=True)


@pytest.mark.parametrize("path", ["no/such/folder", "/none", "./none", "none"])
def test_what_is_neither_folder_nor_hub_id_is_refused(path: str) -> None:
    with pytest.raises(ModelError, match="checkpoint"):
        find_checkpoint(path)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match="cuda:7"):
        choose_device("cuda:7")
