"""Back ends that can be adapted, by name."""

import json
import math
import sys
from pathlib import Path

import pytest

from dopamine_core.errors import ConfigError, MissingPackageError, UnknownNameError
from dopamine_core.reward.adaptable import GRM, NANO, AdaptJob, adapt_back_end
from dopamine_core.reward.grm.adapted import read_adaptation
from dopamine_core.reward.registry import load_reward_model
from tests.core.reward.tiny_nano import drawn_demonstration as square
from tests.models.grm.training.drawn_task import drawn_demonstration
from tests.models.grm.training.tiny_base import config_of, write_settings
from tests.models.tiny_qwen import write_qwen3


def test_nano_is_adapted(tiny_nano: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("steps: 3\n")
    settings = str(tmp_path / "settings.yaml")
    job = AdaptJob(tmp_path / "out", NANO, str(tiny_nano), settings, time_budget_s=30.0)
    figures = adapt_back_end(job, square(), [square(1)])
    assert figures.steps == 3 and figures.judged_on == "held-out demonstrations"
    described = json.loads(figures.report_path.read_text())
    assert described["success_threshold"] == figures.success_threshold
    assert load_reward_model(NANO, str(tmp_path / "out")).model_id.adapted


def test_a_grm_is_adapted_by_its_own_settings_file(tmp_path: Path) -> None:
    base = config_of(write_qwen3(tmp_path / "base"))
    (tmp_path / "adapt.yaml").write_text(
        "steps: 2\nbatch: 4\npairs: 20\njudged_pairs: 4\nshown_frames: 8\nlora_rank: 2\n"
    )
    job = AdaptJob(
        tmp_path / "out",
        GRM,
        str(write_settings(base, tmp_path / "grm.yaml")),
        str(tmp_path / "adapt.yaml"),
        time_budget_s=600.0,
    )
    phases = []
    figures = adapt_back_end(
        job, drawn_demonstration(), on_progress=lambda **told: phases.append(told["phase"])
    )
    assert figures.steps == 2 and math.isfinite(figures.rmse_after)
    assert json.loads(figures.report_path.read_text())["steps"] == 2
    assert read_adaptation(tmp_path / "out").base_path == base.path
    assert {"load", "tune", "calibrate", "judge", "done"} <= set(phases)


def test_other_back_ends_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="grm, nano"):
        adapt_back_end(AdaptJob(tmp_path / "out", "gvl"), drawn_demonstration())


def test_unknown_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "adapt.yaml").write_text("stepps: 2\n")
    for name in (NANO, GRM):
        job = AdaptJob(tmp_path / "out", name, settings=str(tmp_path / "adapt.yaml"))
        with pytest.raises(ConfigError, match="stepps"):
            adapt_back_end(job, drawn_demonstration())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [
        name for name in sys.modules if name.startswith("dopamine_core.reward.grm.training")
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingPackageError, match=r"robo_dopamine\[grm\]"):
        adapt_back_end(AdaptJob(tmp_path / "out", GRM), drawn_demonstration())
