"""A checkpoint's settings come in, base model, heads, tokenizer and image processor go out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3VLConfig, Qwen3VLModel

from dopamine_core.errors import ModelError
from dopamine_core.reward.robometer.heads import Heads, load_heads
from dopamine_core.reward.robometer.layout import HEADS, RobometerFiles, look_at_robometer
from dopamine_core.reward.robometer.tokens import TokenIds, add_tokens
from dopamine_core.reward.vlm.checkpoint import (
    SPREAD,
    CheckpointConfig,
    choose_device,
    choose_dtype,
    load_processors,
    load_weights,
)
from dopamine_core.reward.vlm.files import (
    PREPROCESSOR,
    CheckpointFiles,
    find_checkpoint,
    has_tokenizer,
)
from dopamine_core.reward.vlm.memory import check_memory, estimate_bytes

BASE = "Qwen/Qwen3-VL-4B-Instruct"
_PROBE = "a robot at work"  # any words; the last two hidden states are compared on them


@dataclass(frozen=True)
class Robometer:
    """A loaded Robometer, in evaluation mode, without gradients.

    :param processors: folder that tokenizer and image processor were read from.
    :param model: the base model without its language head.
    """

    found: RobometerFiles
    processors: Path
    model: Any
    heads: Heads
    tokenizer: Any
    image_processor: Any
    ids: TokenIds
    device: torch.device

    @property
    def processors_sha256(self) -> str:
        """Hash of what describes tokenizer and image processor."""
        return CheckpointFiles(self.processors, {}, {}).sha256()


class _BaseModel(Qwen3VLModel):
    """The base model without its language head; the heads' tensors in the same files are not its own."""

    _keys_to_ignore_on_load_unexpected = (*HEADS, "frame_pool_attn", "lm_head")


def load_robometer(config: CheckpointConfig, base: str = "") -> Robometer:
    """Load a Robometer in either layout.

    :param base: folder or hub id of the base model, for tokenizer and image processor; empty: the checkpoint's own
        files where it has both, else those of ``BASE``.
    :raises ModelError: when files are missing, damaged, of another architecture or too large for the memory, or the
        tokenizer does not fit the weights.
    """
    folder = find_checkpoint(config.path, revision=config.revision, offline=config.offline)
    found = look_at_robometer(folder)
    processors = _processors(folder, base, config.offline)
    tokenizer, image_processor = load_processors(processors, config)
    ids = add_tokens(tokenizer, found.rows)
    device, dtype = choose_device(config.device), choose_dtype(config)
    if config.device != SPREAD:
        needed = estimate_bytes(found.files, dtype, config.quantisation)
        check_memory(needed, device, folder.name)
    model = load_weights(
        _BaseModel,
        folder,
        config,
        device,
        dtype,
        {"config": _model_config(found), "key_mapping": found.renamed},
    )
    model = model.eval().requires_grad_(False)
    _check_last_state(model, tokenizer, device)
    heads = load_heads(found, device, dtype)
    return Robometer(found, processors, model, heads, tokenizer, image_processor, ids, device)


def _processors(folder: Path, base: str, offline: bool) -> Path:
    if not base and has_tokenizer(folder) and (folder / PREPROCESSOR).exists():
        return folder
    return find_checkpoint(base or BASE, offline=offline, weights=False)


def _model_config(found: RobometerFiles) -> Qwen3VLConfig:
    """The base model's configuration with as many embedding rows as are stored."""
    values = {key: value for key, value in found.base.items() if key != "architectures"}
    return Qwen3VLConfig(
        **{**values, "text_config": {**values["text_config"], "vocab_size": found.rows}}
    )


def _check_last_state(model: Any, tokenizer: Any, device: torch.device) -> None:
    """Check that the state which the heads were trained on is the one that the model returns.

    Training took the last of all hidden states; whether the final normalisation is in it depends on the library.

    :raises ModelError: when it is another one.
    """
    ids = torch.tensor([tokenizer(_PROBE)["input_ids"]], device=device)
    with torch.no_grad():
        made = model(input_ids=ids, output_hidden_states=True, use_cache=False)
    if not torch.equal(made.hidden_states[-1], made.last_hidden_state):
        raise ModelError(
            expected="a transformers version whose last hidden state is the normalised one",
            got="another last hidden state",
            remedy="install the versions of requirements/lock.txt",
        )
