"""The memory of an adaptation: exact where it can be, and near what autograd keeps."""

import dataclasses

import pytest
import torch
from transformers import Qwen2_5_VLConfig, Qwen3VLConfig

from dopamine_core.errors import ModelError
from dopamine_core.reward.grm.grid import score_grid
from dopamine_core.reward.grm.training.adapt_config import (
    ANSWER,
    ATTENTION,
    EXPECTED_HOP,
    MLP,
    PROJECTOR,
    VISION,
    AdaptConfig,
)
from dopamine_core.reward.grm.training.learner import Learner
from dopamine_core.reward.grm.training.memory import (
    activation_bytes,
    adapter_weights,
    check_training_memory,
    shape_of,
    training_bytes,
)
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from dopamine_core.reward.vlm.memory import GIB
from tests.models.grm.training.test_grm_collate import questions

# The published 3B: Qwen2.5-VL-3B's sizes, 3.75e9 weights in bfloat16.
PUBLISHED_3B = {
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "vision_config": {"hidden_size": 1280, "intermediate_size": 3420, "depth": 32},
}
ELEMENTS_3B = 3_754_622_976
QUERY_3B = 8 * 88 + 900  # eight 640 x 480 images, and the prompt


def needed(config: AdaptConfig) -> int:
    return training_bytes(
        shape_of(PUBLISHED_3B),
        config,
        elements=ELEMENTS_3B,
        query_tokens=QUERY_3B,
        grid_nodes=23,
        dtype=torch.bfloat16,
    )


def test_the_published_3b_fits_24_gb() -> None:
    assert 2 * ELEMENTS_3B < needed(AdaptConfig()) < 16e9
    assert needed(AdaptConfig(micro_batch=4)) < 24e9
    assert needed(AdaptConfig(recompute=False)) > 24e9  # why activations are computed twice


@pytest.mark.parametrize(
    "more",
    [
        {"micro_batch": 4},
        {"recompute": False},
        {"lora_rank": 64},
        {"targets": (ATTENTION, MLP, PROJECTOR, VISION)},
    ],
)
def test_what_takes_more_is_estimated_at_more(more: dict[str, object]) -> None:
    assert needed(AdaptConfig(**more)) > needed(AdaptConfig())


@pytest.mark.parametrize(
    "targets", [(ATTENTION,), (MLP,), (PROJECTOR,), (ATTENTION, MLP, PROJECTOR)]
)
def test_adapters_are_counted_exactly(checkpoint: Checkpoint, targets: tuple[str, ...]) -> None:
    config = AdaptConfig(targets=targets, lora_rank=8)
    learner = Learner(checkpoint, config, 0)
    counted = sum(weight.numel() for weight in learner.parameters)
    assert adapter_weights(shape_of(checkpoint.files.config), config) == counted


def kept_bytes(checkpoint: Checkpoint, config: AdaptConfig) -> int:
    """Bytes of the tensors that autograd holds when the loss has been computed, weights aside."""
    learner = Learner(checkpoint, config, 0)
    asked = questions(checkpoint)
    learner.read(asked)  # the vision tower has looked at the images
    weights = {part.untyped_storage().data_ptr() for part in checkpoint.model.parameters()}
    held: dict[int, int] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with learner.learning(), torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        loss = learner.loss(asked)  # while it lives, so does what it needs for its gradient
    assert loss.requires_grad
    return sum(held.values())


@pytest.mark.parametrize("loss", [EXPECTED_HOP, ANSWER])
def test_activations_are_near_what_autograd_keeps(checkpoint: Checkpoint, loss: str) -> None:
    config = AdaptConfig(loss=loss, recompute=False, lora_rank=4)
    asked = questions(checkpoint)
    nodes = len(score_grid(checkpoint.tokenizer).tokens)
    behind = nodes if loss == EXPECTED_HOP else 9
    tokens = max(question.tokens for question in asked) + behind
    estimated = activation_bytes(
        shape_of(checkpoint.files.config), config, tokens, behind + 1, torch.float32
    )
    kept = kept_bytes(checkpoint, config)
    assert kept < estimated < 2.0 * kept


@pytest.mark.parametrize("made", [Qwen2_5_VLConfig, Qwen3VLConfig])
def test_sizes_are_read_as_transformers_writes_them(made: type) -> None:
    config = made()
    shape, text, vision = shape_of(config.to_dict()), config.text_config, config.vision_config
    assert (shape.hidden, shape.layers) == (text.hidden_size, text.num_hidden_layers)
    assert shape.vocabulary == text.vocab_size
    assert shape.vision_layers == vision.depth
    assert shape.projectors == 1 + len(getattr(vision, "deepstack_visual_indexes", ()))


def test_a_missing_size_is_named() -> None:
    small = {name: value for name, value in PUBLISHED_3B.items() if name != "vocab_size"}
    with pytest.raises(ModelError, match="vocab_size"):
        shape_of(small)


def test_too_little_memory_is_named() -> None:
    with pytest.raises(ModelError, match="lower micro_batch"):
        check_training_memory(10_000 * GIB, torch.device("cpu"), "a model")
    check_training_memory(1, torch.device("cpu"), "a model")


def test_batch_shape_matters() -> None:
    one, two = (dataclasses.replace(AdaptConfig(), micro_batch=k) for k in (1, 2))
    shape = shape_of(PUBLISHED_3B)
    single, double = (activation_bytes(shape, c, 1000, 24, torch.bfloat16) for c in (one, two))
    assert double == 2 * single
