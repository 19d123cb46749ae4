"""A model's parameters come in, its parts with their learning rates, adapters and shards go out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from dopamine_core.reward.grm.training_at_scale.settings import TrainingSettings

LANGUAGE, MERGER, VISION = PARTS = ("language", "merger", "vision")
_BLOCK_LISTS = ("layers", "blocks")  # of the language model and of the vision tower


def part_of(name: str) -> str:
    """Part that a parameter belongs to, by its name in transformers' Qwen-VL; others count as language."""
    if "merger" in name:
        return MERGER
    return VISION if "visual." in name else LANGUAGE


def free_parts(model: nn.Module, rates: Mapping[str, float]) -> None:
    """Let the parts with a learning rate learn, freeze the others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(rates[part_of(name)] > 0.0)


def with_adapters(model: nn.Module, settings: TrainingSettings) -> Any:
    """Put low-rank adapters beside every linear layer of the parts with a learning rate; all else is frozen.

    :returns: peft's model around the same weights.
    """
    from peft import LoraConfig, get_peft_model

    rates, head = settings.rates(), model.get_output_embeddings()  # type: ignore[operator]
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and rates[part_of(name)] > 0.0
    ]
    torch.manual_seed(settings.seed)  # every process draws the same adapters
    return get_peft_model(
        model, LoraConfig(r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=layers)
    )


def optimiser_of(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW with a group per part, biases and norms without decay.

    Groups carry ``part`` and ``peak``, the rate that the schedule scales.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((part_of(name), parameter.ndim > 1), []).append(parameter)
    rates = settings.rates()
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rates[part],
                "peak": rates[part],
                "part": part,
                "weight_decay": settings.weight_decay if matrices else 0.0,
            }
            for (part, matrices), parameters in groups.items()
        ]
    )


def shard(module: nn.Module, mesh: Any) -> None:
    """Share weights, gradients and optimiser state among processes, block by block (FSDP2).

    :param mesh: one-dimensional device mesh.
    """
    from torch.distributed.fsdp import fully_shard

    for name, child in list(module.named_modules()):
        if isinstance(child, nn.ModuleList) and name.rpartition(".")[2] in _BLOCK_LISTS:
            for block in child:
                fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
