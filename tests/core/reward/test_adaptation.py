"""One-shot adaptation: what it learns, writes and refuses."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import AdaptationCancelled, DemonstrationError, ModelError
from dopamine_core.evaluation.metrics import voc
from dopamine_core.evaluation.score import score_pairs
from dopamine_core.reward.adaptation import AdaptationReport, adapt
from dopamine_core.reward.demonstration_progress import progress_of
from dopamine_core.reward.models.nano import NanoHopModel
from dopamine_core.reward.nano.calibration import PerturbedRun, calibrate
from dopamine_core.reward.nano.head_tuning import TuningConfig
from dopamine_core.reward.nano.one_demonstration import (
    SAME_CELL,
    Jitter,
    jitter,
    pixels_of,
)
from dopamine_core.reward.reference_images import load_references
from dopamine_core.reward.registry import load_reward_model
from tests.core.reward.tiny_nano import FRAMES, drawn_demonstration, drawn_pair

CONFIG = TuningConfig(steps=150, queries=48, copies=2, learning_rate=3e-3)


@pytest.fixture(scope="module")
def adapted(
    tiny_nano: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, AdaptationReport]:
    """A tiny model adapted to the drawn task, judged on two it has not seen."""
    out = tmp_path_factory.mktemp("run") / "adapted_001"
    held_out = [drawn_demonstration(seed) for seed in (1, 2)]
    report = adapt(
        drawn_demonstration(0),
        base_dir=tiny_nano,
        out_dir=out,
        held_out=held_out,
        seed=3,
        config=CONFIG,
    )
    return out, report


def test_it_learns_from_one_demonstration(adapted: tuple[Path, AdaptationReport]) -> None:
    out, report = adapted
    assert report.rmse_after < 0.8 * report.rmse_before
    assert report.judged_on == "held-out demonstrations" and report.held_out == 2
    scored = score_pairs(
        load_reward_model("nano", str(out)), load_references(out), drawn_demonstration(3).pairs
    )
    assert voc(scored.progress) > 0.7


def test_folder_holds_all_that_a_run_needs(
    adapted: tuple[Path, AdaptationReport], tiny_nano: Path
) -> None:
    out, report = adapted
    model = NanoHopModel(out)
    described = json.loads((out / "model.json").read_text())
    assert (out / "encoder.onnx").read_bytes() == (tiny_nano / "encoder.onnx").read_bytes()
    assert model.model_id.adapted and model.model_id.sha256 == report.model_sha256
    assert described["base_sha256"] == NanoHopModel(tiny_nano).model_id.sha256
    assert described["report"]["rmse_after"] == pytest.approx(report.rmse_after)
    assert 0.5 <= model.success_threshold == report.success_threshold <= 0.98
    references, shown = load_references(out), drawn_demonstration(0)
    assert references.task == "move it"
    assert references.goals[0].wrist.data == shown.pairs[-1].wrist.data
    assert references.start is not None and references.start.front.data == shown.pairs[0].front.data
    assert not list(out.parent.glob(".adapting-*"))


def test_same_seed_same_head(tiny_nano: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(CONFIG, steps=6)
    state = torch.get_rng_state()
    heads = []
    for name in ("a", "b"):
        adapt(
            drawn_demonstration(), base_dir=tiny_nano, out_dir=tmp_path / name, seed=5, config=short
        )
        heads.append((tmp_path / name / "head.onnx").read_bytes())
    assert heads[0] == heads[1]
    assert torch.equal(state, torch.get_rng_state())


def test_without_held_out_demonstrations_it_says_so(tiny_nano: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(CONFIG, steps=5)
    told: list[dict[str, float]] = []
    report = adapt(
        drawn_demonstration(),
        base_dir=tiny_nano,
        out_dir=tmp_path / "out",
        config=short,
        on_progress=lambda **progress: told.append(progress),
    )
    assert report.judged_on == "held-out pairs of the demonstration"
    assert report.rmse_before == report.pairs_rmse_before
    fractions = [progress["fraction"] for progress in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert {progress["phase"] for progress in told} >= {
        "encode",
        "tune",
        "calibrate",
        "judge",
        "done",
    }


@pytest.mark.parametrize("after", [0, 2, 4])
def test_cancel_leaves_nothing(tiny_nano: Path, tmp_path: Path, after: int) -> None:
    asked = iter(range(100))
    with pytest.raises(AdaptationCancelled):
        adapt(
            drawn_demonstration(),
            base_dir=tiny_nano,
            out_dir=tmp_path / "out",
            should_cancel=lambda: next(asked) >= after,
            config=dataclasses.replace(CONFIG, steps=5),
        )
    assert list(tmp_path.iterdir()) == []


def test_time_budget_ends_it(tiny_nano: Path, tmp_path: Path) -> None:
    report = adapt(
        drawn_demonstration(),
        base_dir=tiny_nano,
        out_dir=tmp_path / "o",
        time_budget_s=0.01,
        config=CONFIG,
    )
    assert report.stopped_by == "time" and report.steps == 1


def without_some_wrists() -> Demonstration:
    shown = drawn_demonstration()
    blind = dataclasses.replace(shown.pairs[2].wrist, data=b"")
    pairs = (*shown.pairs[:2], dataclasses.replace(shown.pairs[2], wrist=blind), *shown.pairs[3:])
    return dataclasses.replace(shown, pairs=pairs)


def standing_still() -> Demonstration:
    return dataclasses.replace(
        drawn_demonstration(), pairs=tuple(drawn_pair(0.3, k) for k in range(FRAMES))
    )


@pytest.mark.parametrize(
    ("demonstration", "says"),
    [
        (drawn_demonstration(frames=6), "at least 10 frames"),
        (standing_still(), "different from the start"),
        (without_some_wrists(), "wrist images in all"),
    ],
)
def test_unusable_demonstrations_are_refused(
    tiny_nano: Path, tmp_path: Path, demonstration: Demonstration, says: str
) -> None:
    with pytest.raises(DemonstrationError, match=says):
        adapt(demonstration, base_dir=tiny_nano, out_dir=tmp_path / "out", config=CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_unusable_base_and_place_are_refused(
    adapted: tuple[Path, AdaptationReport], tiny_nano: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="unadapted"):
        adapt(drawn_demonstration(), base_dir=adapted[0], out_dir=tmp_path / "out")
    occupied = tmp_path / "photos"
    occupied.mkdir()
    (occupied / "holiday.jpg").write_bytes(b"x")
    short = dataclasses.replace(CONFIG, steps=1)
    with pytest.raises(ModelError, match="other files"):
        adapt(drawn_demonstration(), base_dir=tiny_nano, out_dir=occupied, config=short)
    assert [path.name for path in tmp_path.rglob("*")] == ["photos", "holiday.jpg"]


def test_still_frames_at_the_end_are_the_goal(tiny_nano: Path) -> None:
    moving, model = drawn_demonstration(), NanoHopModel(tiny_nano)
    waiting = tuple(drawn_pair(1.0, FRAMES + k) for k in range(8))
    marks = (0, FRAMES // 2, FRAMES + 3, FRAMES + 7)  # a rest in the waiting
    shown = dataclasses.replace(
        moving, pairs=moving.pairs + waiting, keyframes=marks, gripper=np.zeros(FRAMES + 8)
    )
    label = progress_of(shown, pixels_of(model, shown))
    assert label[FRAMES - 1 :].tolist() == [1.0] * 9
    assert label[FRAMES // 2] == pytest.approx(0.5)
    assert (np.diff(label) >= 0.0).all()


def test_jitter_keeps_shape_and_changes_light(tiny_nano: Path) -> None:
    pixels = pixels_of(NanoHopModel(tiny_nano), drawn_demonstration())
    changed = jitter(pixels, SAME_CELL, np.random.default_rng(0))
    assert changed.shape == pixels.shape and changed.dtype == np.uint8
    assert 1.0 < np.abs(changed.astype(float) - pixels).mean() < 100.0


def test_jitter_moves_a_picture_by_its_share_of_the_width() -> None:
    pixels = np.zeros((1, 1, 96, 128, 3), np.uint8)
    pixels[:, :, 40:56, 56:72] = 200  # a square in the middle
    still = jitter(pixels, Jitter(0.0, 0.0, 0.0, 0.0, 0.0), np.random.default_rng(1))
    assert np.abs(still.astype(float) - pixels).mean() < 2.5  # sensor noise alone
    shifts = []
    for seed in range(20):
        moved = jitter(pixels, Jitter(0.0, 0.0, 0.1, 0.0, 0.0), np.random.default_rng(seed))
        rows, columns = np.nonzero(moved[0, 0, :, :, 0] > 100)
        shifts.append((columns.mean() - 63.5, rows.mean() - 47.5))
    assert np.abs(shifts).max() == pytest.approx(12.8, abs=2.0)


@pytest.mark.parametrize(
    ("reached", "nearly", "low", "high"),
    [
        ([0.95, 0.92, 0.97], [0.6, 0.7, 0.65], 0.7, 0.92),  # apart: between them
        ([0.8, 0.81, 0.79], [0.3, 0.3, 0.3], 0.5, 0.79),  # a modest model can still be judged
        (
            [0.9, 0.6, 0.92],
            [0.7, 0.7, 0.7],
            0.7,
            0.9,
        ),  # one bad run does not move it
    ],
)
def test_threshold_separates_done_from_nearly(
    reached: list[float], nearly: list[float], low: float, high: float
) -> None:
    runs = [
        PerturbedRun(np.array([0.0, n, n, n, r, r, r]), arrived=4)
        for r, n in zip(reached, nearly, strict=True)
    ]
    assert low < calibrate(runs) <= high
