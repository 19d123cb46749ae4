"""Adapters: where they are put, and that ways of computing do not change what is learned."""

import dataclasses
from pathlib import Path

import pytest
import torch

from dopamine_core.config import load_yaml
from dopamine_core.errors import ConfigError, ModelError
from dopamine_core.reward.grm.training.adapt_config import (
    ANSWER,
    ATTENTION,
    EXPECTED_HOP,
    MLP,
    PROJECTOR,
    VISION,
    AdaptConfig,
    read_adapt_config,
)
from dopamine_core.reward.grm.training.learner import Learner
from dopamine_core.reward.grm.training.lora import attach
from dopamine_core.reward.grm.training.tuner import rate_factor
from dopamine_core.reward.vlm.checkpoint import Checkpoint, load_checkpoint
from tests.models.grm.training.drawn_task import small_images
from tests.models.grm.training.test_grm_collate import questions

SHIPPED = Path(__file__).parents[4] / "config/grm_adaptation.yaml"
CONFIG = AdaptConfig(lora_dropout=0.0, lora_rank=4)


@pytest.mark.parametrize(
    ("target", "part"),
    [
        (ATTENTION, "language_model.layers.0.self_attn.q_proj"),
        (MLP, "language_model.layers.2.mlp.down_proj"),
        (PROJECTOR, "visual.merger"),
        (VISION, "visual.blocks.1.attn.qkv"),
    ],
)
def test_adapters_stand_beside_the_layers_asked_for(
    checkpoint: Checkpoint, target: str, part: str
) -> None:
    adapted = attach(checkpoint.model, dataclasses.replace(CONFIG, targets=(target,)), 0)
    names = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    assert any(part in name for name in names)
    room = part.split(".")[0]
    assert all("lora_" in name and room in name for name in names)


def test_deep_projectors_learn_too(checkpoint: Checkpoint) -> None:
    adapted = attach(checkpoint.model, dataclasses.replace(CONFIG, targets=(PROJECTOR,)), 0)
    names = [name for name, weight in adapted.named_parameters() if weight.requires_grad]
    deep = getattr(checkpoint.model.model.visual, "deepstack_merger_list", [])
    for k in range(len(deep)):
        assert sum(f"deepstack_merger_list.{k}." in name for name in names) == 4


def test_fresh_adapters_change_nothing(checkpoint: Checkpoint) -> None:
    asked = questions(checkpoint)
    ids = torch.arange(6)[None]
    before = checkpoint.model.model.language_model(ids).last_hidden_state
    learner = Learner(checkpoint, CONFIG, 0)
    assert torch.equal(checkpoint.model.model.language_model(ids).last_hidden_state, before)
    assert learner.read(asked).hops.shape == (2,)


def gradients(folder: Path, config: AdaptConfig) -> list[torch.Tensor]:
    """Gradients of adapters that have learned something."""
    checkpoint = load_checkpoint(small_images(folder), ("qwen2_5_vl", "qwen3_vl"))
    learner, noise = Learner(checkpoint, config, 0), torch.Generator().manual_seed(0)
    fresh = learner.weights()
    learner.put({k: torch.randn(w.shape, generator=noise) / 20 for k, w in fresh.items()})
    with learner.learning():
        learner.loss(questions(checkpoint)).backward()
    return [weight.grad for weight in learner.parameters]


@pytest.mark.parametrize("loss", [EXPECTED_HOP, ANSWER])
@pytest.mark.parametrize("targets", [(ATTENTION, MLP, PROJECTOR), (VISION, PROJECTOR)])
def test_recomputed_activations_give_the_same_gradients(
    tiny_qwen: Path, loss: str, targets: tuple[str, ...]
) -> None:
    config = dataclasses.replace(CONFIG, loss=loss, targets=targets)
    kept = gradients(tiny_qwen, dataclasses.replace(config, recompute=False))
    again = gradients(tiny_qwen, dataclasses.replace(config, recompute=True))
    for expected, got in zip(kept, again, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)
    assert max(float(part.abs().max()) for part in kept) > 1e-6


@pytest.mark.parametrize("loss", [EXPECTED_HOP, ANSWER])
def test_adapters_learn_in_float32_beside_bfloat16(tiny_qwen: Path, loss: str) -> None:
    exact, coarse = (
        load_checkpoint(
            dataclasses.replace(small_images(tiny_qwen), dtype=dtype), ("qwen2_5_vl", "qwen3_vl")
        )
        for dtype in ("float32", "bfloat16")
    )
    losses = []
    for checkpoint in (exact, coarse):
        learner = Learner(checkpoint, dataclasses.replace(CONFIG, loss=loss), 0)
        with learner.learning():
            value = learner.loss(questions(checkpoint))
            value.backward()
        assert {weight.dtype for weight in learner.parameters} == {torch.float32}
        assert {weight.grad.dtype for weight in learner.parameters} == {torch.float32}
        losses.append(float(value.detach()))
    assert coarse.dtype == torch.bfloat16
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_a_model_without_the_layers_is_named(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelError, match="linear layers of vision"):
        attach(
            checkpoint.model.model.language_model, dataclasses.replace(CONFIG, targets=(VISION,)), 0
        )


def test_rate_rises_then_falls_to_zero() -> None:
    config = AdaptConfig(steps=100, warm_up_share=0.1)
    rates = [rate_factor(config, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5) and rates[100] == pytest.approx(0.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_settings_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "adapt.yaml"
    path.write_text("steps: 7\ntargets: [mlp]\nheld_out_share: 0.1\n")
    assert read_adapt_config(path) == AdaptConfig(steps=7, targets=("mlp",), held_out_share=0.1)
    assert read_adapt_config("") == AdaptConfig()
    shipped = load_yaml(SHIPPED)
    assert (
        read_adapt_config(SHIPPED) == AdaptConfig()
    )  # what is shipped are the defaults, all of them
    assert set(shipped) == {field.name for field in dataclasses.fields(AdaptConfig)}
    path.write_text("targets: [head]\n")
    with pytest.raises(ConfigError, match="got head"):
        read_adapt_config(path)
