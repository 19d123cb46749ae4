"""Torch: CPU unless a GPU answers or CUDA is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import torch_wheel
from scripts.torch_wheel import CPU_INDEX, choose, pip_arguments


def gpu(folder: Path, code: int) -> str:
    """A PATH with an nvidia-smi that ends with a code."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nexit {code}\n")
    tool.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(("code", "kind"), [(0, "cuda"), (9, "cpu")])
def test_auto_asks_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: str) -> None:
    monkeypatch.setenv("PATH", gpu(tmp_path, code))
    assert choose("auto") == kind
    assert choose("cpu") == "cpu"
    assert choose("cuda") == "cuda"


def test_auto_without_a_driver_is_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose("auto") == "cpu"


def test_an_unknown_wish_lists_the_known() -> None:
    with pytest.raises(ValueError, match="one of auto, cpu, cuda, got 'rocm'"):
        choose("rocm")


@pytest.mark.parametrize(
    ("kind", "reachable", "arguments"),
    [
        ("cpu", True, ["install", "--no-deps", "--index-url", CPU_INDEX, "torch==2.13.0"]),
        ("cpu", False, ["install", "torch==2.13.0"]),
        ("cuda", False, ["install", "torch==2.13.0"]),
    ],
)
def test_arguments(kind: str, reachable: bool, arguments: list[str]) -> None:
    got, sentence = pip_arguments(kind, "torch==2.13.0", cpu_index_reachable=reachable)
    assert got == arguments
    assert sentence


def test_an_index_that_does_not_answer_is_not_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_wheel, "CPU_INDEX", "http://127.0.0.1:9")  # discard: nobody listens
    assert torch_wheel.cpu_index_reachable() is False
