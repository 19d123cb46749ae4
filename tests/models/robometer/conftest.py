"""Tiny Robometer checkpoints that every test of this folder may read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.models.robometer.tiny_robometer import (
    tensors_of,
    write_base,
    write_lerobot,
    write_upstream,
)


@dataclass(frozen=True)
class Tiny:
    """A base model's folder, weights on top of it, and a checkpoint of them in each layout."""

    base: Path
    tensors: dict[str, torch.Tensor]
    folders: dict[str, Path]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The same weights in every layout."""
    root = tmp_path_factory.mktemp("robometer")
    base = write_base(root / "base")
    tensors = tensors_of(base)
    folders = {"upstream": write_upstream(root / "upstream", base, tensors)}
    for tied in ("embedding", "head", "both"):
        folders[f"lerobot, {tied}"] = write_lerobot(root / tied, base, tensors, tied=tied)
    return Tiny(base, tensors, folders)
