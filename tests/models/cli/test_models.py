"""``dopamine models``: what there is, which settings it takes, what a checkpoint is."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from dopamine_cli.main import app
from dopamine_core.reward import models
from tests.models.tiny_qwen import write_qwen3


def run(*words: str) -> tuple[int, list[dict]]:
    result = CliRunner().invoke(app, ["models", *words, "--json"])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_every_file_of_a_back_end_is_listed_with_its_sentence() -> None:
    code, rows = run()
    files = {path.stem for path in Path(models.__path__[0]).glob("*.py")} - {"__init__"}
    assert code == 0 and {row["name"] for row in rows} == files
    assert all(len(row["what"]) > 20 for row in rows)


def test_settings_are_shown_with_meaning_and_range() -> None:
    code, rows = run("grm")
    by_name = {row["setting"]: row for row in rows}
    assert code == 0 and by_name["prompt"]["range"] == "own | official | file"
    assert by_name["max_pixels"]["default"] == "76800"
    assert all(row["meaning"] for row in rows)


def test_a_checkpoint_is_looked_at_without_loading_it(tmp_path: Path) -> None:
    folder = write_qwen3(tmp_path / "checkpoint")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    code, (facts,) = run("grm", "--path", str(folder))
    assert code == 0
    assert facts["type"] == "qwen3_vl" and facts["licence"] == "cc-by-4.0"
    assert facts["weights"] > 10**5 and len(facts["sha256"]) == 64


def test_an_unknown_name_lists_the_known_ones() -> None:
    code, (error,) = run("grm-900b")
    assert code == 2 and error["kind"] == "UnknownNameError"
    assert "robometer" in error["text"]
