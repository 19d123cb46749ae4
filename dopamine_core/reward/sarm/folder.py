"""A trained model becomes a folder, and a folder becomes a checked description with the bytes of its files.

The folder holds ``encoder.onnx`` (the nano encoder, byte for byte), ``sequence.onnx``, ``model.json`` and
``references/``, the images that a run is shown of the task.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dopamine_core.errors import ModelError
from dopamine_core.reward.sarm.stages import StagePlan
from dopamine_core.types import ModelId

NAME = "sarm"
FORMAT = 1
ENCODER, SEQUENCE, DESCRIPTION = "encoder.onnx", "sequence.onnx", "model.json"


@dataclass(frozen=True)
class SarmFolder:
    """A verified folder.

    :param size: (width, height) in pixels that the encoder takes.
    :param window: frames that the network looks at.
    :param gap_s: between them.
    """

    path: Path
    task: str
    plan: StagePlan
    size: tuple[int, int]
    window: int
    gap_s: float
    success_threshold: float
    encoder: bytes
    sequence: bytes

    @property
    def model_id(self) -> ModelId:
        """Name, and a hash over both networks and how their answers add up."""
        digest = hashlib.sha256(self.encoder + self.sequence)
        digest.update(self.plan.base.tobytes() + self.plan.share.tobytes())
        digest.update(f"{self.window} {self.gap_s}".encode())
        return ModelId(NAME, digest.hexdigest(), adapted=True)


def describe(
    folder: Path,
    *,
    task: str,
    plan: StagePlan,
    size: tuple[int, int],
    window: int,
    gap_s: float,
    success_threshold: float,
    report: dict[str, Any],
) -> None:
    """Write ``model.json`` beside the two ONNX files."""
    content = {
        "format": FORMAT,
        "name": NAME,
        "task": task,
        "base": plan.base.tolist(),
        "share": plan.share.tolist(),
        "size": list(size),
        "window": window,
        "gap_s": gap_s,
        "success_threshold": success_threshold,
        "sha256": {name: _sha256(folder / name) for name in (ENCODER, SEQUENCE)},
        "report": report,
    }
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def read_sarm(folder: Path) -> SarmFolder:
    """Read a folder and check its hashes.

    :raises ModelError: when a file is missing, unreadable, of another format or changed since it was written.
    """
    try:
        info = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        contents = {name: (folder / name).read_bytes() for name in (ENCODER, SEQUENCE)}
        if info.get("name") != NAME or info.get("format") != FORMAT:
            raise ValueError(f"{info.get('name')!r}, format {info.get('format')}")
        hashes = {name: info["sha256"][name] for name in contents}
        found = SarmFolder(
            path=folder,
            task=str(info["task"]),
            plan=StagePlan(np.array(info["base"], np.float64), np.array(info["share"], np.float64)),
            size=(int(info["size"][0]), int(info["size"][1])),
            window=int(info["window"]),
            gap_s=float(info["gap_s"]),
            success_threshold=float(info["success_threshold"]),
            encoder=contents[ENCODER],
            sequence=contents[SEQUENCE],
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(
            expected=f"a {NAME} model of format {FORMAT} in {folder}",
            got=f"{type(error).__name__}: {error}",
            remedy="train it from recorded demonstrations, and name its folder as path",
        ) from error
    for name, content in contents.items():
        got = hashlib.sha256(content).hexdigest()
        if got != hashes[name]:
            raise ModelError(
                expected=f"{folder / name} with sha256 {hashes[name]}",
                got=got,
                remedy="the file is corrupt or was replaced: train again",
            )
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
