"""Adapting a tiny GRM: what it learns, writes, resumes and refuses."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dopamine_core.errors import AdaptationCancelled, DemonstrationError, ModelError
from dopamine_core.evaluation.metrics import voc
from dopamine_core.evaluation.score import score_pairs
from dopamine_core.reward.adaptation_folder import leave_nothing, state_folder
from dopamine_core.reward.grm.adapted import apply_adapter, is_adaptation, read_adaptation
from dopamine_core.reward.grm.training.adapt_config import ANSWER, EXPECTED_HOP, AdaptConfig
from dopamine_core.reward.grm.training.adaptation import GrmAdaptationReport, adapt
from dopamine_core.reward.grm.training.learner import Learner
from dopamine_core.reward.grm.training.pairs import judged_pairs, questions_of
from dopamine_core.reward.grm.training.questions import QuestionMaker
from dopamine_core.reward.grm.training.states import states_of
from dopamine_core.reward.models.grm import MODEL_TYPES, Config, GrmHopModel, choose_prompt
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.reference_images import load_references
from dopamine_core.reward.vlm.checkpoint import Checkpoint, load_checkpoint
from tests.models.grm.training.drawn_task import TASK, drawn_demonstration
from tests.models.tiny_qwen import write_qwen2_5

CONFIG = AdaptConfig(
    pairs=500,
    learning_rate=2e-3,
    lora_rank=32,
    lora_alpha=64,
    lora_dropout=0.0,
    steps=140,
    batch=24,
    micro_batch=24,
    recompute=False,
    patience=10,
    judged_pairs=24,
    shown_frames=12,
)
SHORT = dataclasses.replace(CONFIG, steps=6, batch=8, micro_batch=4, check_every=3, save_every=2)


def hop_error(checkpoint: Checkpoint, base: Config, seed: int) -> float:
    """RMSE of hops on a drawn demonstration, shown with the start and goal of demonstration 0."""
    shown, reference = drawn_demonstration(seed), drawn_demonstration(0)
    rng = np.random.default_rng(0)
    states = states_of(shown, CONFIG, rng)
    pairs = judged_pairs(states.phi, np.arange(len(states.phi)), CONFIG, rng)
    maker = QuestionMaker(checkpoint.tokenizer, checkpoint.image_processor, choose_prompt(base))
    questions = questions_of(
        maker, TASK, shown.pairs, pairs, start=reference.pairs[0], goal=reference.pairs[-1]
    )
    hops = Learner(checkpoint, CONFIG, 0).read(questions).hops  # fresh adapters change nothing
    return float(np.sqrt(np.mean((hops - pairs.hop) ** 2)))


def loaded(base: Config) -> Checkpoint:
    return load_checkpoint(base, MODEL_TYPES)


def adapter_of(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter" / "adapter_model.safetensors")


def test_it_learns_from_one_demonstration(any_base: Config, tmp_path: Path) -> None:
    out = tmp_path / "adapted_001"
    report = adapt(
        drawn_demonstration(0),
        base=any_base,
        out_dir=out,
        held_out=[drawn_demonstration(1)],
        config=CONFIG,
    )
    assert report.loss_last < 0.5 * report.loss_first
    assert report.pairs_rmse_after < 0.6 * report.pairs_rmse_before
    assert report.judged_on == "held-out demonstrations" and report.held_out == 1
    assert report.rmse_after < 0.7 * report.rmse_before and report.voc_after > 0.8
    before = hop_error(loaded(any_base), any_base, seed=2)
    after = hop_error(apply_adapter(loaded(any_base), read_adaptation(out)), any_base, seed=2)
    assert after < 0.6 * before  # on a demonstration that nothing has seen
    adaptation, checkpoint = (
        read_adaptation(out),
        apply_adapter(loaded(any_base), read_adaptation(out)),
    )
    lenient = dataclasses.replace(any_base, min_mass=0.05)  # so few steps leave some answers vague
    hop_model = GrmHopModel(checkpoint, choose_prompt(lenient), lenient, adaptation.sha256)
    shown = drawn_demonstration(2).pairs[::3]
    scored = score_pairs(PairwiseModel(hop_model), load_references(out), shown)
    assert hop_model.model_id.adapted and scored.invalid == 0 and voc(scored.progress) > 0.8


@pytest.fixture(scope="module")
def adapted(
    base: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, GrmAdaptationReport]:
    """A short adaptation."""
    out = tmp_path_factory.mktemp("run") / "adapted_001"
    return out, adapt(drawn_demonstration(0), base=base, out_dir=out, config=SHORT, seed=3)


def test_folder_holds_all_that_a_run_needs(
    adapted: tuple[Path, GrmAdaptationReport], base: Config
) -> None:
    out, report = adapted
    found, shown = read_adaptation(out), drawn_demonstration(0)
    assert is_adaptation(out) and not is_adaptation(out / "adapter")
    assert found.base_sha256 == report.base_sha256 == loaded(base).files.sha256()
    assert found.base_path == base.path and found.base_revision == ""
    assert (found.prompt_name, found.prompt_sha256) == ("file", choose_prompt(base).sha256)
    assert found.task == TASK and Config(**found.settings) == base
    assert 0.5 <= found.success_threshold == report.success_threshold <= 0.98
    assert json.loads((out / "report.json").read_text())["rmse_after"] == report.rmse_after
    assert sorted(path.name for path in out.iterdir()) == [
        "adaptation.json", "adapter", "references", "report.json",
    ]  # fmt: skip
    names = sorted(path.name for path in found.adapter.iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors"]
    references = load_references(out)
    assert references.task == TASK and references.start is not None
    assert references.goals[0].wrist.data == shown.pairs[-1].wrist.data
    assert [path.name for path in out.parent.iterdir()] == [out.name]  # no state, no part is left


def test_without_other_demonstrations_it_says_so(
    adapted: tuple[Path, GrmAdaptationReport],
) -> None:
    _, report = adapted
    assert report.judged_on == "held-out pairs of the demonstration"
    assert (report.rmse_before, report.rmse_after) == (
        report.pairs_rmse_before,
        report.pairs_rmse_after,
    )


def test_merged_weights_answer_as_adapters_do(
    adapted: tuple[Path, GrmAdaptationReport], base: Config
) -> None:
    plain = hop_error(loaded(base), base, seed=0)
    found = read_adaptation(adapted[0])
    merged = apply_adapter(loaded(base), found)
    assert not any("lora" in name for name, _ in merged.model.named_modules())
    assert not any(part.requires_grad for part in merged.model.parameters())
    beside = loaded(base)
    from peft import PeftModel

    PeftModel.from_pretrained(beside.model, str(found.adapter))
    question = torch.arange(5)[None]
    texts = [c.model.model.language_model(question).last_hidden_state for c in (merged, beside)]
    torch.testing.assert_close(texts[0], texts[1], rtol=1e-4, atol=1e-4)
    assert hop_error(merged, base, seed=0) != pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("loss", [EXPECTED_HOP, ANSWER])
def test_a_broken_run_goes_on_as_if_nothing_had_been(
    base: Config, tmp_path: Path, loss: str
) -> None:
    config = dataclasses.replace(SHORT, loss=loss, lora_dropout=0.1)

    def run(name: str, on_progress: Callable[..., None] | None = None) -> GrmAdaptationReport:
        return adapt(
            drawn_demonstration(0),
            base=base,
            out_dir=tmp_path / name,
            config=config,
            on_progress=on_progress,
        )

    whole = run("whole")
    steps = 0

    def pull_the_plug(*, phase: str, **_: float) -> None:
        nonlocal steps
        steps += phase == "tune"
        if steps == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("broken", pull_the_plug)
    assert not (tmp_path / "broken").exists() and state_folder(tmp_path / "broken").exists()
    report = run("broken")
    assert report.resumed_at == 4 and whole.resumed_at == 0  # the last state that was written
    assert report.curve == whole.curve and report.pairs_rmse_after == whole.pairs_rmse_after
    expected, got = adapter_of(tmp_path / "whole"), adapter_of(tmp_path / "broken")
    assert expected.keys() == got.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert not state_folder(tmp_path / "broken").exists()


def test_another_adaptations_state_is_not_gone_on_with(base: Config, tmp_path: Path) -> None:
    def run(seed: int, last: int) -> GrmAdaptationReport:
        told = iter(range(1000))

        def stop(*, phase: str, **_: float) -> None:
            if phase == "tune" and next(told) >= last:
                raise KeyboardInterrupt

        return adapt(
            drawn_demonstration(0),
            base=base,
            out_dir=tmp_path / "out",
            config=SHORT,
            seed=seed,
            on_progress=stop,
        )

    with pytest.raises(KeyboardInterrupt):
        run(seed=0, last=4)
    assert run(seed=1, last=1000).resumed_at == 0


def test_damaged_state_is_not_gone_on_with(base: Config, tmp_path: Path) -> None:
    place = state_folder(tmp_path / "out")
    place.mkdir()
    (place / "tuning.pt").write_bytes(b"half a state")
    report = adapt(drawn_demonstration(0), base=base, out_dir=tmp_path / "out", config=SHORT)
    assert report.resumed_at == 0 and report.steps == 6


@pytest.mark.parametrize("phase", ["load", "judge base", "tune", "calibrate", "judge"])
def test_cancel_leaves_nothing(base: Config, tmp_path: Path, phase: str) -> None:
    reached: list[str] = []
    with pytest.raises(AdaptationCancelled):
        adapt(
            drawn_demonstration(0),
            base=base,
            out_dir=tmp_path / "out",
            config=SHORT,
            on_progress=lambda **progress: reached.append(str(progress["phase"])),
            should_cancel=lambda: phase in reached,
        )
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_leaves_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "adapted_001"
    for folder in (out, state_folder(out), tmp_path / ".adapting-x", tmp_path / "adapted_000"):
        folder.mkdir()
        (folder / "file").write_text("x")
    leave_nothing(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapted_000", "adapted_001"]


def test_progress_rises_to_the_end(base: Config, tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    adapt(
        drawn_demonstration(0),
        base=base,
        out_dir=tmp_path / "out",
        config=SHORT,
        on_progress=lambda **progress: told.append(progress),
    )
    fractions = [progress["fraction"] for progress in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    tuned = [progress for progress in told if progress["phase"] == "tune"]
    assert len(tuned) == SHORT.steps
    assert all(np.isfinite([p["loss"], p["held_out_error"]]).all() for p in tuned)


def test_time_budget_ends_it(base: Config, tmp_path: Path) -> None:
    report = adapt(
        drawn_demonstration(0),
        base=base,
        out_dir=tmp_path / "out",
        config=SHORT,
        time_budget_s=0.001,
    )
    assert report.stopped_by == "time" and report.steps == 1


def test_it_stops_when_held_out_pairs_gain_nothing(base: Config, tmp_path: Path) -> None:
    useless = dataclasses.replace(SHORT, learning_rate=0.3, steps=60, check_every=1, patience=2)
    report = adapt(drawn_demonstration(0), base=base, out_dir=tmp_path / "out", config=useless)
    assert report.stopped_by == "held-out error" and report.steps < 60
    errors = [report.pairs_rmse_before, *(error for _, _, error in report.curve)]
    assert report.pairs_rmse_after == min(errors)
    assert report.steps - report.best_step == 2


def test_an_adapter_of_another_base_is_refused(
    adapted: tuple[Path, GrmAdaptationReport], base: Config, tmp_path: Path
) -> None:
    other = write_qwen2_5(tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="the base model .*sha256"):
        apply_adapter(
            loaded(dataclasses.replace(base, path=str(other))), read_adaptation(adapted[0])
        )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("adapter/adapter_model.safetensors", b"x", "adapter_model.safetensors with sha256"),
        ("adapter/adapter_config.json", None, "No such file"),
        ("references/goal_wrist.jpg", b"x", "goal_wrist.jpg with sha256"),
        ("adaptation.json", b"{}", "KeyError"),
        ("adaptation.json", b"[1]", "AttributeError"),
        ("adaptation.json", b"no json", "JSONDecodeError"),
        ("adaptation.json", None, "No such file"),
    ],
)
def test_damaged_adaptations_are_named(
    adapted: tuple[Path, GrmAdaptationReport],
    tmp_path: Path,
    name: str,
    content: bytes | None,
    says: str,
) -> None:
    import shutil

    copy = Path(shutil.copytree(adapted[0], tmp_path / "copy"))
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    with pytest.raises(ModelError, match=says):
        read_adaptation(copy)


def test_an_adaptation_of_another_format_is_named(
    adapted: tuple[Path, GrmAdaptationReport], tmp_path: Path
) -> None:
    content = json.loads((adapted[0] / "adaptation.json").read_text())
    (tmp_path / "adaptation.json").write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(ModelError, match="format 1"):
        read_adaptation(tmp_path)


def test_unusable_demonstrations_and_bases_are_refused(base: Config, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DemonstrationError, match="at least 10 frames"):
        adapt(drawn_demonstration(frames=6), base=base, out_dir=out, config=SHORT)
    quantised = dataclasses.replace(base, quantisation="4bit")
    with pytest.raises(ModelError, match="not quantised"):
        adapt(drawn_demonstration(), base=quantised, out_dir=out, config=SHORT)
    adapted = tmp_path.parent / "adapted_base"
    adapted.mkdir(exist_ok=True)
    (adapted / "adaptation.json").write_text("{}")
    with pytest.raises(ModelError, match="unadapted"):
        adapt(drawn_demonstration(), base=dataclasses.replace(base, path=str(adapted)), out_dir=out)
    with pytest.raises(ModelError, match="a checkpoint folder"):
        adapt(drawn_demonstration(), base=dataclasses.replace(base, path="nowhere"), out_dir=out)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_not_replaced(base: Config, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ModelError, match="other files"):
        adapt(drawn_demonstration(), base=base, out_dir=tmp_path, config=SHORT)
    assert (tmp_path / "holiday.jpg").exists()
