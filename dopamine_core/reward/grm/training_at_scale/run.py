"""Hop data, a base checkpoint and settings come in, a trained GRM in the published layout goes out.

Called alike in every process of a run; the first one writes.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dopamine_core.reward.grm.grid import ScoreGrid, score_grid
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.training_at_scale.checkpoints import learned_weights
from dopamine_core.reward.grm.training_at_scale.lessons import (
    HopItems,
    HopLessons,
    read_hop_items,
)
from dopamine_core.reward.grm.training_at_scale.objective import (
    AnswerObjective,
    ExpectedHopObjective,
    Objective,
)
from dopamine_core.reward.grm.training_at_scale.parts import free_parts, with_adapters
from dopamine_core.reward.grm.training_at_scale.processes import Processes, joined_processes
from dopamine_core.reward.grm.training_at_scale.publish import publish
from dopamine_core.reward.grm.training_at_scale.settings import (
    EXPECTED_HOP,
    LORA,
    TrainingSettings,
)
from dopamine_core.reward.grm.training_at_scale.trainer import OnStep, StepReport, Trainer
from dopamine_core.reward.vlm.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint

MODEL_TYPES = ("qwen2_5_vl", "qwen3_vl")
MODEL_FOLDER = "model"
_PACKAGES = ("torch", "transformers", "peft")
_OWN_NAME = "model."  # of the model inside an objective


@dataclass(frozen=True)
class Run:
    """What a training run is made of.

    :param data: SFT files.
    :param images: folder that their images lie under; None: each file's own.
    :param base: checkpoint folder or hub id.
    :param out_dir: ``log.jsonl``, ``checkpoints`` and ``model``.
    :param prompt: that the data were made with, and the model is to be asked with.
    """

    data: tuple[Path, ...]
    base: str
    out_dir: Path
    prompt: GrmPrompt
    settings: TrainingSettings
    images: Path | None = None
    offline: bool = False


@dataclass(frozen=True)
class TrainingReport:
    """What a run did."""

    model: Path
    steps: int
    items: int
    first_loss: float | None  # of this call; None when nothing was left to do
    last_loss: float | None
    seconds: float


def train(run: Run, *, resume: bool = False, on_step: OnStep | None = None) -> TrainingReport:
    """Train a GRM in this process, or in its share of the processes that torchrun started.

    :param resume: go on from the newest checkpoint.
    :param on_step: told after each step.
    :raises LearnerError: see ``Trainer.run``; also when data are missing or not whole.
    :raises ModelError: when the base cannot be loaded.
    :raises ConfigError: when a batch cannot be shared.
    """
    with joined_processes(run.settings.timeout_s) as processes:
        data = read_hop_items(run.data, run.prompt, run.images)
        checkpoint = _load_base(run)
        objective, grid = _objective(checkpoint, run.settings)
        lessons = HopLessons(data, checkpoint.tokenizer, checkpoint.image_processor, grid)
        base_sha256 = checkpoint.files.sha256()
        trainer = Trainer(objective, lessons, run.settings, processes, run.out_dir, base_sha256)
        reports = trainer.run(resume=resume, on_step=on_step)
        learned = learned_weights(trainer.objective)
        folder = run.out_dir / MODEL_FOLDER
        if processes.first:
            history = _history(run, data, base_sha256, processes, reports)
            _publish(run, learned, folder, history)
        processes.wait()
    return TrainingReport(
        model=folder,
        steps=len(reports),
        items=len(data.items),
        first_loss=reports[0].loss if reports else None,
        last_loss=reports[-1].loss if reports else None,
        seconds=reports[-1].seconds if reports else 0.0,
    )


def _load_base(run: Run) -> Checkpoint:
    """Load the base in float32 on the CPU; sharing processes must not hold it whole on a GPU."""
    config = CheckpointConfig(
        path=run.base,
        offline=run.offline,
        dtype="float32",
        device="cpu",
        min_pixels=run.settings.min_pixels,
        max_pixels=run.settings.max_pixels,
    )
    return load_checkpoint(config, MODEL_TYPES)


def _objective(checkpoint: Checkpoint, settings: TrainingSettings) -> tuple[Objective, ScoreGrid | None]:
    """Make the loss that the settings ask for, around a model whose chosen parts learn."""
    model = _learning(checkpoint.model, settings)
    if settings.recompute:
        checkpoint.model.activation_checkpointing_enable({"use_reentrant": False})
    if settings.loss == EXPECTED_HOP:
        grid = score_grid(checkpoint.tokenizer)
        return ExpectedHopObjective(model, grid, settings.label_weight), grid
    return AnswerObjective(model), None


def _learning(model: Any, settings: TrainingSettings) -> Any:
    if settings.adapt == LORA:
        return with_adapters(model, settings)
    free_parts(model, settings.rates())
    return model


def _publish(run: Run, learned: Mapping[str, Any], folder: Path, history: Mapping[str, Any]) -> None:
    """Write the trained model; the weights that were trained are shared, so that the base is loaded afresh."""
    checkpoint = _load_base(run)
    model = _learning(checkpoint.model, run.settings)
    plain = {name.removeprefix(_OWN_NAME): tensor for name, tensor in learned.items()}
    publish(model, plain, checkpoint.files, folder, history)


def _history(
    run: Run,
    data: HopItems,
    base_sha256: str,
    processes: Processes,
    reports: Sequence[StepReport],
) -> dict[str, Any]:
    """What ``training.json`` says."""
    return {
        "base": run.base,
        "base_sha256": base_sha256,
        "data": [str(path) for path in run.data],
        "data_sha256": data.sha256,
        "items": len(data.items),
        "prompt": run.prompt.name,
        "prompt_sha256": run.prompt.sha256,
        "settings": dataclasses.asdict(run.settings),
        "processes": processes.count,
        "device": str(processes.device),
        "last_step": vars(reports[-1]) if reports else None,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }
