"""Demonstrations of one task come in, a stage-aware reward model goes out: a folder that the back end loads."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import ModelError
from dopamine_core.evaluation.metrics import nan_mean, rmse, voc
from dopamine_core.reward.adaptation_folder import Listener, OnProgress, finite, put_folder
from dopamine_core.reward.models.nano import SHIPPED, read_folder
from dopamine_core.reward.nano.calibration import PerturbedRun, calibrate
from dopamine_core.reward.nano.one_demonstration import SAME_CELL
from dopamine_core.reward.reference_images import save_references
from dopamine_core.reward.sarm.encoder import FrozenEncoder
from dopamine_core.reward.sarm.export import export_network
from dopamine_core.reward.sarm.folder import DESCRIPTION, ENCODER, SEQUENCE, describe, read_sarm
from dopamine_core.reward.sarm.lesson import Lesson, prepare
from dopamine_core.reward.sarm.stages import StagePlan, check_task
from dopamine_core.reward.sarm.trainer import SarmConfig, Trainer

_UNDECIDED = 2  # frames before arrival that may or may not be done


@dataclass(frozen=True)
class SarmReport:
    """What training did. Figures of progress and stages are those of held-out demonstrations, or of the demonstrations
    themselves, which flatters (``held_out`` 0).
    """

    task: str
    demonstrations: int
    held_out: int
    stages: int
    shares: tuple[float, ...]  # of progress, one for each stage
    first_loss: float  # mean of the first report's steps
    last_loss: float
    steps: int
    stopped_by: str  # "steps" or "time"
    rmse: float  # of progress
    voc: float
    stage_accuracy: float  # share of frames
    success_threshold: float
    seconds: float
    seed: int
    model_sha256: str


def train(
    demonstrations: Sequence[Demonstration],
    out_dir: Path | str,
    *,
    encoder_dir: Path | None = None,
    held_out: Sequence[Demonstration] = (),
    time_budget_s: float = 600.0,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    should_cancel: Callable[[], bool] | None = None,
    config: SarmConfig | None = None,
) -> SarmReport:
    """Train a model for one task. ``out_dir`` appears whole or not at all; a trained model that is there is replaced.

    :param demonstrations: of one task, two or more of different scenes are better than one.
    :param out_dir: folder for ``load_reward_model("sarm", out_dir)`` and ``load_references(out_dir)``.
    :param encoder_dir: nano folder whose encoder is used; the shipped one when left out.
    :param held_out: demonstrations for the report only.
    :param time_budget_s: training ends early when this is short.
    :param seed: the same seed, frames and number of threads give the same model, unless the time ran out.
    :param should_cancel: asked often; when it answers true, nothing is written.
    :raises DemonstrationError: when one is unusable or too short for the stages, or they are of several tasks.
    :raises ModelError: when the encoder cannot be used or the folder cannot be written.
    :raises AdaptationCancelled: when ``should_cancel`` said so.
    """
    config, out_dir = config or SarmConfig(), Path(out_dir)
    check_task([*demonstrations, *held_out] if demonstrations else [])
    listener, began_s = Listener(on_progress, should_cancel), time.monotonic()
    base = read_folder(encoder_dir or SHIPPED)
    encoder = FrozenEncoder(base.encoder, base.size, str(base.path / ENCODER))
    listener.say("encode", 0.0)
    lesson = prepare(
        demonstrations,
        encoder,
        stages=config.stages,
        done_share=config.done_share,
        copies=config.copies,
        how=config.jitter,
        rng=np.random.default_rng([seed, 0]),
        watch=lambda share: listener.say("encode", 0.4 * share),
    )
    trainer = Trainer(lesson, config, seed)
    deadline_s = began_s + time_budget_s
    trainer.run(deadline_s, lambda share, loss: listener.say("train", 0.4 + 0.5 * share, loss))
    listener.say("judge", 0.9)
    threshold = calibrate(
        _perturbed(trainer, _again(demonstrations, encoder, lesson.plan, 1, seed))
    )
    judged = _again(held_out, encoder, lesson.plan, 0, seed) if held_out else lesson
    report = _report(trainer, demonstrations, held_out, judged, threshold, began_s, seed)
    try:
        return _write(out_dir, encoder, trainer, demonstrations, report, listener)
    except OSError as error:
        raise ModelError(
            expected=f"a folder that can be written at {out_dir}",
            got=str(error),
            remedy="free space or choose another folder",
        ) from error


def _again(
    demonstrations: Sequence[Demonstration],
    encoder: FrozenEncoder,
    plan: StagePlan,
    copies: int,
    seed: int,
) -> Lesson:
    """Demonstrations by the learned stages, as they came and in copies as the same cell would show them later.

    :raises DemonstrationError: when one is unusable or too short for the stages.
    """
    return prepare(
        demonstrations,
        encoder,
        copies=copies,
        how=SAME_CELL,
        rng=np.random.default_rng([seed, 2]),
        watch=lambda _: None,
        like=plan,
    )


def _perturbed(trainer: Trainer, lesson: Lesson) -> list[PerturbedRun]:
    """Probability of "done" over runs, copies included."""
    return [
        PerturbedRun(trainer.read(run, copy)[0][:, -1], run.labels.arrived - _UNDECIDED)
        for run in lesson.runs
        for copy in range(len(run.features))
    ]


def _report(
    trainer: Trainer,
    demonstrations: Sequence[Demonstration],
    held_out: Sequence[Demonstration],
    judged: Lesson,
    threshold: float,
    began_s: float,
    seed: int,
) -> SarmReport:
    errors, orders, hits = [], [], []
    for run in judged.runs:
        probability, tau = (part[: run.frames] for part in trainer.read(run))
        progress, _ = trainer.plan.progress(probability, tau)
        truth = np.eye(trainer.plan.stages + 1)[run.labels.stage]
        true, _ = trainer.plan.progress(truth, np.tile(run.labels.tau[:, None], truth.shape[1]))
        errors.append(rmse(progress, true))
        orders.append(voc(progress))
        hits.append(float(np.mean(probability.argmax(-1) == run.labels.stage)))
    every = trainer.config.check_every
    return SarmReport(
        task=demonstrations[0].task,
        demonstrations=len(demonstrations),
        held_out=len(held_out),
        stages=trainer.plan.stages,
        shares=tuple(float(share) for share in trainer.plan.share[:-1]),
        first_loss=float(np.mean(trainer.losses[:every])),
        last_loss=float(np.mean(trainer.losses[-every:])),
        steps=len(trainer.losses),
        stopped_by=trainer.stopped_by,
        rmse=nan_mean(errors),
        voc=nan_mean(orders),
        stage_accuracy=nan_mean(hits),
        success_threshold=threshold,
        seconds=time.monotonic() - began_s,
        seed=seed,
        model_sha256="",
    )


def _write(
    out_dir: Path,
    encoder: FrozenEncoder,
    trainer: Trainer,
    demonstrations: Sequence[Demonstration],
    report: SarmReport,
    listener: Listener,
) -> SarmReport:
    """Write the folder beside its place, read it back, then move it there."""
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=".training-") as name:
        folder = Path(name) / out_dir.name
        folder.mkdir()
        (folder / ENCODER).write_bytes(encoder.content)
        export_network(trainer.network, folder / SEQUENCE)
        save_references(folder, demonstrations[0].pairs[0], demonstrations[0].pairs[-1])

        def write(made: SarmReport) -> None:
            describe(
                folder,
                task=made.task,
                plan=trainer.plan,
                size=encoder.size,
                window=trainer.network.shape.window,
                gap_s=trainer.config.gap * trainer.period_s,
                success_threshold=made.success_threshold,
                report=finite(dataclasses.asdict(made)),
            )

        write(report)
        report = dataclasses.replace(report, model_sha256=read_sarm(folder).model_id.sha256)
        write(report)
        listener.say("done", 1.0, report.last_loss, report.rmse)
        put_folder(folder, out_dir, DESCRIPTION)
    return report
