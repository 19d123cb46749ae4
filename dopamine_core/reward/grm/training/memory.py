"""A checkpoint's configuration and a batch's shape come in, the memory that adapting it takes comes out.

Exact are the weights and the adapters with what AdamW keeps of them. Activations are counted per layer from what the
layers' arithmetic keeps for the gradient, an estimate that a test compares with what autograd really keeps on a small
model; what libraries hold beside that is a flat allowance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dopamine_core.errors import ModelError
from dopamine_core.reward.grm.training.adapt_config import (
    ATTENTION,
    EXPECTED_HOP,
    MLP,
    PROJECTOR,
    VISION,
    AdaptConfig,
)
from dopamine_core.reward.vlm.memory import GIB, free_bytes

_PER_WEIGHT = 16  # a float32 adapter weight, its gradient and AdamW's two moments
_FLOAT32 = 4
_ANSWER_TOKENS = 12  # of <score>+12.5%</score> and the end of turn
_MARGIN = 0.10  # fragmentation
_LIBRARIES = 1 << 30  # CUDA context, kernels' workspaces


@dataclass(frozen=True)
class ModelShape:
    """Sizes that memory depends on, as a checkpoint's ``config.json`` says them."""

    hidden: int
    intermediate: int
    layers: int
    queries: int  # heads x head size
    keys: int  # key heads x head size
    vocabulary: int
    vision_hidden: int
    vision_intermediate: int
    vision_layers: int
    merge: int  # patches per token
    projectors: int


def shape_of(config: Mapping[str, Any]) -> ModelShape:
    """Read the sizes of a Qwen2.5-VL or Qwen3-VL.

    :param config: content of ``config.json``; the language model's part nested or not.
    :raises ModelError: when a size is missing.
    """
    text, vision = {**config, **config.get("text_config", {})}, config.get("vision_config", {})
    try:
        heads = int(text["num_attention_heads"])
        size = int(text.get("head_dim") or text["hidden_size"] // heads)
        return ModelShape(
            hidden=int(text["hidden_size"]),
            intermediate=int(text["intermediate_size"]),
            layers=int(text["num_hidden_layers"]),
            queries=heads * size,
            keys=int(text["num_key_value_heads"]) * size,
            vocabulary=int(text["vocab_size"]),
            vision_hidden=int(vision["hidden_size"]),
            vision_intermediate=int(vision["intermediate_size"]),
            vision_layers=int(vision["depth"]),
            merge=int(vision.get("spatial_merge_size", 2)) ** 2,
            projectors=1 + len(vision.get("deepstack_visual_indexes", ())),
        )
    except KeyError as error:
        raise ModelError(
            expected="the sizes of a Qwen-VL model in config.json",
            got=f"no {error}",
            remedy="fetch the checkpoint again",
        ) from error


def adapter_weights(shape: ModelShape, config: AdaptConfig) -> int:
    """Number of weights of the adapters: rank x (inputs + outputs) of each layer."""
    s, inner = shape, shape.vision_hidden * shape.merge
    sides = {  # the sum of inputs and outputs over a part's linear layers
        ATTENTION: s.layers * (2 * (s.hidden + s.queries) + 2 * (s.hidden + s.keys)),
        MLP: s.layers * 3 * (s.hidden + s.intermediate),
        PROJECTOR: s.projectors * (2 * inner + inner + s.hidden),
        VISION: s.vision_layers
        * (6 * s.vision_hidden + 3 * (s.vision_hidden + s.vision_intermediate)),
    }
    return config.lora_rank * sum(sides[target] for target in config.targets)


def activation_bytes(
    shape: ModelShape, config: AdaptConfig, tokens: int, nodes: int, dtype: torch.dtype
) -> int:
    """Bytes that a micro-batch keeps for its gradient.

    :param tokens: of one query, its answer or grid included.
    :param nodes: places whose next token is read, per query.
    :param dtype: what the model computes in.
    """
    rows = config.micro_batch * tokens
    layer = rows * _layer_bytes_per_token(shape, config, dtype.itemsize)
    inputs = rows * shape.hidden * dtype.itemsize
    kept = shape.layers * inputs + layer if config.recompute else shape.layers * layer
    patches = config.micro_batch * tokens * shape.merge  # at most: as if all tokens were images
    tower = patches * 8 * (shape.vision_hidden + shape.vision_intermediate) * dtype.itemsize
    if VISION in config.targets:
        kept += tower if config.recompute else shape.vision_layers * tower
    if PROJECTOR in config.targets:
        kept += shape.projectors * patches * 6 * shape.vision_hidden * _FLOAT32
    # Logits as computed, in float32, their softmax, and its gradient.
    logits = config.micro_batch * nodes * shape.vocabulary * (dtype.itemsize + 3 * _FLOAT32)
    return kept + logits + config.micro_batch * tokens**2  # and the mask


def _layer_bytes_per_token(shape: ModelShape, config: AdaptConfig, size: int) -> int:
    """What one decoder layer keeps of a token: norms, projections, attention, the gated MLP, adapters' inputs."""
    s = shape
    norms = 2 * (s.hidden * _FLOAT32 + 2 * s.hidden * size)
    attention = (
        3 * s.queries + 6 * s.keys
    )  # queries, keys and values, before and after rotation; the result
    adapters = 0
    if ATTENTION in config.targets:
        adapters += 3 * s.hidden + s.queries
    if MLP in config.targets:
        adapters += 2 * s.hidden + s.intermediate
    # Each adapter keeps its input in float32, as it came and after dropout.
    return norms + (attention + 4 * s.intermediate) * size + 2 * adapters * _FLOAT32


def training_bytes(
    shape: ModelShape,
    config: AdaptConfig,
    *,
    elements: int,
    query_tokens: int,
    grid_nodes: int,
    dtype: torch.dtype,
) -> int:
    """Estimate the memory that an adaptation takes.

    :param elements: number of the checkpoint's weights.
    :param query_tokens: of the longest query.
    :param grid_nodes: fed tokens of the score grid.
    :param dtype: what the weights are kept in.
    """
    # The held-out pairs are read over the grid, whichever loss is learned by.
    read = grid_nodes + 1 if config.loss == EXPECTED_HOP else max(grid_nodes + 1, _ANSWER_TOKENS)
    tokens = query_tokens + max(grid_nodes, _ANSWER_TOKENS)
    kept = (
        elements * dtype.itemsize
        + adapter_weights(shape, config) * _PER_WEIGHT
        + activation_bytes(shape, config, tokens, read, dtype)
    )
    return int(kept * (1.0 + _MARGIN)) + _LIBRARIES


def check_training_memory(needed: int, device: torch.device, what: str) -> None:
    """Refuse what cannot fit.

    :param needed: bytes.
    :param what: for the message, e.g. a checkpoint's name.
    :raises ModelError: when less is free.
    """
    free = free_bytes(device)
    if needed > free:
        raise ModelError(
            expected=f"{needed / GIB:.1f} GiB free on {device} to adapt {what}",
            got=f"{free / GIB:.1f} GiB",
            remedy="end what else uses the device, lower micro_batch or max_pixels, or take a smaller checkpoint",
        )
