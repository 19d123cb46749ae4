"""Robometer checkpoints that cannot be used say why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dopamine_core.errors import ModelError
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.robometer.layout import look_at_robometer
from dopamine_core.reward.robometer.load import load_robometer
from dopamine_core.reward.robometer.tokens import ADDED
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig
from tests.models.robometer.conftest import Tiny
from tests.models.robometer.tiny_robometer import change, write_lerobot, write_upstream


def edit(folder: Path, **changed: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def cut_short(folder: Path, base: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def no_heads(folder: Path, base: Path) -> None:
    change(folder, success_head__4__weight=None)


def other_bins(folder: Path, base: Path) -> None:
    change(
        folder, progress_head__4__weight=torch.zeros(1, 32), progress_head__4__bias=torch.zeros(1)
    )


def wide_head(folder: Path, base: Path) -> None:
    change(folder, preference_head__0__weight=torch.zeros(32, 65))


def no_embedding(folder: Path, base: Path) -> None:
    change(folder, model__model__language_model__embed_tokens__weight=None)


def no_added_rows(folder: Path, base: Path) -> None:
    rows = torch.zeros(len_of(folder) - len(ADDED), 64)
    change(folder, model__model__language_model__embed_tokens__weight=rows)


def more_rows(folder: Path, base: Path) -> None:
    rows = torch.zeros(len_of(folder) + 3, 64)
    change(folder, model__model__language_model__embed_tokens__weight=rows)


def narrow_layer(folder: Path, base: Path) -> None:
    change(folder, model__model__language_model__norm__weight=torch.ones(63))


def no_layer(folder: Path, base: Path) -> None:
    change(folder, model__model__language_model__norm__weight=None)


def other_type(folder: Path, base: Path) -> None:
    vlm = json.loads((folder / "config.json").read_text())["vlm_config"]
    edit(folder, vlm_config={**vlm, "model_type": "qwen2_5_vl"})


def no_json(folder: Path, base: Path) -> None:
    (folder / "config.json").write_text("{")


def len_of(folder: Path) -> int:
    vlm = json.loads((folder / "config.json").read_text())["vlm_config"]
    return int(vlm["text_config"]["vocab_size"])


DAMAGE: dict[Callable[[Path, Path], None], str] = {
    cut_short: r"model.safetensors of \d+ bytes",
    no_heads: r"success_head.4.weight of shape \(1, 32\)",
    other_bins: "a progress head with bins",
    wide_head: r"preference_head.0.weight of shape \(32, 64\).*got \(32, 65\)",
    no_embedding: "the token embedding",
    no_added_rows: "an embedding of",
    more_rows: "an embedding of",
    narrow_layer: "norm",
    no_layer: "norm",
    other_type: "type 'qwen2_5_vl'",
    no_json: "config.json",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_refused(
    tiny: Tiny, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    folder = write_lerobot(tmp_path / "made", tiny.base, tiny.tensors)
    damage(folder, tiny.base)
    with pytest.raises(ModelError, match=DAMAGE[damage]):
        load_reward_model("robometer", str(folder), settings={"base": str(tiny.base)})


@pytest.mark.parametrize("names", [["Qwen3VLForConditionalGeneration"], None])
def test_a_checkpoint_of_another_architecture_is_refused(
    tiny: Tiny, tmp_path: Path, names: list[str] | None
) -> None:
    folder = write_upstream(tmp_path / "made", tiny.base, tiny.tensors)
    edit(folder, architectures=names)
    with pytest.raises(ModelError, match="architectures RFM"):
        look_at_robometer(folder)


def test_a_shard_that_is_not_there_is_named(tiny: Tiny, tmp_path: Path) -> None:
    folder = write_upstream(tmp_path / "made", tiny.base, tiny.tensors)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match="model-00002-of-00003"):
        look_at_robometer(folder)


def test_the_base_model_alone_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ModelError, match="a Robometer checkpoint"):
        load_reward_model("robometer", str(tiny.base))


def test_tokens_in_another_order_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    base = with_tokens(tiny, tmp_path / "base", list(reversed(ADDED)))
    with pytest.raises(ModelError, match="whose last are the tokens"):
        load_reward_model("robometer", str(tiny.folders["upstream"]), settings={"base": str(base)})


def test_some_of_the_tokens_are_not_enough(tiny: Tiny, tmp_path: Path) -> None:
    base = with_tokens(tiny, tmp_path / "base", list(ADDED[:3]))
    with pytest.raises(ModelError, match="or none of them"):
        load_reward_model("robometer", str(tiny.folders["upstream"]), settings={"base": str(base)})


def test_the_checkpoints_own_tokenizer_is_used_where_it_has_one(tiny: Tiny, tmp_path: Path) -> None:
    whole = with_tokens(tiny, tmp_path / "whole", list(ADDED))
    for path in tiny.folders["upstream"].iterdir():
        shutil.copy(path, whole)
    loaded = load_robometer(CheckpointConfig(path=str(whole)))
    assert loaded.processors == whole
    assert loaded.ids == load_from(tiny).ids
    named = load_robometer(CheckpointConfig(path=str(whole)), str(tiny.base))
    assert named.processors == tiny.base


def test_without_either_the_published_base_is_looked_for(tiny: Tiny) -> None:
    folder = tiny.folders["upstream"]
    with pytest.raises(ModelError, match="Qwen/Qwen3-VL-4B-Instruct"):
        load_robometer(CheckpointConfig(path=str(folder), offline=True))


def test_both_layouts_are_told_apart(tiny: Tiny) -> None:
    layouts = {name: look_at_robometer(folder).layout for name, folder in tiny.folders.items()}
    assert all(layout == name.split(",")[0] for name, layout in layouts.items())


def load_from(tiny: Tiny):  # noqa: ANN201 a loaded model
    return load_robometer(CheckpointConfig(path=str(tiny.folders["upstream"])), str(tiny.base))


def with_tokens(tiny: Tiny, folder: Path, tokens: list[str]) -> Path:
    """The base model's folder with tokens added, without its weights."""
    from transformers import AutoTokenizer

    shutil.copytree(tiny.base, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(tokens, special_tokens=True)
    tokenizer.save_pretrained(folder)
    return folder
