"""dopamine adapt without a graph, and what it refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dopamine_cli.main import app
from dopamine_core.episodes import dataset
from dopamine_core.reward.grm.adapted import read_adaptation
from dopamine_core.reward.reference_images import load_references
from tests.models.grm.training.drawn_task import TASK, drawn_demonstration
from tests.models.grm.training.tiny_base import config_of, write_settings
from tests.models.tiny_qwen import write_qwen2_5

SETTINGS = "steps: 2\nbatch: 4\npairs: 20\njudged_pairs: 4\nshown_frames: 8\nlora_rank: 2\n"


def invoke(*words: object):
    return CliRunner().invoke(app, ["adapt", *map(str, words)])


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bags named by the seed of a drawn demonstration."""
    monkeypatch.setattr(dataset, "load_demonstration", lambda path: drawn_demonstration(int(path.name)))


def test_a_grm_is_adapted_here(recorded: None, tmp_path: Path) -> None:
    base = write_settings(config_of(write_qwen2_5(tmp_path / "base")), tmp_path / "grm.yaml")
    (tmp_path / "adapt.yaml").write_text(SETTINGS)
    out = tmp_path / "adapted"
    words = ("0", "--held-out", "1", "--out", out, "--back-end", "grm", "--base", base)
    result = invoke(*words, "--settings", tmp_path / "adapt.yaml", "--time-budget", "600", "--json")
    assert result.exit_code == 0, result.output
    said = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert said[-1]["event"] == "adapted" and said[-1]["model_path"] == str(out)
    assert "held-out demonstrations; 2 steps" in said[-1]["message"]
    assert said[-1]["success_threshold"] == read_adaptation(out).success_threshold
    assert load_references(out).task == TASK


@pytest.mark.parametrize("option", ["--back-end=grm", "--base=x", "--settings=x.yaml"])
def test_options_of_an_adaptation_here_need_a_folder(option: str) -> None:
    result = invoke("0", option)
    assert result.exit_code == 2 and "--out" in result.stderr


def test_an_unknown_back_end_is_named(recorded: None, tmp_path: Path) -> None:
    result = invoke("0", "--out", tmp_path / "out", "--back-end", "gvl", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout.splitlines()[-1])["kind"] == "UnknownNameError"
    assert not (tmp_path / "out").exists()
