"""Tiny checkpoints of both architectures that every test of this folder may read."""

from pathlib import Path

import pytest

from dopamine_core.reward.models.grm import Config
from dopamine_core.reward.vlm.checkpoint import Checkpoint, load_checkpoint
from tests.core.reward.grm.training.drawn_task import PROMPT, small_images
from tests.core.reward.grm.training.tiny_base import write_base
from tests.core.reward.tiny_qwen import write_qwen2_5, write_qwen3

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
    return _base(request.param, tmp_path_factory.mktemp(f"base_{request.param}"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Settings of a tiny Qwen2.5-VL GRM that answers at random."""
    return _base("qwen2_5_vl", tmp_path_factory.mktemp("base"))


def _base(architecture: str, folder: Path) -> Config:
    write_base(ARCHITECTURES[architecture], folder)
    (folder / "prompt.txt").write_text(PROMPT.text, encoding="utf-8")
    return Config(
        path=str(folder),
        device="cpu",
        min_pixels=784,
        max_pixels=4096,
        prompt="file",
        prompt_file=str(folder / "prompt.txt"),
    )
