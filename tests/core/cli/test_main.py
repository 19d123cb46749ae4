"""The command line as a whole: every command is there, explains itself and speaks JSON."""

import json

import pytest
import typer
from typer.testing import CliRunner

from dopamine_cli.main import app

COMMANDS = (
    *("demo", "record", "adapt", "train", "score", "report", "check", "models", "serve", "doctor"),
    *("nano train", "grm data", "grm train", "sarm train"),
)
GROUP = typer.main.get_command(app)


def command_of(words):
    command = GROUP
    for word in words.split():
        command = command.commands[word]
    return command


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_explains_itself_and_takes_json(words):
    command = command_of(words)
    assert command.help
    assert "--json" in {name for parameter in command.params for name in parameter.opts}


def test_the_demo_has_its_options():
    options = {name for parameter in command_of("demo").params for name in parameter.opts}
    wanted = {"--quick", "--run-dir", "--minutes", "--seed", "--speed", "--task", "--rerun"}
    assert wanted <= options


def test_help_lists_everything():
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert all(words.split()[0] in text for words in COMMANDS)


def test_a_folder_that_is_no_run_is_an_error_of_one_line(tmp_path):
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["kind"] == "RecordingError"


def test_a_bad_setting_is_refused_before_any_node_starts(tmp_path):
    result = CliRunner().invoke(app, ["demo", "--speed", "-1", "--run-dir", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "ConfigError" in result.stderr
    assert not (tmp_path / "run").exists()
