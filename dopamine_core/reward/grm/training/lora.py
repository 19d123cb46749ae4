"""A loaded model comes in, the same model with low-rank adapters beside its linear layers goes out.

LoRA: arXiv 2106.09685, by the package peft.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model

from dopamine_core.errors import ModelError
from dopamine_core.reward.grm.training.adapt_config import (
    ATTENTION,
    MLP,
    PROJECTOR,
    VISION,
    AdaptConfig,
)
from dopamine_core.reward.grm.training.randomness import own_random

_CARD = "README.md"  # peft writes a model card to be filled in
# Qwen2.5-VL and Qwen3-VL name the same parts alike but for the projector's and the tower's inner layers.
_LAYERS = {
    ATTENTION: r".*language_model\.layers\.\d+\.self_attn\.[qkvo]_proj",
    MLP: r".*language_model\.layers\.\d+\.mlp\.(gate|up|down)_proj",
    PROJECTOR: r".*visual\.(merger|deepstack_merger_list\.\d+)\.(mlp\.[02]|linear_fc[12])",
    VISION: r".*visual\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(\w+_proj|linear_fc[12]))",
}


def attach(model: Any, config: AdaptConfig, seed: int) -> PeftModel:
    """Put adapters beside the linear layers that the settings name; ``model`` itself is changed.

    Until they have learned, adapters change nothing. They are float32 whatever the model is kept in.

    :param seed: of the adapters' random half.
    :raises ModelError: when the model has no such layers.
    """
    names = [name for name, _ in model.named_modules()]
    for target in config.targets:
        if not any(re.fullmatch(_LAYERS[target], name) for name in names):
            raise ModelError(
                expected=f"linear layers of {target} in {type(model).__name__}",
                got="none",
                remedy=f"leave {target} out of 'targets'",
            )
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="|".join(f"({_LAYERS[target]})" for target in config.targets),
    )
    with own_random(seed, model.device):
        return get_peft_model(model, lora)


def save_adapter(adapted: PeftModel, folder: Path, base: str) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``, peft's layout.

    :param base: what the adapter belongs to, as its user knows it: hub id or folder.
    """
    adapted.peft_config["default"].base_model_name_or_path = base
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / _CARD).unlink(missing_ok=True)
