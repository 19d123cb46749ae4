"""Tiny checkpoints of both architectures that every test of this folder may read."""

from pathlib import Path

import pytest

from dopamine_core.reward.models.grm import Config
from dopamine_core.reward.vlm.checkpoint import Checkpoint, load_checkpoint
from tests.models.grm.training.drawn_task import small_images
from tests.models.grm.training.tiny_base import config_of, write_base
from tests.models.tiny_qwen import write_qwen2_5, write_qwen3

ARCHITECTURES = {"qwen2_5_vl": write_qwen2_5, "qwen3_vl": write_qwen3}


@pytest.fixture(scope="session", params=ARCHITECTURES)
def tiny_qwen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny checkpoint, of either architecture."""
    return ARCHITECTURES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture
def checkpoint(tiny_qwen: Path) -> Checkpoint:
    """The tiny checkpoint, loaded afresh."""
    return load_checkpoint(small_images(tiny_qwen), tuple(ARCHITECTURES))


@pytest.fixture(scope="session", params=ARCHITECTURES)
def any_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Settings of a tiny GRM that answers at random, of either architecture."""
    folder = tmp_path_factory.mktemp(f"base_{request.param}")
    return config_of(write_base(ARCHITECTURES[request.param], folder))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Settings of a tiny Qwen2.5-VL GRM that answers at random."""
    return config_of(write_base(write_qwen2_5, tmp_path_factory.mktemp("base")))
