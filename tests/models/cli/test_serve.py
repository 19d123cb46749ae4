"""``dopamine serve``: token, references and a process that serves until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from dopamine_cli.main import app
from dopamine_cli.serve import read_token, references_for
from dopamine_core.episodes import dataset
from dopamine_core.errors import ConfigError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.reference_images import save_references
from dopamine_core.reward.serving.config import TOKEN_VARIABLE
from dopamine_core.reward.session import References
from dopamine_core.types import FramePair
from tests.core.reward.tiny_nano import drawing, drawn_demonstration, write_tiny_model
from tests.models.serving.served import ask, progress

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny nano with task, start and goal."""
    folder = write_tiny_model(tmp_path_factory.mktemp("adapted"))
    start, goal = (FramePair(i, i) for i in (encode(drawing(s), 1) for s in (0.0, 1.0)))
    save_references(folder, start, goal)
    info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(info | {"task": "move it"}), encoding="utf-8")
    return folder


@contextmanager
def serving(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """The command in a process of its own, and the line that it says first."""
    command = [sys.executable, "-m", "dopamine_cli.main", "serve", "--port", "0", "--json", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    watchdog = threading.Timer(60.0, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_serves_an_adapted_model_until_it_is_told_to_stop(adapted, number, code) -> None:
    frames = np.stack([drawing(0.0), drawing(0.5)])
    with serving("--path", str(adapted)) as (process, first):
        assert first["event"] == "serving" and first["task"] == "move it"
        assert progress(ask(first["address"], frames, "move it"))[0] == 0.0
        process.send_signal(number)
        rest, _ = process.communicate(timeout=20.0)
    request, stopped = (json.loads(line) for line in rest.splitlines())
    assert request["event"] == "request" and request["frames"] == 2 and request["code"] == 200
    assert stopped["event"] == "stopped" and stopped["requests"] == 1
    assert process.returncode == code


def test_the_token_comes_from_the_environment(adapted) -> None:
    with serving("--path", str(adapted), **{TOKEN_VARIABLE: TOKEN}) as (_, first):
        assert first["token"] is True and TOKEN not in json.dumps(first)
        url = f"{first['address']}/health"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("words", "kind", "remedy"),
    [
        ([], "ModelError", "--references"),
        (["--model", "crystal-ball"], "UnknownNameError", "choose one"),
        (["--host", "0.0.0.0"], "ConfigError", TOKEN_VARIABLE),
        (["--timeout-s", "-1"], "ConfigError", "timeout_s"),
        (["--references", "nowhere"], "ModelError", "adapt"),
        (["--references", "a", "--goal", "b"], "ConfigError", "leave one"),
        (["--goal", "nowhere.mcap"], "RecordingError", ""),
        (["--token-file", "nowhere"], "ConfigError", "--token-file"),
    ],
)
def test_what_cannot_be_served_is_named(monkeypatch, words, kind, remedy) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    result = CliRunner().invoke(app, ["serve", "--port", "0", "--json", *words])
    assert result.exit_code == 2
    error = json.loads(result.stdout.splitlines()[-1])
    assert error["kind"] == kind and remedy in error["remedy"]


def test_references_come_from_a_folder_or_from_the_model_itself(adapted) -> None:
    named, own = references_for("", adapted, None), references_for(str(adapted), None, None)
    assert named == own and named is not None and named.task == "move it"
    assert named.start is not None and len(named.goals) == 1
    assert references_for("", None, None) is None
    assert references_for("http://127.0.0.1:9", None, None) is None


def test_references_come_from_a_demonstration(monkeypatch) -> None:
    demonstration = drawn_demonstration()
    monkeypatch.setattr(dataset, "load_demonstration", lambda path: demonstration)
    shown = references_for("", None, Path("demonstration.mcap"))
    pairs = demonstration.pairs
    assert shown == References(demonstration.task, (pairs[-1],), pairs[0])


def test_a_folder_without_references_is_named(tiny: Path) -> None:
    with pytest.raises(ModelError):
        references_for("", tiny, None)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "model.json").write_text("{}", encoding="utf-8")
    return tmp_path


def test_a_token_file_wins_and_must_hold_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "from the environment")
    assert read_token(None) == "from the environment"
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    assert read_token(file) == TOKEN
    file.write_text(" \n", encoding="utf-8")
    with pytest.raises(ConfigError, match="an empty file"):
        read_token(file)
