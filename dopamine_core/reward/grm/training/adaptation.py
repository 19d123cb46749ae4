"""One demonstration and a base GRM come in, an adaptation goes out: a folder that the back end loads.

Learned are low-rank adapters alone; the base model stays as it is and is not copied.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import AdaptationCancelled, ModelError
from dopamine_core.reward.adaptation_folder import (
    ON_DEMONSTRATIONS,
    ON_PAIRS,
    PART_PREFIX,
    Listener,
    OnProgress,
    finite,
    put_folder,
)
from dopamine_core.reward.grm.adapted import (
    ADAPTER,
    DESCRIPTION,
    REPORT,
    is_adaptation,
    write_description,
)
from dopamine_core.reward.grm.grid import score_grid
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.training.adapt_config import AdaptConfig
from dopamine_core.reward.grm.training.collate import Question
from dopamine_core.reward.grm.training.judging import Curves, Threshold, asked, judge, threshold_of
from dopamine_core.reward.grm.training.learner import Learner
from dopamine_core.reward.grm.training.lora import save_adapter
from dopamine_core.reward.grm.training.memory import (
    check_training_memory,
    shape_of,
    training_bytes,
)
from dopamine_core.reward.grm.training.pairs import judged_pairs, learned_pairs, questions_of
from dopamine_core.reward.grm.training.questions import QuestionMaker
from dopamine_core.reward.grm.training.states import states_of
from dopamine_core.reward.grm.training.tuner import Tuner, Tuning
from dopamine_core.reward.grm.training.tuning_files import TuningFiles
from dopamine_core.reward.models.grm import MODEL_TYPES, Config, choose_prompt
from dopamine_core.reward.reference_images import save_references
from dopamine_core.reward.session import References
from dopamine_core.reward.vlm.checkpoint import (
    SPREAD,
    choose_device,
    choose_dtype,
    load_checkpoint,
    load_processors,
    open_files,
)
from dopamine_core.reward.vlm.files import CheckpointFiles
from dopamine_core.reward.vlm.memory import GIB, NONE

_TUNING_SHARE = 0.8  # of the time budget; calibration and report take the rest
_PACKAGES = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class GrmAdaptationReport:
    """What adaptation did; see ``adaptation.AdaptationReport`` for ``judged_on``.

    RMSE and VOC are of fused progress on other demonstrations, read against this one's start and goal; without others,
    RMSE is of hops on the held-out pairs, and VOC is of the demonstration itself, which flatters.
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
    pairs_mass_after: float  # least probability, over these pairs, that the answer is a score
    success_threshold: float
    done_level: float
    nearly_level: float
    frames: int
    keyframes: int
    learned_pairs: int
    judged_pairs: int
    steps: int
    best_step: int  # whose adapters are kept; 0: none was better than the base model
    resumed_at: int  # step that an earlier, broken run had reached; 0: none
    stopped_by: str
    loss_first: float  # mean over the steps up to the first look
    loss_last: float
    curve: list[list[float]]  # step, mean loss since the last, RMSE of hops on the held-out pairs
    estimated_bytes: int  # memory that was expected to be needed
    seconds: float
    seed: int
    base_sha256: str


def adapt(
    demonstration: Demonstration,
    *,
    base: Config,
    out_dir: Path,
    held_out: Sequence[Demonstration] = (),
    time_budget_s: float = 1800.0,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    should_cancel: Callable[[], bool] | None = None,
    config: AdaptConfig | None = None,
    resume: bool = True,
) -> GrmAdaptationReport:
    """Adapt a GRM to one demonstration.

    ``out_dir`` appears whole or not at all; an adaptation that is already there is replaced. While it runs, its state
    lies in a hidden folder beside it; it stays when the process is broken off, and goes when it ends or is cancelled.

    :param base: settings of the back end ``grm``: checkpoint, image sizes, prompt.
    :param out_dir: folder for ``load_reward_model("grm", out_dir)`` and ``load_references(out_dir)``.
    :param held_out: demonstrations for the report only.
    :param time_budget_s: tuning ends early when this is short; loading the checkpoint is not counted.
    :param seed: the same seed, frames and number of threads give the same adapter on a CPU, unless the time ran out.
    :param should_cancel: asked often; when it answers true, nothing is left.
    :param resume: go on with what a broken run of the very same adaptation left; the report says from which step.
    :raises DemonstrationError: when the demonstration is too short, has no keyframes, or its goal looks like its start.
    :raises ModelError: when the base cannot be used, memory does not suffice or the folder cannot be written.
    :raises AdaptationCancelled: when ``should_cancel`` said so.
    """
    listener, config = Listener(on_progress, should_cancel), config or AdaptConfig()
    listener.say("load", 0.0)
    job = _prepare(listener, demonstration, base, Path(out_dir), seed, config)
    try:
        tuning, resumed_at, curves = _learn(job, held_out, time_budget_s, resume)
        report = _finish(job, held_out, tuning, resumed_at, curves)
    except AdaptationCancelled:
        job.files.remove()
        raise
    except torch.OutOfMemoryError as error:
        raise ModelError(
            expected=f"room for an adaptation, estimated at {job.estimated_bytes / GIB:.1f} GiB",
            got=str(error).splitlines()[0],
            remedy="lower micro_batch or max_pixels, or end what else uses the device",
        ) from error
    except OSError as error:
        raise ModelError(
            expected=f"a folder that can be written at {out_dir}",
            got=str(error),
            remedy="free space or choose another run folder",
        ) from error
    job.files.remove()
    return report


@dataclass(frozen=True)
class _Job:
    """Everything that is known before the first step."""

    listener: Listener
    demonstration: Demonstration
    base: Config
    base_sha256: str
    prompt: GrmPrompt
    out_dir: Path
    seed: int
    config: AdaptConfig
    lessons: list[Question]
    judged: list[Question]
    learner: Learner
    files: TuningFiles
    estimated_bytes: int
    began_s: float

    def tick(self, phase: str, fraction: float) -> Callable[[], None]:
        """Something to be called during a long phase: it ends when the caller wants to."""
        return lambda: self.listener.say(phase, fraction)


def _prepare(
    listener: Listener,
    demonstration: Demonstration,
    base: Config,
    out_dir: Path,
    seed: int,
    config: AdaptConfig,
) -> _Job:
    """Draw pairs, check the memory, load the base model and put adapters beside its layers."""
    if base.quantisation != NONE or base.device == SPREAD:
        raise ModelError(
            expected="a base model on one device that is not quantised",
            got=f"quantisation {base.quantisation}, device {base.device}",
            remedy="set quantisation: none and a device of your choice",
        )
    if is_adaptation(base.path):
        raise ModelError(
            expected="an unadapted checkpoint to start from",
            got=f"an adaptation in {base.path}",
            remedy="name the checkpoint that it was adapted from",
        )
    files, prompt = open_files(base, MODEL_TYPES), choose_prompt(base)
    maker = QuestionMaker(*load_processors(files.folder, base), prompt)
    lessons, judged = _questions(maker, demonstration, config, seed)
    needed = _memory(files, base, config, [*lessons, *judged], maker)
    listener.say("load", 0.02)
    check_training_memory(needed, choose_device(base.device), files.folder.name)
    learner = Learner(load_checkpoint(base, MODEL_TYPES), config, seed)
    sha256 = files.sha256()
    fingerprint = _fingerprint(demonstration, base, sha256, prompt, config, seed)
    return _Job(
        listener=listener,
        demonstration=demonstration,
        base=base,
        base_sha256=sha256,
        prompt=prompt,
        out_dir=out_dir,
        seed=seed,
        config=config,
        lessons=lessons,
        judged=judged,
        learner=learner,
        files=TuningFiles(out_dir, fingerprint),
        estimated_bytes=needed,
        began_s=time.monotonic(),
    )


def _questions(
    maker: QuestionMaker, demonstration: Demonstration, config: AdaptConfig, seed: int
) -> tuple[list[Question], list[Question]]:
    """Questions to learn from and to judge on."""
    rng, frames = np.random.default_rng([seed, 0]), demonstration.pairs
    states = states_of(demonstration, config, rng)
    both = (
        learned_pairs(states.phi, states.learned, config, rng),
        judged_pairs(states.phi, states.judged, config, rng),
    )
    lessons, judged = (
        questions_of(maker, demonstration.task, frames, pairs, start=frames[0], goal=frames[-1])
        for pairs in both
    )
    return lessons, judged


def _memory(
    files: CheckpointFiles,
    base: Config,
    config: AdaptConfig,
    questions: Sequence[Question],
    maker: QuestionMaker,
) -> int:
    return training_bytes(
        shape_of(files.config),
        config,
        elements=files.elements,
        query_tokens=max(question.tokens for question in questions),
        grid_nodes=len(score_grid(maker.tokenizer).tokens),
        dtype=choose_dtype(base),
    )


def _learn(
    job: _Job, held_out: Sequence[Demonstration], time_budget_s: float, resume: bool
) -> tuple[Tuning, int, Curves]:
    """Judge the base model, then tune; what an earlier run has done is not done again."""
    job.listener.say("judge base", 0.05)
    before = _curves(job, held_out, "judge base", 0.05)
    begun = job.files.read() if resume else None
    resumed_at = begun.step if begun else 0
    tuner = Tuner(job.learner, job.lessons, job.judged, job.config, job.seed)
    tuning = tuner.run(
        begun,
        _TUNING_SHARE * time_budget_s,
        lambda share, loss, error: job.listener.say("tune", 0.1 + 0.7 * share, loss, error),
        job.files.write,
    )
    return tuning, resumed_at, before


def _curves(job: _Job, held_out: Sequence[Demonstration], phase: str, fraction: float) -> Curves:
    """Judge the model as it is now."""
    shown = job.demonstration
    references = References(shown.task, shown.pairs[-1:], shown.pairs[0])
    checkpoint = job.learner.checkpoint
    with asked(checkpoint, job.prompt, job.tick(phase, fraction)) as hop_model:
        return judge(hop_model, references, held_out or [shown], job.config.shown_frames)


def _finish(
    job: _Job,
    held_out: Sequence[Demonstration],
    tuning: Tuning,
    resumed_at: int,
    before: Curves,
) -> GrmAdaptationReport:
    """Calibrate and judge, write the folder beside its place, then move it there."""
    job.listener.say("calibrate", 0.8)
    checkpoint, shown = job.learner.checkpoint, job.demonstration
    with asked(checkpoint, job.prompt, job.tick("calibrate", 0.8)) as hop_model:
        threshold = threshold_of(hop_model, shown, job.config.shown_frames)
    job.listener.say("judge", 0.9)
    after = _curves(job, held_out, "judge", 0.9)
    report = _report(job, held_out, tuning, resumed_at, threshold, (before, after))
    job.out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.out_dir.parent, prefix=PART_PREFIX) as name:
        folder = Path(name) / job.out_dir.name
        folder.mkdir()
        save_adapter(job.learner.adapted, folder / ADAPTER, job.base.path)
        save_references(folder, shown.pairs[0], shown.pairs[-1])
        text = json.dumps(finite(dataclasses.asdict(report)), indent=1)
        (folder / REPORT).write_text(text, encoding="utf-8")
        write_description(folder, _description(job, threshold))
        job.listener.say("done", 1.0)
        put_folder(folder, job.out_dir, DESCRIPTION)
    return report


def _description(job: _Job, threshold: Threshold) -> dict[str, Any]:
    base = job.base
    folder = Path(base.path).expanduser()
    path = str(folder.resolve()) if folder.is_dir() else base.path
    return {
        "base": {"path": path, "revision": base.revision, "sha256": job.base_sha256},
        "prompt": {"name": job.prompt.name, "sha256": job.prompt.sha256},
        "back_end_settings": dataclasses.asdict(base),
        "task": job.demonstration.task,
        "success_threshold": threshold.value,
        "threshold": {
            "rule": Threshold.RULE,
            "done_level": threshold.done_level,
            "nearly_level": threshold.nearly_level,
        },
        "data_sha256": data_sha256(job.demonstration),
        "episode_id": job.demonstration.episode_id,
        "settings": dataclasses.asdict(job.config),
        "seed": job.seed,
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _report(
    job: _Job,
    held_out: Sequence[Demonstration],
    tuning: Tuning,
    resumed_at: int,
    threshold: Threshold,
    curves: tuple[Curves, Curves],
) -> GrmAdaptationReport:
    pairs = tuning.before, tuning.best
    errors = (curves[0].rmse, curves[1].rmse) if held_out else pairs
    return GrmAdaptationReport(
        task=job.demonstration.task,
        episode_id=job.demonstration.episode_id,
        judged_on=ON_DEMONSTRATIONS if held_out else ON_PAIRS,
        held_out=len(held_out),
        rmse_before=errors[0],
        rmse_after=errors[1],
        voc_before=curves[0].voc,
        voc_after=curves[1].voc,
        pairs_rmse_before=pairs[0],
        pairs_rmse_after=pairs[1],
        pairs_mass_after=tuning.mass,
        success_threshold=threshold.value,
        done_level=threshold.done_level,
        nearly_level=threshold.nearly_level,
        frames=len(job.demonstration.pairs),
        keyframes=len(job.demonstration.keyframes),
        learned_pairs=len(job.lessons),
        judged_pairs=len(job.judged),
        steps=tuning.step,
        best_step=tuning.best_step,
        resumed_at=resumed_at,
        stopped_by=tuning.stopped_by,
        loss_first=tuning.curve[0][1],
        loss_last=tuning.curve[-1][1],
        curve=tuning.curve,
        estimated_bytes=job.estimated_bytes,
        seconds=time.monotonic() - job.began_s,
        seed=job.seed,
        base_sha256=job.base_sha256,
    )


def data_sha256(demonstration: Demonstration) -> str:
    """Hash of what is learned from: task, keyframes and the images' bytes."""
    digest = hashlib.sha256(f"{demonstration.task}\n{demonstration.keyframes}\n".encode())
    for pair in demonstration.pairs:
        for image in (pair.front, pair.wrist):
            digest.update(hashlib.sha256(image.data).digest())
    return digest.hexdigest()


def _fingerprint(
    demonstration: Demonstration,
    base: Config,
    base_sha256: str,
    prompt: GrmPrompt,
    config: AdaptConfig,
    seed: int,
) -> str:
    """Hash of everything that the adapters depend on."""
    parts = {
        "base": base_sha256,
        "dtype": str(choose_dtype(base)),
        "pixels": [base.min_pixels, base.max_pixels],
        "prompt": prompt.sha256,
        "data": data_sha256(demonstration),
        "settings": dataclasses.asdict(config),
        "seed": seed,
        "versions": [version(name) for name in _PACKAGES],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
