"""A tiny GRM to adapt: random weights that have learned to answer, though nothing about any task."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml

from dopamine_core.reward.grm.training.collate import collate_answers
from dopamine_core.reward.grm.training.losses import answer_loss
from dopamine_core.reward.grm.training.questions import QuestionMaker
from dopamine_core.reward.models.grm import Config
from dopamine_core.reward.vlm.checkpoint import load_checkpoint
from tests.models.grm.training.drawn_task import PROMPT, drawn_pair, small_images

MODEL_TYPES = ("qwen2_5_vl", "qwen3_vl")
_STEPS, _BATCH, _RATE = 60, 16, 3e-3
_SHARPER = 6.0  # small embeddings and a norm of 1 let no token become likely


def write_base(write: Callable[..., Path], folder: Path, seed: int = 0) -> Path:
    """Write a tiny checkpoint whose answers are scores, each as likely as another, whatever the images show.

    :param write: ``write_qwen2_5`` or ``write_qwen3``.
    """
    checkpoint = load_checkpoint(small_images(write(folder, seed)), MODEL_TYPES)
    model, rng = checkpoint.model, np.random.default_rng(seed)
    maker = QuestionMaker(checkpoint.tokenizer, checkpoint.image_processor, PROMPT)
    pairs = [drawn_pair(share, 0, 100 + k) for k, share in enumerate(rng.random(24))]
    with torch.no_grad():
        model.model.language_model.norm.weight.mul_(_SHARPER)
    model.model.language_model.requires_grad_(True)
    optimiser = torch.optim.Adam(model.model.language_model.parameters(), lr=_RATE)
    for _ in range(_STEPS):
        roles = rng.integers(0, len(pairs), (_BATCH, 4))
        questions = [
            maker.question("any", *(pairs[k] for k in row), hop=rng.uniform(-1.0, 1.0))
            for row in roles
        ]
        loss = answer_loss(model, collate_answers(questions, checkpoint.tokenizer))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.save_pretrained(folder, max_shard_size="300KB")
    return folder


def config_of(folder: Path) -> Config:
    """Settings of the back end for a tiny checkpoint, with a short prompt."""
    (folder / "prompt.txt").write_text(PROMPT.text, encoding="utf-8")
    return Config(
        path=str(folder),
        device="cpu",
        min_pixels=784,
        max_pixels=4096,
        prompt="file",
        prompt_file=str(folder / "prompt.txt"),
    )


def write_settings(base: Config, path: Path) -> Path:
    """Write the settings of the back end as a user would."""
    changed = ("path", "device", "min_pixels", "max_pixels", "prompt", "prompt_file")
    path.write_text(yaml.safe_dump({name: getattr(base, name) for name in changed}))
    return path
