"""One process: what learns, what is written, and that a continued run equals an uninterrupted one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

from dopamine_core.errors import LearnerError, ModelError
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.training_at_scale import trainer
from dopamine_core.reward.grm.training_at_scale.lessons import HopLessons
from dopamine_core.reward.grm.training_at_scale.run import MODEL_TYPES, train
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig, load_checkpoint
from tests.models.grm.at_scale.tiny_run import (
    SETTINGS,
    largest_difference,
    log_of,
    losses_of,
    run_here,
    run_of,
    weights_of,
)
from tests.models.tiny_qwen import write_qwen3


@pytest.fixture(scope="module")
def whole(hop_file, qwen3, tmp_path_factory):
    """Folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    run_here(hop_file, qwen3, out)
    return out


def test_the_loss_falls_and_is_logged(whole):
    steps = log_of(whole, "step")
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5]
    assert steps[-1]["loss"] < 0.9 * steps[0]["loss"]
    for row in steps:
        assert set(row["rates"]) == {"language", "merger", "vision"}
        assert row["rates"]["vision"] == pytest.approx(row["rates"]["language"] / 10)
        assert row["items_per_s"] > 0 and row["gradient_norm"] > 0
    assert [row["step"] for row in log_of(whole, "saved")] == [2, 4, 5]
    assert sorted(p.name for p in (whole / "checkpoints").iterdir()) == ["step_000000004", "step_000000005"]


def test_the_model_has_the_published_layout(whole, qwen3, hop_file):
    loaded = load_checkpoint(CheckpointConfig(path=str(whole / "model"), offline=True), MODEL_TYPES)
    base = load_checkpoint(CheckpointConfig(path=str(qwen3), offline=True), MODEL_TYPES)
    assert {p.name for p in qwen3.iterdir() if "safetensors" not in p.name} < {
        p.name for p in (whole / "model").iterdir()
    }
    assert loaded.tokenizer.get_vocab() == base.tokenizer.get_vocab()
    moved = [
        name
        for (name, a), b in zip(loaded.model.named_parameters(), base.model.parameters(), strict=True)
        if not torch.equal(a, b)
    ]
    assert any("visual.blocks" in name for name in moved) and any("merger" in name for name in moved)
    said = json.loads((whole / "model/training.json").read_text())
    assert said["base_sha256"] == base.files.sha256()
    assert said["data_sha256"] == hashlib.sha256(hop_file.read_bytes()).hexdigest()
    assert said["settings"]["batch"] == SETTINGS["batch"] and said["versions"]["torch"] == torch.__version__
    assert said["last_step"]["loss"] == losses_of(whole)[-1]


def test_a_continued_run_equals_an_uninterrupted_one(whole, hop_file, qwen3, tmp_path, monkeypatch):
    real = trainer.Trainer._step

    def stopped(self, step, *args):
        if step == 3:
            raise KeyboardInterrupt
        return real(self, step, *args)

    monkeypatch.setattr(trainer.Trainer, "_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_here(hop_file, qwen3, tmp_path)
    monkeypatch.undo()
    with pytest.raises(LearnerError, match="--resume"):
        run_here(hop_file, qwen3, tmp_path)
    report = run_here(hop_file, qwen3, tmp_path, resume=True)
    assert report.steps == 3  # the checkpoint of step 2 was the last
    assert log_of(tmp_path, "resumed")[0]["step"] == 2
    assert losses_of(tmp_path)[-3:] == losses_of(whole)[-3:]
    assert largest_difference(tmp_path, whole) == 0.0


def test_passes_of_another_size_learn_the_same(whole, hop_file, qwen3, tmp_path):
    run_here(hop_file, qwen3, tmp_path, micro_batch=3, recompute=False, workers=1)
    assert losses_of(tmp_path) == pytest.approx(losses_of(whole), rel=1e-4)
    assert largest_difference(tmp_path, whole) < 1e-3


def test_a_finished_run_publishes_again(whole, hop_file, qwen3, tmp_path):
    shutil.copytree(whole / "checkpoints", tmp_path / "checkpoints")
    report = run_here(hop_file, qwen3, tmp_path, resume=True)
    assert (report.steps, report.last_loss) == (0, None)
    assert largest_difference(tmp_path, whole) == 0.0


def test_frozen_parts_stay_and_the_other_architecture_learns(hop_file, qwen2_5, tmp_path):
    run_here(hop_file, qwen2_5, tmp_path, vision_rate=0.0, merger_rate=0.0, steps=2, precision="bfloat16")
    before, after = weights_of(qwen2_5), weights_of(tmp_path / "model")
    assert set(before) == set(after)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert moved and not any("visual" in name for name in moved)


def test_a_base_of_low_precision_is_published_as_such(hop_file, qwen3, tmp_path):
    base = shutil.copytree(qwen3, tmp_path / "base")
    for path in base.glob("*.safetensors"):
        tensors = {name: tensor.bfloat16() for name, tensor in load_file(path).items()}
        save_file(tensors, path, {"format": "pt"})
    run_here(hop_file, base, tmp_path / "out", steps=1)
    after = weights_of(tmp_path / "out/model")
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert any(not torch.equal(after[name], tensor) for name, tensor in weights_of(base).items())


def test_adapters_are_merged_and_the_expected_hop_is_learned(hop_file, qwen3, tmp_path):
    run_here(hop_file, qwen3, tmp_path, adapt="lora", loss="expected_hop", lora_rank=2, steps=3, vision_rate=0.0)
    before, after = weights_of(qwen3), weights_of(tmp_path / "model")
    assert set(before) == set(after)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert any("q_proj" in name for name in moved) and any("merger" in name for name in moved)
    assert not any("norm" in name or "embed" in name or "blocks" in name for name in moved)
    terms = log_of(tmp_path, "step")[0]["terms"]
    assert set(terms) == {"hop", "label"} and 0.0 < terms["hop"] < 4.0 and terms["label"] > 0.0


def damaged_copy(hop_file, folder, images: bytes):
    shutil.copytree(hop_file.parent, folder)
    for path in folder.glob("episode_001/cam_high/*"):
        path.write_bytes(images)
    return folder / hop_file.name


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(hop_file, qwen3, tmp_path, workers):
    data = damaged_copy(hop_file, tmp_path / "data", b"no image")
    with pytest.raises(LearnerError, match="a readable image .*cam_high.* in item 'episode_001-"):
        run_here(data, qwen3, tmp_path / "out", workers=workers)


def test_missing_images_and_another_prompt_are_named_before_the_base_is_loaded(hop_file, tmp_path):
    run = run_of(hop_file, tmp_path / "nowhere", tmp_path / "out")
    other = GrmPrompt("file", "{task}" + "<image>" * 8)
    with pytest.raises(LearnerError, match="questions with the prompt 'file', sha256"):
        train(dataclasses.replace(run, prompt=other))
    with pytest.raises(LearnerError, match="that are not: no file"):
        train(dataclasses.replace(run, images=tmp_path))
    with pytest.raises(ModelError, match="checkpoint"):
        train(run)


def test_another_base_data_or_setting_is_refused(whole, hop_file, qwen3, tmp_path):
    shutil.copytree(whole / "checkpoints", tmp_path / "out/checkpoints")
    other_base = write_qwen3(tmp_path / "base", seed=1)
    with pytest.raises(LearnerError, match="base \\(sha256\\)"):
        run_here(hop_file, other_base, tmp_path / "out", resume=True)
    with pytest.raises(LearnerError, match="setting seed 0.*setting seed 7"):
        run_here(hop_file, qwen3, tmp_path / "out", resume=True, seed=7)
    shutil.copytree(hop_file.parent, tmp_path / "data")
    items = json.loads(hop_file.read_text())
    (tmp_path / "data/hop_data.json").write_text(json.dumps(items[:-1]))
    with pytest.raises(LearnerError, match="data \\(sha256\\)"):
        run_here(tmp_path / "data/hop_data.json", qwen3, tmp_path / "out", resume=True)


@pytest.mark.parametrize("name", ["__0_0.distcp", "state.json"])
def test_a_damaged_checkpoint_is_named(whole, hop_file, qwen3, tmp_path, name):
    shutil.copytree(whole / "checkpoints", tmp_path / "checkpoints")
    path = tmp_path / "checkpoints/step_000000005" / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LearnerError, match="a whole checkpoint of this model in .*step_000000005"):
        run_here(hop_file, qwen3, tmp_path, resume=True)
    shutil.rmtree(path.parent)
    assert run_here(hop_file, qwen3, tmp_path, resume=True).steps == 1


def test_a_checkpoint_of_noise_is_named(whole, hop_file, qwen3, tmp_path):
    shutil.copytree(whole / "checkpoints", tmp_path / "checkpoints")
    path = tmp_path / "checkpoints/step_000000005/.metadata"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(LearnerError, match="a whole checkpoint of this model"):
        run_here(hop_file, qwen3, tmp_path, resume=True)


@pytest.mark.parametrize("name", ["checkpoints", "log.jsonl"])
def test_a_folder_that_cannot_be_written_is_named(hop_file, qwen3, tmp_path, name):
    (tmp_path / "log.jsonl").mkdir() if name == "log.jsonl" else (tmp_path / name).write_text("")
    with pytest.raises(LearnerError, match=f"to write .*{name}"):
        run_here(hop_file, qwen3, tmp_path)


def test_a_loading_process_that_is_killed_is_named(hop_file, qwen3, tmp_path, monkeypatch):
    def killed(self, numbers):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(HopLessons, "batch", killed)
    with pytest.raises(LearnerError, match="loading processes that live"):
        run_here(hop_file, qwen3, tmp_path, workers=1)


def test_a_request_to_end_names_the_checkpoint(hop_file, qwen3, tmp_path, monkeypatch):
    real = trainer.Trainer._save

    def asked(self, done):
        real(self, done)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(trainer.Trainer, "_save", asked)
    with pytest.raises(LearnerError, match="SIGTERM to process 0 of 1.*step_000000002.*--resume"):
        run_here(hop_file, qwen3, tmp_path)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_loss_that_is_no_number_ends_the_run(hop_file, qwen3, tmp_path):
    base = shutil.copytree(qwen3, tmp_path / "base")
    path = sorted(base.glob("*.safetensors"))[0]
    tensors = load_file(path)
    next(iter(tensors.values())).fill_(torch.nan)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(LearnerError, match="a loss and a gradient that are numbers"):
        run_here(hop_file, base, tmp_path / "out")
    assert not (tmp_path / "out/model").exists() and not (tmp_path / "out/checkpoints").exists()
