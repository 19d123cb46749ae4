"""A base checkpoint and learned weights come in, a checkpoint in the published layout goes out, with its history."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dopamine_core.errors import LearnerError
from dopamine_core.reward.vlm.files import CheckpointFiles

TRAINING_FILE = "training.json"
_WEIGHTS = "*.safetensors*"
_SHARD = "4GB"
_STORED = {"BF16": torch.bfloat16, "F16": torch.float16}  # others: float32


def publish(
    model: Any,
    learned: Mapping[str, torch.Tensor],
    base: CheckpointFiles,
    folder: Path,
    training: Mapping[str, Any],
) -> None:
    """Write a model's weights as its base stores them, with the base's tokenizer and ``training.json``.

    :param model: transformers' model with the base weights, or peft's around it; it is changed.
    :param learned: weights by their name in ``model``.
    :param folder: appears whole or not at all; one that is there is replaced.
    :raises LearnerError: when weights do not fit the model, or the disk refuses.
    """
    _take(model, learned)
    plain = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    making = folder.with_name(f".{folder.name}.making")
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        plain.to(_stored_dtype(base)).save_pretrained(making, max_shard_size=_SHARD)
        for path in base.folder.iterdir():
            if path.is_file() and not path.match(_WEIGHTS) and not (making / path.name).exists():
                shutil.copyfile(path, making / path.name)
        text = json.dumps(training, indent=2, ensure_ascii=False) + "\n"
        (making / TRAINING_FILE).write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(making, folder)
    except OSError as error:
        raise LearnerError(
            expected=f"to write {folder}", got=str(error), remedy="free space, then continue with --resume"
        ) from error


def _take(model: nn.Module, learned: Mapping[str, torch.Tensor]) -> None:
    """Put learned weights into a model; every one must have its place."""
    found = model.load_state_dict(dict(learned), strict=False)
    if found.unexpected_keys or not learned:
        raise LearnerError(
            expected=f"weights of {type(model).__name__}",
            got=", ".join(found.unexpected_keys[:3]) or "none",
            remedy="train from the base that the checkpoint belongs to",
        )


def _stored_dtype(base: CheckpointFiles) -> torch.dtype:
    kinds = [tensor.dtype for tensor in base.tensors.values()]
    return _STORED.get(max(set(kinds), key=kinds.count), torch.float32)
