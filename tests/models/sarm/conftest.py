"""A small stage-aware model, trained once for every test of this folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dopamine_core.reward.sarm.train import SarmReport, train
from dopamine_core.reward.sarm.trainer import SarmConfig
from tests.models.sarm.drawn_stages import demonstration

CONFIG = SarmConfig(steps=250, copies=2, batch=32, check_every=25)


@dataclass
class Trained:
    """The folder, its report, and what the listener was told."""

    folder: Path
    report: SarmReport
    told: list[tuple[str, float, float]] = field(default_factory=list)


@pytest.fixture(scope="session")
def trained(tiny_nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Learned from four scenes, judged on two others."""
    told: list[tuple[str, float, float]] = []

    def listen(*, phase: str, fraction: float, loss: float, held_out_error: float) -> None:
        told.append((phase, fraction, loss))

    folder = tmp_path_factory.mktemp("sarm") / "made" / "model"
    report = train(
        [demonstration(seed) for seed in range(4)],
        folder,
        encoder_dir=tiny_nano,
        held_out=[demonstration(seed) for seed in (10, 11)],
        on_progress=listen,
        config=CONFIG,
    )
    return Trained(folder, report, told)
