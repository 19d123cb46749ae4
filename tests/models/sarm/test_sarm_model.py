"""The stage-aware back end: what it reads of unseen runs, and which folders it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.evaluation.metrics import voc
from dopamine_core.evaluation.score import score_pairs
from dopamine_core.reward.clips import ClipRewardModel
from dopamine_core.reward.models.sarm import SarmScorer
from dopamine_core.reward.reference_images import load_references
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.success import SuccessRule
from dopamine_core.types import EncodedImage, FramePair, Status
from tests.models.sarm.conftest import Trained
from tests.models.sarm.drawn_stages import MISSING, TASK, demonstration, pair

UNSEEN = 12


@pytest.fixture(scope="module")
def model(trained: Trained) -> ClipRewardModel:
    made = load_reward_model("sarm", str(trained.folder))
    assert isinstance(made, ClipRewardModel)
    return made


def test_progress_of_an_unseen_run_is_ordered(model: ClipRewardModel, trained: Trained) -> None:
    shown = demonstration(UNSEEN)
    scored = score_pairs(model, load_references(trained.folder), shown.pairs)
    assert voc(scored.progress) > 0.95
    assert scored.progress[0] < 0.1 and scored.progress[-1] > 0.95


def test_stages_are_found(model: ClipRewardModel) -> None:
    shown = demonstration(UNSEEN)
    scorer = model.scorer
    assert isinstance(scorer, SarmScorer)
    frames = [scorer.encode(seen) for seen in shown.pairs]
    stages = np.array([r.stage for r in scorer.read([frames[: k + 1] for k in range(len(frames))])])
    second = shown.keyframes[1]
    assert np.mean(stages[:second] == 0) > 0.9
    assert np.mean(stages[second:-3] == 1) > 0.7
    assert stages[-1] == 2 and not (stages[:-6] == 2).any()


def test_success_is_the_probability_of_being_done(model: ClipRewardModel, trained: Trained) -> None:
    assert model.success_signal == "probability" and model.fast
    assert model.success_threshold == trained.report.success_threshold
    session = model.open(load_references(trained.folder))
    rule = SuccessRule(model.success_threshold, signal=model.success_signal)
    shown = demonstration(UNSEEN)
    for k, seen in enumerate((*shown.pairs, *[shown.pairs[-1]] * 3)):
        rule.update(k, session.observe(seen))
    assert rule.event is not None and rule.event.stamp_ns >= len(shown.pairs) - 3


def test_progress_falls_when_the_scene_goes_back_and_holds_when_it_rests(
    model: ClipRewardModel, trained: Trained
) -> None:
    session = model.open(load_references(trained.folder))
    ways = [*np.linspace(0, 0.8, 14), *[0.8] * 10, *np.linspace(0.8, 0.1, 12)]
    read = [session.observe(pair(way, 0.0, k, UNSEEN)).progress for k, way in enumerate(ways)]
    assert abs(read[23] - read[13]) < 0.15
    assert read[-1] < read[23] - 0.25


def test_several_samples_at_once_are_read_as_one_by_one(
    model: ClipRewardModel, trained: Trained
) -> None:
    references, shown = load_references(trained.folder), demonstration(UNSEEN).pairs
    together = model.open(references).observe_all(shown)
    session = model.open(references)
    for both, seen in zip(together, shown, strict=True):
        assert both.progress == pytest.approx(session.observe(seen).progress, abs=1e-5)


def test_a_run_without_wrist_view_is_read(model: ClipRewardModel, trained: Trained) -> None:
    session = model.open(load_references(trained.folder))
    readings = [session.observe(seen) for seen in demonstration(UNSEEN, wrist=False).pairs]
    assert all(reading.status is Status.OK for reading in readings)
    assert readings[-1].progress > readings[0].progress + 0.5


def test_a_front_image_is_required(model: ClipRewardModel, trained: Trained) -> None:
    session = model.open(load_references(trained.folder))
    with pytest.raises(ImageError, match="a front image"):
        session.observe(FramePair(MISSING, MISSING))
    with pytest.raises(ImageError):
        session.observe(FramePair(EncodedImage(1, "jpeg", b"junk", 1, 1), MISSING))


def test_it_says_what_it_knows(model: ClipRewardModel, trained: Trained) -> None:
    assert isinstance(model.scorer, SarmScorer) and model.scorer.task == TASK
    assert model.model_id.name == "sarm" and model.model_id.adapted
    assert model.model_id.sha256 == trained.report.model_sha256
    lower = load_reward_model("sarm", str(trained.folder), settings={"success_threshold": 0.3})
    assert lower.success_threshold == 0.3


def test_without_a_folder_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="only the task it was trained on"):
        load_reward_model("sarm")
    with pytest.raises(ModelError, match="a sarm model of format 1"):
        load_reward_model("sarm", str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("encoder.onnx", "sha256"), ("sequence.onnx", "sha256"), ("model.json", "format 1")],
)
def test_a_damaged_folder_is_refused(
    trained: Trained, tmp_path: Path, name: str, expected: str
) -> None:
    folder = shutil.copytree(trained.folder, tmp_path / "copy")
    (folder / name).write_bytes((folder / name).read_bytes()[:-9] + b"x")
    with pytest.raises(ModelError, match=expected):
        load_reward_model("sarm", str(folder))


def test_a_folder_of_another_model_is_refused(tiny_nano: Path) -> None:
    with pytest.raises(ModelError, match="a sarm model"):
        load_reward_model("sarm", str(tiny_nano))


def test_running_it_loads_no_torch() -> None:
    script = "import sys, dopamine_core.reward.models.sarm; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
