"""The joint loss on a Robometer: what training reads is what the back end reads, and it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dopamine_core.errors import LearnerError
from dopamine_core.reward.grm.training_at_scale.joint_clips import TokenClips
from dopamine_core.reward.grm.training_at_scale.joint_objective import (
    ClipBatch,
    JointConfig,
    JointObjective,
)
from dopamine_core.reward.grm.training_at_scale.parts import free_parts, part_of
from dopamine_core.reward.grm.training_at_scale.processes import Processes
from dopamine_core.reward.grm.training_at_scale.settings import TrainingSettings
from dopamine_core.reward.grm.training_at_scale.trainer import Trainer
from dopamine_core.reward.robometer.engine import Engine
from dopamine_core.reward.robometer.images import patches_of
from dopamine_core.reward.robometer.load import load_robometer
from dopamine_core.reward.robometer.prompt import own_prompt
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig
from dopamine_core.reward.vlm.sequence import Chat, batch_of, chat_of, tokenise
from tests.models.robometer.tiny_robometer import tensors_of, write_base, write_upstream

TASK, FRAMES = "stack the cups", 3


def clip(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (FRAMES, 64, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("robometer")
    base = write_base(root / "base")
    return write_upstream(root / "weights", base, tensors_of(base)), base


@pytest.fixture
def robometer(folders):
    config = CheckpointConfig(path=str(folders[0]), device="cpu", offline=True, dtype="float32")
    return load_robometer(config, str(folders[1]))


def clips_of(robometer) -> TokenClips:
    ids = robometer.ids
    return TokenClips(
        robometer.model,
        robometer.heads,
        progress_token=ids.progress,
        preference_token=ids.preference,
        frames=FRAMES,
    )


def inputs_of(robometer, rows):
    """Sequences of single clips and of pairs."""
    chat = Chat(chat_of(robometer.tokenizer).before, "")
    sequences = []
    for clips in rows:
        counts = [len(frames) for frames in clips]
        prompt = own_prompt()
        single = len(clips) == 1
        parts = prompt.progress_parts(TASK, *counts) if single else prompt.preference_parts(TASK, *counts)
        images = [patches_of(frame, robometer.image_processor) for frames in clips for frame in frames]
        sequences.append((tokenise(robometer.tokenizer, parts, chat), images))
    return batch_of(sequences, robometer.tokenizer, pad_left=False).inputs


def test_training_reads_what_the_back_end_reads(robometer):
    engine = Engine(robometer, own_prompt())
    with torch.no_grad():
        read = clips_of(robometer).eval()(**inputs_of(robometer, [[clip(1)], [clip(2), clip(3)]]))
    judged = engine.judge([(TASK, clip(1))])[0]
    progress = (read.progress.softmax(-1) * torch.linspace(0, 1, read.progress.shape[-1])).sum(-1)
    assert torch.allclose(progress[0], judged.progress, atol=1e-4)
    assert torch.allclose(read.success[0].sigmoid(), judged.success, atol=1e-4)
    preferred = engine.prefer(TASK, clip(2), clip(3))
    assert float(read.preference[1].sigmoid()) == pytest.approx(preferred, abs=1e-4)


def test_too_few_pictures_are_named(robometer):
    with pytest.raises(LearnerError, match="3 progress tokens"):
        clips_of(robometer)(**inputs_of(robometer, [[clip(1)[:2]]]))


class Lessons:
    """Four clips of rising progress, two of them first in a pair."""

    sha256 = "clips"

    def __init__(self, robometer) -> None:
        self._robometer = robometer

    def __len__(self) -> int:
        return 4

    def batch(self, numbers):
        rows = [[clip(n)] if n % 2 else [clip(n), clip(n + 10)] for n in numbers]
        progress = torch.linspace(0, 1, FRAMES).expand(len(rows), FRAMES)
        success = (progress > 0.9).float()
        known = torch.ones(len(rows), FRAMES, dtype=torch.bool)
        pairs = torch.tensor([n % 2 == 0 for n in numbers])
        inputs = inputs_of(self._robometer, rows)
        return ClipBatch(inputs, progress, known, success, known, torch.ones(len(rows)), pairs)


def test_the_trainer_trains_a_robometer(robometer, tmp_path):
    settings = TrainingSettings(
        steps=6, batch=4, micro_batch=2, workers=0, language_rate=1e-3, vision_rate=0.0, merger_rate=0.0
    )
    model = clips_of(robometer)
    assert {part_of(name) for name, _ in model.named_parameters()} == {"language", "merger", "vision"}
    free_parts(model, settings.rates())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    objective = JointObjective(model, JointConfig(positive_share=1 / 3))
    alone = Processes(0, 1, torch.device("cpu"), None)
    steps = Trainer(objective, Lessons(robometer), settings, alone, tmp_path, "base").run()
    assert steps[-1].loss < 0.8 * steps[0].loss
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert any("progress_head" in name for name in moved)
    assert any("preference_head" in name for name in moved)
    assert any("layers" in name for name in moved) and not any("visual" in name for name in moved)
