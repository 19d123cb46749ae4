"""A tiny nano model that every test of this folder may read."""

from pathlib import Path

import pytest

from tests.core.reward.tiny_nano import write_tiny_model


@pytest.fixture(scope="session")
def tiny_nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny nano model with random weights."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny_nano"))
