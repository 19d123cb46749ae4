"""Tiny randomly initialised Robometer checkpoints in both published layouts, on top of a tiny Qwen3-VL."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.robometer.heads import Heads
from dopamine_core.reward.robometer.tokens import ADDED
from dopamine_core.reward.session import RewardModel
from tests.models.tiny_qwen import write_qwen3

BINS = 10
_FILES = 3


def write_base(folder: Path) -> Path:
    """A tiny Qwen3-VL: the base model's folder."""
    return write_qwen3(folder, seed=3)


def tensors_of(base: Path) -> dict[str, torch.Tensor]:
    """Weights in the authors' layout: the base model's with five more embedding rows, and the heads."""
    model = Qwen3VLForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(5)
    model.resize_token_embeddings(
        len(AutoTokenizer.from_pretrained(base)) + len(ADDED), mean_resizing=False
    )
    with torch.no_grad():
        model.get_input_embeddings().weight[-len(ADDED) :].normal_(std=0.3)
    hidden = model.config.text_config.hidden_size
    heads = Heads(hidden, BINS)
    with torch.no_grad():  # livelier than the default scale, so that answers differ
        for head in (heads.progress_head, heads.success_head, heads.preference_head):
            head[4].weight.mul_(8.0)
    state = {f"model.{name}": tensor for name, tensor in model.model.state_dict().items()}
    state |= dict(heads.state_dict())
    state["frame_pool_attn.weight"] = torch.randn(1, hidden)
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


def write_upstream(folder: Path, base: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """The authors' layout, in several files with an index; without tokenizer, as published."""
    folder.mkdir(parents=True)
    config = json.loads((base / "config.json").read_text())
    config["architectures"] = ["RFM"]
    config["text_config"]["vocab_size"] = rows_of(tensors)
    (folder / "config.json").write_text(json.dumps(config))
    names = sorted(tensors)
    files = {
        name: f"model-{1 + k % _FILES:05d}-of-{_FILES:05d}.safetensors"
        for k, name in enumerate(names)
    }
    for file in set(files.values()):
        part = {name: tensors[name] for name in names if files[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def write_lerobot(
    folder: Path, base: Path, tensors: dict[str, torch.Tensor], *, tied: str = "embedding"
) -> Path:
    """LeRobot's layout, in one file.

    :param tied: which of the two names of the shared token embedding is stored: ``embedding``, ``head`` or ``both``.
    """
    folder.mkdir(parents=True)
    vlm = json.loads((base / "config.json").read_text())
    vlm["text_config"]["vocab_size"] = rows_of(tensors)
    content = {"type": "robometer", "progress_discrete_bins": BINS, "vlm_config": vlm}
    (folder / "config.json").write_text(json.dumps(content))
    state = {
        f"model.{name}" if name.startswith("model.") else name: t for name, t in tensors.items()
    }
    embedding = "model.model.language_model.embed_tokens.weight"
    if tied != "embedding":
        state["model.lm_head.weight"] = state[embedding].clone()
    if tied == "head":
        del state[embedding]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def rows_of(tensors: dict[str, torch.Tensor]) -> int:
    """Rows of the token embedding."""
    return len(tensors["model.language_model.embed_tokens.weight"])


def change(folder: Path, **changed: torch.Tensor | None) -> None:
    """Replace or, by None, remove tensors of a one-file checkpoint."""
    path = folder / "model.safetensors"
    state = {
        **load_file(path),
        **{name.replace("__", "."): tensor for name, tensor in changed.items()},
    }
    save_file(
        {name: t for name, t in state.items() if t is not None}, path, metadata={"format": "pt"}
    )


def load_tiny_robometer(root: Path) -> RewardModel:
    """A tiny Robometer of its own, as the registry loads it.

    :param root: empty folder for its files.
    """
    base = write_base(root / "base")
    folder = write_upstream(root / "robometer", base, tensors_of(base))
    settings = {"base": str(base), "short_edge": 0, "device": "cpu"}
    return load_reward_model("robometer", str(folder), settings=settings)
