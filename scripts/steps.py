"""Steps of a set-up: each runs when its inputs changed since it last succeeded, else costs nothing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


class SetupError(Exception):
    """Set-up cannot go on; the text says what to do."""


@dataclass(frozen=True)
class Step:
    """One step of the set-up."""

    name: str
    does: str  # for people, with the time it takes
    inputs: tuple[Path | str, ...]  # files by content, folders by all their files, text as it is
    run: Callable[[], None]


def digest(inputs: Iterable[Path | str], before: str = "") -> str:
    """Hash a step's inputs.

    :param before: hash of the step before: when that ran anew, this one does too.
    """
    total = hashlib.sha256(before.encode())
    for item in inputs:
        for path in _files(item) if isinstance(item, Path) else ():
            total.update(f"{path.name}\0".encode() + path.read_bytes())
        if isinstance(item, str):
            total.update(f"{item}\0".encode())
    return total.hexdigest()


def run_all(steps: Sequence[Step], stamps: Path) -> list[str]:
    """Run the steps whose inputs changed.

    :param stamps: folder with one file per step that succeeded.
    :returns: names of the steps that ran.
    """
    ran, before = [], ""
    for number, step in enumerate(steps, start=1):
        before = digest(step.inputs, before)
        stamp = stamps / step.name
        if stamp.is_file() and stamp.read_text(encoding="ascii") == before:
            continue
        print(f"[{number}/{len(steps)}] {step.name}: {step.does}", flush=True)
        start = time.monotonic()
        stamp.unlink(missing_ok=True)
        step.run()
        stamps.mkdir(parents=True, exist_ok=True)
        stamp.write_text(before, encoding="ascii")
        print(f"[{number}/{len(steps)}] {step.name}: done in {time.monotonic() - start:.1f} s", flush=True)
        ran.append(step.name)
    return ran


def _files(path: Path) -> list[Path]:
    return sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
