"""Training runs of a few steps on tiny images, in this process or by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from dopamine_core.reward.grm.prompt import own_prompt
from dopamine_core.reward.grm.training_at_scale.run import Run, TrainingReport, train
from dopamine_core.reward.grm.training_at_scale.settings import TrainingSettings

ROOT = Path(__file__).resolve().parents[4]
SETTINGS: dict[str, Any] = {
    "steps": 5,
    "batch": 4,
    "micro_batch": 2,
    "save_every": 2,
    "workers": 0,
    "min_pixels": 784,
    "max_pixels": 1024,
    "language_rate": 1e-3,
    "merger_rate": 1e-3,
    "vision_rate": 1e-4,
    "warm_up_share": 0.2,
}


def run_of(data: Path, base: Path, out: Path, **settings: Any) -> Run:
    """A run in this process."""
    return Run((data,), str(base), out, own_prompt(), TrainingSettings(**{**SETTINGS, **settings}))


def run_here(data: Path, base: Path, out: Path, *, resume: bool = False, **settings: Any) -> TrainingReport:
    """Train in this process."""
    return train(run_of(data, base, out, **settings), resume=resume)


@contextmanager
def torchrun(data: Path, base: Path, out: Path, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a run of two processes; none of them outlives the context."""
    single = [f"--set={name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "dopamine_core.reward.grm.training_at_scale"]
    command += ["--data", str(data), "--base", str(base), "--out", str(out), *single]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield run
    finally:
        if run.poll() is None:
            run.terminate()  # torchrun then ends its own
            run.communicate()


def log_of(out: Path, event: str) -> list[dict[str, Any]]:
    """Lines of a run's log."""
    path = out / "log.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if row["event"] == event]


def losses_of(out: Path) -> list[float]:
    """Loss of each step."""
    return [row["loss"] for row in log_of(out, "step")]


def weights_of(folder: Path) -> dict[str, Any]:
    """All stored weights."""
    files = sorted(folder.glob("*.safetensors"))
    return {name: tensor for path in files for name, tensor in load_file(path).items()}


def largest_difference(one: Path, other: Path) -> float:
    """Between the published weights of two runs."""
    a, b = weights_of(one / "model"), weights_of(other / "model")
    assert set(a) == set(b)
    return max(float((a[name] - b[name]).abs().max()) for name in a)
