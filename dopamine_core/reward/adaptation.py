"""One demonstration comes in, a reward model adapted to it goes out: a folder that the back end loads.

Only the head learns; ``encoder.onnx`` stays byte for byte what it was, so that features a policy has stored stay valid.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import ModelError
from dopamine_core.evaluation.metrics import nan_mean, rmse, voc
from dopamine_core.evaluation.score import curves, score_pairs
from dopamine_core.reward.adaptation_folder import (
    ON_DEMONSTRATIONS,
    ON_PAIRS,
    PART_PREFIX,
    Listener,
    OnProgress,
    finite,
    put_folder,
)
from dopamine_core.reward.demonstration_progress import progress_of
from dopamine_core.reward.models.nano import NanoHopModel, read_folder
from dopamine_core.reward.nano.calibration import PerturbedRun, calibrate, perturbed_runs
from dopamine_core.reward.nano.export import export_head, write_model_json
from dopamine_core.reward.nano.head_tuning import HeadTuner, Tuned, TuningConfig, split_moments
from dopamine_core.reward.nano.head_weights import load_head, shape_of
from dopamine_core.reward.nano.model import HopHead
from dopamine_core.reward.nano.one_demonstration import (
    SAME_CELL,
    DemonstrationQueries,
    Encodings,
    Moments,
    RehearsalQueries,
    blended,
    encode_copies,
    joined,
    pixels_of,
    with_margin,
)
from dopamine_core.reward.nano.rehearsal import Rehearsal, load_rehearsal
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.reference_images import load_references, save_references
from dopamine_core.reward.session import References

__all__ = ["AdaptationReport", "OnProgress", "adapt", "load_references"]

_TUNING_SHARE = 0.8  # of the time budget; calibration, export and report take the rest
_HELD_OUT_REHEARSAL = 0.2
_JUDGED_REHEARSAL = 256  # questions
_CALIBRATION_COPIES = 4


@dataclass(frozen=True)
class AdaptationReport:
    """What adaptation did. ``judged_on`` says what RMSE and VOC were measured on.

    "held-out demonstrations": error of fused progress and its rank correlation with time, on demonstrations that
    were not learned from. "held-out pairs of the demonstration": error of hops on moments left out of the same
    demonstration, and VOC of its own curve, both of which flatter.
    """

    task: str
    episode_id: str
    judged_on: str
    held_out: int
    rmse_before: float
    rmse_after: float
    voc_before: float
    voc_after: float
    pairs_rmse_before: float  # hops, held-out pairs of the demonstration
    pairs_rmse_after: float
    rehearsal_rmse_before: float  # hops, training tasks
    rehearsal_rmse_after: float
    success_threshold: float
    done_level: float  # median level that perturbed runs reach
    nearly_level: float  # median level that they hold before they are done
    frames: int
    keyframes: int
    steps: int
    stopped_by: str
    seconds: float
    seed: int
    base_sha256: str
    model_sha256: str


def adapt(
    demonstration: Demonstration,
    *,
    base_dir: Path | None = None,
    out_dir: Path,
    held_out: Sequence[Demonstration] = (),
    time_budget_s: float = 90.0,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    should_cancel: Callable[[], bool] | None = None,
    config: TuningConfig | None = None,
) -> AdaptationReport:
    """Adapt the nano GRM to one demonstration.

    ``out_dir`` appears whole or not at all; an adapted model that is already there is replaced.

    :param base_dir: unadapted model folder with ``rehearsal.npz``; the shipped weights when left out.
    :param out_dir: folder for ``load_reward_model("nano", out_dir)`` and ``load_references(out_dir)``.
    :param held_out: demonstrations for the report only.
    :param time_budget_s: tuning ends early when this is short.
    :param seed: the same seed, frames and number of threads give the same head, unless the time ran out.
    :param should_cancel: asked often; when it answers true, nothing is written.
    :raises DemonstrationError: when the demonstration is too short, has no keyframes, or its goal looks like its start.
    :raises ModelError: when the base weights cannot be used or the folder cannot be written.
    :raises AdaptationCancelled: when ``should_cancel`` said so.
    """
    job = _Job(
        on_progress, should_cancel, Path(out_dir), time_budget_s, seed, config or TuningConfig()
    )
    job.say("encode", 0.0)
    base = NanoHopModel(base_dir)
    if base.model_id.adapted:
        raise ModelError(
            expected="unadapted weights to start from",
            got=f"an adapted model in {base.folder}",
            remedy="adapt from the shipped weights",
        )
    rehearsal = load_rehearsal(base.folder)
    lesson = _prepare(job, base, demonstration, rehearsal)
    tuned = _tune(job, base, lesson, rehearsal)
    job.say("calibrate", 0.85)
    runs = perturbed_runs(
        _Asker(tuned.head, lesson.same_cell, len(lesson.label)).hops,
        lesson.label,
        _CALIBRATION_COPIES + 1,
    )
    try:
        return _write(job, base, demonstration, held_out, lesson, tuned, runs)
    except OSError as error:
        raise ModelError(
            expected=f"a folder that can be written at {out_dir}",
            got=str(error),
            remedy="free space or choose another run folder",
        ) from error


@dataclass(frozen=True)
class _Job(Listener):
    """How it is done, and who listens."""

    out_dir: Path = Path()
    time_budget_s: float = 0.0
    seed: int = 0
    config: TuningConfig = dataclasses.field(default_factory=TuningConfig)
    began_s: float = dataclasses.field(default_factory=time.monotonic)


@dataclass(frozen=True)
class _Lesson:
    """The demonstration, encoded and labelled, and the rehearsal after it."""

    table: Moments
    same_cell: Encodings  # the demonstration as it came and as the same cell would show it later
    label: NDArray[np.float64]  # (T,) progress of the demonstration's frames


def _prepare(
    job: _Job, base: NanoHopModel, demonstration: Demonstration, rehearsal: Rehearsal
) -> _Lesson:
    """Label and encode the demonstration."""
    pixels, config = pixels_of(base, demonstration), job.config
    keyed = progress_of(demonstration, pixels)
    rng = np.random.default_rng([job.seed, 0])
    encoded = encode_copies(
        base,
        pixels,
        config.copies,
        config.jitter,
        rng,
        lambda share: job.say("encode", 0.1 * share),
    )
    same_cell = encode_copies(
        base,
        pixels,
        _CALIBRATION_COPIES,
        SAME_CELL,
        rng,
        lambda share: job.say("encode", 0.1 + 0.05 * share),
    )
    asker = _Asker(load_head(read_folder(base.folder)), encoded, len(keyed))
    read = curves(asker.hops(0, 0, np.arange(len(keyed))))["fused"]
    label = with_margin(blended(keyed, read, config.prior_share), config.completion_margin)
    return _Lesson(joined(encoded, label, rehearsal), same_cell, label)


def _tune(job: _Job, base: NanoHopModel, lesson: _Lesson, rehearsal: Rehearsal) -> Tuned:
    """Learn from the demonstration and the rehearsal, half and half."""
    rng, frames = np.random.default_rng([job.seed, 2]), len(lesson.label)
    learned, judged = split_moments(frames, job.config.held_out_share, rng)
    offset = len(lesson.table.phi) - len(rehearsal.phi)
    episodes = rng.permutation(np.unique(rehearsal.episode))
    count = max(1, round(_HELD_OUT_REHEARSAL * len(episodes)))
    kept = RehearsalQueries(rehearsal, episodes[:count], offset)
    lessons = (
        DemonstrationQueries(lesson.table, frames, learned),
        RehearsalQueries(rehearsal, episodes[count:], offset),
    )
    questions = (
        DemonstrationQueries(lesson.table, frames, judged).every(),
        kept.draw(_JUDGED_REHEARSAL, rng),
    )
    tuner = HeadTuner(load_head(read_folder(base.folder)), lesson.table, job.config, job.seed)
    deadline_s = job.began_s + _TUNING_SHARE * job.time_budget_s
    return tuner.run(
        lessons,
        questions,
        deadline_s,
        lambda share, loss, error: job.say("tune", 0.15 + 0.7 * share, loss, error),
    )


class _Asker:
    """Asks a head about the demonstration's copies."""

    def __init__(self, head: HopHead, table: Encodings, frames: int) -> None:
        self._head, self._table, self._frames = head, table, frames

    def hops(self, copy: int, reference: int, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Hops (T, 3) of one copy's moments against another copy's start and goal."""
        after = times + copy * self._frames
        start, goal = (reference * self._frames + t for t in (0, self._frames - 1))
        before = np.concatenate(
            [after[:1], after[:-1], np.full(len(after), after[0]), np.full(len(after), goal)]
        )
        roles = np.stack(
            [np.full(len(before), start), np.full(len(before), goal), before, np.tile(after, 3)], 1
        )
        with torch.no_grad():
            parts = (self._table.maps, self._table.features, self._table.present)
            hop, _, _ = self._head(*(torch.from_numpy(part[roles]) for part in parts))
        return hop.double().numpy().reshape(3, -1).T


def _write(
    job: _Job,
    base: NanoHopModel,
    demonstration: Demonstration,
    held_out: Sequence[Demonstration],
    lesson: _Lesson,
    tuned: Tuned,
    runs: Sequence[PerturbedRun],
) -> AdaptationReport:
    """Write the folder beside its place, judge what was written, then move it there."""
    job.out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.out_dir.parent, prefix=PART_PREFIX) as name:
        folder = Path(name) / job.out_dir.name
        folder.mkdir()
        shutil.copyfile(base.folder / "encoder.onnx", folder / "encoder.onnx")
        export_head(tuned.head, folder / "head.onnx")
        save_references(folder, demonstration.pairs[0], demonstration.pairs[-1])
        about = {
            "success_threshold": calibrate(runs),
            "adapted": True,
            "base_sha256": base.model_id.sha256,
            "task": demonstration.task,
        }
        shape = shape_of(read_folder(base.folder))
        write_model_json(folder, shape, **about)
        job.say("judge", 0.9)
        report = _report(job, base, NanoHopModel(folder), demonstration, held_out, tuned, runs)
        write_model_json(folder, shape, **about, report=finite(dataclasses.asdict(report)))
        job.say("done", 1.0)
        put_folder(folder, job.out_dir, "model.json")
    return report


def _report(
    job: _Job,
    base: NanoHopModel,
    adapted: NanoHopModel,
    demonstration: Demonstration,
    held_out: Sequence[Demonstration],
    tuned: Tuned,
    runs: Sequence[PerturbedRun],
) -> AdaptationReport:
    """Judge both models on demonstrations not learned from, or on the demonstration itself."""
    references = References(demonstration.task, demonstration.pairs[-1:], demonstration.pairs[0])
    judged = held_out or [demonstration]
    before, after = (_judge(model, references, judged) for model in (base, adapted))
    pairs = (tuned.error_before, tuned.error_after)
    errors = (before[0], after[0]) if held_out else pairs
    return AdaptationReport(
        task=demonstration.task,
        episode_id=demonstration.episode_id,
        judged_on=ON_DEMONSTRATIONS if held_out else ON_PAIRS,
        held_out=len(held_out),
        rmse_before=errors[0],
        rmse_after=errors[1],
        voc_before=before[1],
        voc_after=after[1],
        pairs_rmse_before=tuned.error_before,
        pairs_rmse_after=tuned.error_after,
        rehearsal_rmse_before=tuned.rehearsal_before,
        rehearsal_rmse_after=tuned.rehearsal_after,
        success_threshold=adapted.success_threshold,
        done_level=float(np.median([run.reached for run in runs])),
        nearly_level=float(np.median([run.nearly for run in runs])),
        frames=len(demonstration.pairs),
        keyframes=len(demonstration.keyframes),
        steps=tuned.steps,
        stopped_by=tuned.stopped_by,
        seconds=time.monotonic() - job.began_s,
        seed=job.seed,
        base_sha256=base.model_id.sha256,
        model_sha256=adapted.model_id.sha256,
    )


def _judge(
    hop_model: NanoHopModel, references: References, demonstrations: Sequence[Demonstration]
) -> tuple[float, float]:
    """Mean RMSE of fused progress and mean VOC over demonstrations."""
    model, errors, orders = PairwiseModel(hop_model), [], []
    for demonstration in demonstrations:
        progress = score_pairs(model, references, demonstration.pairs).progress
        label = progress_of(demonstration, pixels_of(hop_model, demonstration))
        errors.append(rmse(progress, label))
        orders.append(voc(progress))
    return nan_mean(errors), nan_mean(orders)
