"""Settings of servers: what is refused, and that a secret is never repeated; identities."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from dopamine_core.errors import ConfigError, ModelError
from dopamine_core.reward.models import gvl, roboreward_remote
from dopamine_core.reward.remote.identity import identity
from dopamine_core.reward.remote.prompts import Prompt, prompt_of
from dopamine_core.reward.remote.settings import ServerConfig


@pytest.mark.parametrize(
    "values",
    [
        {"path": ""},
        {"path": "localhost:8000"},
        {"path": "ftp://host/v1"},
        {"path": "http://user:pw-secret@host/v1"},
        {"path": "http://host/v1?key=pw-secret"},
        {"path": "http://host:99999/v1"},
        {"path": "http://[::1/v1"},
        {"api_key_env": "sk-pw-secret"},
        {"api_key_env": "pwsecret"},
        {"extra": "[1]"},
        {"extra": "{"},
        {"extra": '{"temperature": 1}'},
        {"extra": '{"mm_processor_kwargs": {}}', "resize": "server", "max_pixels": 9},
        {"min_pixels": 9, "max_pixels": 8},
        {"in_flight": 0},
        {"resize": "sometimes"},
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerConfig(**values)
    assert "secret" not in str(caught.value)


def test_what_is_meant_is_taken() -> None:
    config = ServerConfig(path="https://host/api/v1/", extra='{"top_k": 1}', api_key_env="KEY_1")
    assert config.address == "https://host/api/v1"
    assert config.extra_fields == {"top_k": 1}
    assert config.processor_limits == {}
    assert dataclasses.replace(config, resize="server", max_pixels=5).processor_limits == {"max_pixels": 5}


def test_an_identity_is_the_same_at_any_address() -> None:
    config = gvl.Config(model="m")
    base = identity("gvl", config, "m", "p")
    elsewhere = {"path": "https://host/v1", "in_flight": 2, "retries": 0, "api_key_env": "K", "fast": True}
    assert identity("gvl", dataclasses.replace(config, **elsewhere), "m", "p") == base
    assert identity("gvl", dataclasses.replace(config, model=""), "m", "p") == base
    assert base.name == "gvl" and not base.adapted


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"frames": 4}, {"max_pixels": 9}, {"revision": "2"}, {"extra": '{"a": 1}'}],
)
def test_an_identity_knows_what_changes_answers(change: dict[str, Any]) -> None:
    config = gvl.Config(model="m")
    assert identity("gvl", dataclasses.replace(config, **change), "m", "p") != identity("gvl", config, "m", "p")


def test_an_identity_knows_model_prompt_and_back_end() -> None:
    config = ServerConfig()
    named = [("a", "m", "p"), ("b", "m", "p"), ("a", "n", "p"), ("a", "m", "q")]
    told = {identity(name, config, model, prompt).sha256 for name, model, prompt in named}
    assert len(told) == 4


def test_prompts_come_from_files(tmp_path: Any) -> None:
    file = tmp_path / "rubric.txt"
    file.write_text("Do {task}, {really}.")
    prompt = prompt_of("own {task}", str(file))
    assert prompt.pieces("say <image> {task}") == ["Do say <image> {task}, {really}."]
    assert prompt.sha256 != prompt_of("own {task}", "").sha256
    for text in ("no place", "{task} <image>"):
        file.write_text(text)
        with pytest.raises(ModelError, match="place {task}"):
            prompt_of("own {task}", str(file))
    file.write_bytes(b"\xff\xfe")
    for path in (file, tmp_path / "nowhere.txt"):
        with pytest.raises(ModelError, match="prompt_file"):
            prompt_of("own {task}", str(path))
    assert Prompt("<image> {task} <image>", 2).pieces("x") == ["", " x ", ""]


def test_a_back_end_keeps_its_published_limits() -> None:
    config = roboreward_remote.Config()
    assert (config.min_pixels, config.max_pixels) == (128 * 32 * 32, 768 * 32 * 32)
