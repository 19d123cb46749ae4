"""A back end's name, a base model and a demonstration come in, an adapted model's folder and its figures go out.

Which back ends can be adapted stands here; each is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_core.config import from_mapping, load_yaml
from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import UnknownNameError
from dopamine_core.reward.adaptation_folder import OnProgress
from dopamine_core.reward.registry import missing_package, values_of

NANO, GRM = "nano", "grm"
ADAPTABLE = (GRM, NANO)


@dataclass(frozen=True)
class AdaptJob:
    """What is adapted, and how.

    :param back_end: one of ``ADAPTABLE``.
    :param base: weights it starts from: a folder; for a GRM also a hub id, or a .yaml file of the back end's settings.
        Empty: the back end's own.
    :param settings: .yaml file of the adaptation's settings; empty: the defaults.
    :param out_dir: where the adapted model's folder appears.
    """

    out_dir: Path
    back_end: str = NANO
    base: str = ""
    settings: str = ""
    time_budget_s: float = 90.0
    seed: int = 0


@dataclass(frozen=True)
class AdaptFigures:
    """What came of it; NaN where there is no figure."""

    report_path: Path
    rmse_before: float
    rmse_after: float
    success_threshold: float
    judged_on: str
    steps: int
    seconds: float


def adapt_back_end(
    job: AdaptJob,
    demonstration: Demonstration,
    held_out: Sequence[Demonstration] = (),
    on_progress: OnProgress | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> AdaptFigures:
    """Adapt a back end to one demonstration.

    :param held_out: demonstrations for the report only.
    :raises UnknownNameError: when the back end cannot be adapted.
    :raises MissingPackageError: when a package that it needs is not installed.
    :raises DopamineError: whatever else the adaptation names.
    """
    begin = {NANO: _adapt_nano, GRM: _adapt_grm}.get(job.back_end)
    if begin is None:
        raise UnknownNameError(
            kind="back end that can be adapted", name=job.back_end, known=list(ADAPTABLE)
        )
    common = {
        "out_dir": job.out_dir,
        "held_out": held_out,
        "time_budget_s": job.time_budget_s,
        "seed": job.seed,
        "on_progress": on_progress,
        "should_cancel": should_cancel,
    }
    try:
        report, name = begin(job, demonstration, common)
    except ModuleNotFoundError as error:
        raise missing_package(job.back_end, error) from error
    return AdaptFigures(
        report_path=job.out_dir / name,
        rmse_before=report.rmse_before,
        rmse_after=report.rmse_after,
        success_threshold=report.success_threshold,
        judged_on=report.judged_on,
        steps=report.steps,
        seconds=report.seconds,
    )


def _adapt_nano(
    job: AdaptJob, demonstration: Demonstration, common: dict[str, Any]
) -> tuple[Any, str]:
    from dopamine_core.reward.adaptation import adapt
    from dopamine_core.reward.nano.head_tuning import TuningConfig

    config = from_mapping(TuningConfig, load_yaml(Path(job.settings)) if job.settings else {})
    base_dir = Path(job.base) if job.base else None
    return adapt(demonstration, base_dir=base_dir, config=config, **common), "model.json"


def _adapt_grm(
    job: AdaptJob, demonstration: Demonstration, common: dict[str, Any]
) -> tuple[Any, str]:
    from dopamine_core.reward.grm.adapted import REPORT
    from dopamine_core.reward.grm.training.adapt_config import read_adapt_config
    from dopamine_core.reward.grm.training.adaptation import adapt
    from dopamine_core.reward.models.grm import Config

    base = from_mapping(Config, values_of(job.base, {}))
    config = read_adapt_config(job.settings)
    return adapt(demonstration, base=base, config=config, **common), REPORT
