"""dopamine grm: from an episode folder to a trained model, and what is said when something is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dopamine_cli.main import app
from dopamine_core.reward.grm.official_data import read_items, read_tasks
from dopamine_core.reward.grm.training_at_scale.__main__ import main
from dopamine_core.reward.grm.training_at_scale.run import MODEL_TYPES
from dopamine_core.reward.vlm.checkpoint import CheckpointConfig, load_checkpoint
from tests.core.episodes.test_dataset import record
from tests.models.grm.at_scale.tiny_episodes import write_episode
from tests.models.grm.at_scale.tiny_run import SETTINGS
from tests.models.tiny_qwen import write_qwen3

DATA = ["--pairs", "12", "--chunk", "5"]
TRAIN = [f"--set={name}={value}" for name, value in {**SETTINGS, "steps": 2}.items()]
MARKS = "<image>" * 8


def invoke(*words):
    return CliRunner().invoke(app, ["grm", *map(str, words)])


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grm")
    write_episode(folder / "raw/episode_001")
    write_episode(folder / "raw/episode_002")
    (folder / "raw/episode_002/cam_high.mp4").unlink()
    result = invoke("data", folder / "raw", "--out", folder / "data", *DATA, "--json")
    assert result.exit_code == 0, result.output
    (folder / "said.json").write_text(result.stdout)
    write_qwen3(folder / "base")
    return folder


def test_data_are_made_and_what_was_left_out_is_said(made):
    said = [json.loads(line) for line in (made / "said.json").read_text().splitlines()]
    left = [line for line in said if line["event"] == "left_out"]
    assert [(one["episode"], one["kind"]) for one in left] == [("episode_002", "DemonstrationError")]
    assert said[-1]["event"] == "hop_data" and said[-1]["items"] == 12 and said[-1]["left_out"] == 1
    assert len(read_items(made / "data/hop_data.json")) == 12


def test_a_model_is_trained_and_continued(made, tmp_path):
    words = ["train", "--data", made / "data/hop_data.json", "--base", made / "base", "--out", tmp_path, *TRAIN]
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    assert lines(result)[-1]["event"] == "trained" and lines(result)[-1]["steps"] == 2
    load_checkpoint(CheckpointConfig(path=str(tmp_path / "model"), offline=True), MODEL_TYPES)
    again = invoke(*words)
    assert again.exit_code == 2 and "--resume" in again.stderr
    resumed = invoke(*words, "--resume")
    assert resumed.exit_code == 0 and "nothing was left to do" in resumed.stdout


def test_a_missing_package_names_its_extra(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "peft", None)
    words = ["--data", made / "data/hop_data.json", "--base", made / "base", "--out", tmp_path, *TRAIN]
    words = [str(word) for word in [*words, "--set=adapt=lora"]]
    result = invoke("train", *words)
    assert result.exit_code == 2 and "robo_dopamine[grm]" in result.stderr
    assert main(words) == 2
    assert "MissingPackageError: expected the package 'peft'" in capsys.readouterr().err


def test_torchrun_takes_several_data_files(made, tmp_path, capsys):
    (tmp_path / "empty.json").write_text("[]")
    words = ["--data", made / "data/hop_data.json", "--data", tmp_path / "empty.json"]
    assert main([str(word) for word in [*words, "--base", made / "base", "--out", tmp_path, *TRAIN]]) == 2
    assert "empty.json" in capsys.readouterr().err  # the last one was read after the first
    twice = ["--data", made / "data/hop_data.json", made / "data/hop_data.json"]
    assert main([str(word) for word in [*twice, "--base", made / "base", "--out", tmp_path, *TRAIN]]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["items"] == 24


def test_another_prompt_is_asked_for_by_name(made, tmp_path):
    (tmp_path / "prompt.txt").write_text("Say it: {task} " + MARKS)
    official = invoke("data", made / "raw", "--out", tmp_path / "a", "--prompt-file", tmp_path / "prompt.txt")
    assert official.exit_code == 2 and "sha256" in official.stderr
    words = ["--prompt-file", tmp_path / "prompt.txt", "--any-prompt"]
    assert invoke("data", made / "raw", "--out", tmp_path / "a", *DATA, *words).exit_code == 0
    assert read_items(tmp_path / "a/hop_data.json")[0].question.startswith("Say it: ")
    trained = invoke("train", "--data", tmp_path / "a/hop_data.json", "--base", made / "base", "--out", tmp_path / "b")
    assert trained.exit_code == 2 and "questions with the prompt 'own'" in " ".join(trained.stderr.split())
    assert invoke("data", made / "raw", "--out", tmp_path / "c", "--any-prompt").exit_code == 2


def test_recordings_become_official_folders(tmp_path):
    record(tmp_path / "e1.mcap")
    result = invoke("data", tmp_path / "e1.mcap", "--out", tmp_path / "out", "--folders", "--json")
    assert result.exit_code == 0, result.output
    assert lines(result)[-1]["folders"] == {str(tmp_path / "e1.mcap"): str(tmp_path / "out/episode_001")}
    assert read_tasks(tmp_path / "out/episode_001") == ("insert the peg",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "nowhere", "--out", "out"], "DemonstrationError"),
        (["data", ".", "--out", "out", "--rounding", "up"], "ConfigError"),
        (["train", "--data", "nowhere.json", "--base", "b", "--out", "out"], "LearnerError"),
        (["train", "--data", "x", "--base", "b", "--out", "out", "--set", "batch"], "ConfigError"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    result = invoke(*words)
    assert result.exit_code == 2 and said in result.stderr
    assert not (tmp_path / "out").exists()
