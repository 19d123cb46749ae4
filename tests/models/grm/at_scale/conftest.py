"""Hop data of one tiny episode and a tiny base, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dopamine_core.reward.grm.prompt import own_prompt
from dopamine_core.reward.grm.training_at_scale.hop_data import HopDataConfig, make_hop_data
from tests.models.grm.at_scale.tiny_episodes import write_episode
from tests.models.tiny_qwen import write_qwen2_5, write_qwen3


@pytest.fixture(scope="session")
def hop_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``hop_data.json`` of 20 items."""
    folder = tmp_path_factory.mktemp("hop_data")
    episode = write_episode(folder / "episode_001")
    make_hop_data([episode], folder / "made", own_prompt(), HopDataConfig(pairs=20, chunk=5))
    return folder / "made/hop_data.json"


@pytest.fixture(scope="session")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL."""
    return write_qwen3(tmp_path_factory.mktemp("qwen3"))


@pytest.fixture(scope="session")
def qwen2_5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2.5-VL."""
    return write_qwen2_5(tmp_path_factory.mktemp("qwen2_5"))
