"""Training a stage-aware model from demonstrations: what it learns, writes and refuses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import AdaptationCancelled, ConfigError, DemonstrationError, ModelError
from dopamine_core.reward.reference_images import load_references
from dopamine_core.reward.sarm.train import train
from dopamine_core.reward.sarm.trainer import SarmConfig
from tests.models.sarm.conftest import CONFIG, Trained
from tests.models.sarm.drawn_stages import TASK, demonstration

EXACT = dataclasses.replace(CONFIG, steps=6, copies=0, stages="exact")
SHORT = dataclasses.replace(CONFIG, steps=6, copies=0, check_every=2)


def test_loss_falls_and_unseen_scenes_are_read(trained: Trained) -> None:
    report = trained.report
    assert report.last_loss < 0.25 * report.first_loss
    assert report.stages == 2 and report.held_out == 2 and report.demonstrations == 4
    assert report.voc > 0.95 and report.rmse < 0.1 and report.stage_accuracy > 0.9
    assert sum(report.shares) == pytest.approx(1.0 - CONFIG.done_share)
    assert 0.5 <= report.success_threshold <= 0.98


def test_the_listener_hears_every_phase_in_order(trained: Trained) -> None:
    phases = [phase for phase, _, _ in trained.told]
    fractions = [fraction for _, fraction, _ in trained.told]
    losses = [loss for phase, _, loss in trained.told if phase == "train"]
    assert list(dict.fromkeys(phases)) == ["encode", "train", "judge", "done"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert len(losses) == CONFIG.steps // CONFIG.check_every and losses[-1] < losses[0]


def test_the_folder_holds_all_that_a_run_needs(trained: Trained, tiny_nano: Path) -> None:
    names = {path.name for path in trained.folder.iterdir()}
    assert names == {"encoder.onnx", "sequence.onnx", "model.json", "references"}
    assert (trained.folder / "encoder.onnx").read_bytes() == (
        tiny_nano / "encoder.onnx"
    ).read_bytes()
    described = json.loads((trained.folder / "model.json").read_text())
    assert described["task"] == TASK and described["gap_s"] == pytest.approx(0.1 * CONFIG.gap)
    assert described["report"]["model_sha256"] == trained.report.model_sha256
    references = load_references(trained.folder)
    assert references.task == TASK and references.start is not None
    assert not list(trained.folder.parent.glob(".training-*"))


def test_same_seed_same_model(tiny_nano: Path, tmp_path: Path) -> None:
    demonstrations = [demonstration(seed) for seed in range(2)]
    made = [
        train(
            demonstrations, tmp_path / name, encoder_dir=tiny_nano, seed=seed, config=SHORT
        ).model_sha256
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert made[0] == made[1] != made[2]


def test_a_trained_model_is_replaced_but_other_files_are_not(
    tiny_nano: Path, tmp_path: Path
) -> None:
    made = [
        train([demonstration(0)], tmp_path / "out", encoder_dir=tiny_nano, seed=seed, config=SHORT)
        for seed in (1, 2)
    ]
    assert made[0].model_sha256 != made[1].model_sha256
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(ModelError, match="other files"):
        train([demonstration(0)], tmp_path / "notes", encoder_dir=tiny_nano, config=SHORT)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("asked", [1, 3, 5, 6])
def test_a_cancelled_training_writes_nothing(tiny_nano: Path, tmp_path: Path, asked: int) -> None:
    left = iter(range(asked))

    def cancel() -> bool:
        return next(left, None) is None

    with pytest.raises(AdaptationCancelled):
        train(
            [demonstration(0)],
            tmp_path / "out",
            encoder_dir=tiny_nano,
            should_cancel=cancel,
            config=SHORT,
        )
    assert not list(tmp_path.iterdir())


def test_a_short_time_ends_training_early(tiny_nano: Path, tmp_path: Path) -> None:
    report = train(
        [demonstration(0)], tmp_path / "out", encoder_dir=tiny_nano, time_budget_s=0.0, config=SHORT
    )
    assert report.steps == 1 and report.stopped_by == "time" and report.held_out == 0


def test_stages_are_the_usual_ones(tiny_nano: Path, tmp_path: Path) -> None:
    made = [demonstration(seed) for seed in range(3)]
    marks = (0, 2, made[0].keyframes[1], made[0].keyframes[1] + 5, made[0].keyframes[-1])
    other = [dataclasses.replace(made[0], keyframes=marks), *made[1:]]
    one, plain = (
        train(given, tmp_path / name, encoder_dir=tiny_nano, config=SHORT)
        for name, given in (("more", other), ("plain", made))
    )
    assert one.stages == plain.stages == 2 and one.shares == pytest.approx(plain.shares)


def test_a_demonstration_too_short_for_the_stages_is_refused(
    tiny_nano: Path, tmp_path: Path
) -> None:
    made = [demonstration(seed) for seed in range(3)]
    made[:2] = [
        dataclasses.replace(one, keyframes=(*range(18), len(one.pairs) - 1)) for one in made[:2]
    ]
    pairs = made[2].pairs[::3]
    made[2] = Demonstration(TASK, pairs, (0, len(pairs) - 1), made[2].gripper[::3], "short")
    with pytest.raises(DemonstrationError, match="long enough for 18 stages"):
        train(made, tmp_path / "out", encoder_dir=tiny_nano, config=SHORT)


def test_one_stage_needs_no_common_keyframes(tiny_nano: Path, tmp_path: Path) -> None:
    whole = dataclasses.replace(SHORT, stages="single")
    report = train(with_other_marks(), tmp_path / "out", encoder_dir=tiny_nano, config=whole)
    assert report.stages == 1 and report.shares == (pytest.approx(1.0 - whole.done_share),)


def test_without_a_wrist_camera(tiny_nano: Path, tmp_path: Path) -> None:
    made = train(
        [demonstration(0, wrist=False)], tmp_path / "out", encoder_dir=tiny_nano, config=SHORT
    )
    assert made.stages == 2


def with_other_marks() -> list[Demonstration]:
    other = demonstration(1)
    return [demonstration(0), dataclasses.replace(other, keyframes=(0, other.keyframes[-1]))]


def still() -> list[Demonstration]:
    one = demonstration(0)
    return [dataclasses.replace(one, pairs=one.pairs[:1] * len(one.pairs))]


def short() -> list[Demonstration]:
    one = demonstration(0)
    marks = (0, 5)
    return [Demonstration(TASK, one.pairs[:6], marks, one.gripper[:6], "short")]


UNUSABLE: dict[Callable[[], list[Demonstration]], str] = {
    with_other_marks: "same number of keyframes",
    lambda: [demonstration(0), demonstration(1, task="something else")]: "of one task",
    list: "at least one demonstration",
    still: "a goal that looks different",
    short: "at least 10 frames",
}


@pytest.mark.parametrize("made", UNUSABLE, ids=list(UNUSABLE.values()))
def test_demonstrations_that_cannot_teach_are_refused(
    tiny_nano: Path, tmp_path: Path, made: Callable[[], list[Demonstration]]
) -> None:
    with pytest.raises(DemonstrationError, match=UNUSABLE[made]):
        train(made(), tmp_path / "out", encoder_dir=tiny_nano, config=EXACT)
    assert not list(tmp_path.iterdir())


def test_held_out_demonstrations_are_of_the_same_task(tiny_nano: Path, tmp_path: Path) -> None:
    other = demonstration(1, task="something else")
    with pytest.raises(DemonstrationError, match="of one task"):
        train(
            [demonstration(0)],
            tmp_path / "out",
            encoder_dir=tiny_nano,
            held_out=[other],
            config=SHORT,
        )


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="the heads divide"):
        SarmConfig(width=30, heads=4)
