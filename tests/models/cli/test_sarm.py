"""dopamine sarm train: demonstrations in, a folder that loads as a reward model out."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dopamine_cli.main import app
from dopamine_core.episodes import dataset
from dopamine_core.reward.reference_images import load_references
from dopamine_core.reward.registry import load_reward_model
from tests.models.sarm.drawn_stages import demonstration


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bags named by the seed of a drawn demonstration."""
    monkeypatch.setattr(dataset, "load_demonstration", lambda path: demonstration(int(path.name)))


def test_a_model_is_trained_and_loads(tmp_path: Path) -> None:
    out = tmp_path / "model"
    words = ["0", "1", "--held-out", "2", "--steps", "20", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, ["sarm", "train", *words])
    assert result.exit_code == 0, result.output
    said = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert said[-1]["event"] == "trained" and said[-1]["held_out"] == 1
    model = load_reward_model("sarm", str(out))
    assert model.model_id.sha256 == said[-1]["model_sha256"]
    session = model.open(load_references(out))
    assert session.observe(demonstration(3).pairs[0]).ok
