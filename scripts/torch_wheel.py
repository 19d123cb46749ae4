"""Which torch to install: a wish and a machine in, pip arguments out; never by accident gigabytes of CUDA."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from urllib.error import URLError

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
KINDS = ("auto", "cpu", "cuda")
_PROBE_S = 5.0


def choose(wish: str) -> str:
    """Turn a wish into ``cpu`` or ``cuda``.

    :param wish: ``auto`` means CUDA when an NVIDIA GPU answers.
    :raises ValueError: for another word.
    """
    if wish not in KINDS:
        raise ValueError(f"expected TORCH to be one of {', '.join(KINDS)}, got {wish!r}")
    if wish == "auto":
        return "cuda" if _gpu_answers() else "cpu"
    return wish


def pip_arguments(kind: str, requirement: str, *, cpu_index_reachable: bool) -> tuple[list[str], str]:
    """Return pip's arguments and the sentence to print.

    :param requirement: e.g. ``torch==2.13.0``; its plain dependencies are in the lock and installed before.
    """
    if kind == "cuda":
        return ["install", requirement], "torch with CUDA from the default index (several GB)"
    if cpu_index_reachable:
        return ["install", "--no-deps", "--index-url", CPU_INDEX, requirement], f"CPU torch from {CPU_INDEX}"
    note = (
        f"{CPU_INDEX} does not answer: taking torch from the configured index;\n"
        "where that has no CPU wheel, several GB of CUDA packages come along (it works on a CPU as well)"
    )
    return ["install", requirement], note


def cpu_index_reachable() -> bool:
    """Ask the CPU index for its page of torch."""
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=_PROBE_S) as answer:
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


def _gpu_answers() -> bool:
    if shutil.which("nvidia-smi") is None:
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=30).returncode == 0
