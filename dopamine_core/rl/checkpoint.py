"""A learner goes in, a folder that survives a crash comes out, and back: resumed equals uninterrupted.

The folder holds networks, targets, optimizers, random states, counters, the normaliser and the names of the episodes
in the order they were taken; the transitions themselves are rebuilt from the episodes' own files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dopamine_core.errors import LearnerError
from dopamine_core.rl.learner import Learner
from dopamine_core.rl.normaliser import Normaliser
from dopamine_core.rl.transitions import ObservedEpisode

FORMAT = 1
_FILES = ("networks.pt", "torch_rng.npy", "normaliser.npz", "policy.onnx")


@dataclass(frozen=True)
class EpisodeName:
    """An episode that the learner has taken, and where its recording lies."""

    episode_id: str
    bag_path: str
    demonstration: bool


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds beside the networks."""

    folder: Path
    episodes: tuple[EpisodeName, ...]
    policy_version: int
    content: dict[str, Any]

    @property
    def policy(self) -> bytes:
        """The policy as ONNX."""
        return (self.folder / "policy.onnx").read_bytes()


def save_checkpoint(
    learner: Learner, root: Path, *, policy_version: int = 0, keep: int = 2
) -> Path:
    """Write ``root/step-<gradient steps>`` in one step: a crash leaves the older ones whole.

    :param root: folder of all checkpoints of a run.
    :param keep: newest ones that stay, >= 1.
    :returns: the new folder.
    :raises LearnerError: when the disk refuses.
    """
    folder = root / f"step-{learner.gradient_steps:09d}"
    partial = root / f"partial-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(learner, partial, policy_version)
        shutil.rmtree(folder, ignore_errors=True)  # same step: same content
        os.replace(partial, folder)
        _sync(root)
    except OSError as error:
        raise LearnerError(
            expected=f"a writable folder {root}",
            got=str(error),
            remedy="free disk space or change the run folder",
        ) from error
    for old in _folders(root)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def newest_checkpoint(root: Path) -> Path:
    """Folder of the newest checkpoint under a root, or the root itself if it is one.

    :raises LearnerError: when there is none.
    """
    root = Path(root)
    if (root / "learner.json").is_file():
        return root
    folders = _folders(root)
    if not folders:
        raise LearnerError(
            expected=f"a checkpoint in {root}",
            got="none",
            remedy="train first, or correct the path",
        )
    return folders[-1]


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.glob("step-*") if (folder / "learner.json").is_file())


def _write(learner: Learner, folder: Path, policy_version: int) -> None:
    assert learner.agent is not None and learner.normaliser is not None
    networks = io.BytesIO()
    learner.agent.impl.save_model(networks)
    (folder / "networks.pt").write_bytes(networks.getvalue())
    np.save(folder / "torch_rng.npy", torch.get_rng_state().numpy())
    np.savez(
        folder / "normaliser.npz", mean=learner.normaliser.mean, weight=learner.normaliser.weight
    )
    (folder / "policy.onnx").write_bytes(learner.export())
    content = {
        "format": FORMAT,
        "sha256": {name: _hash(folder / name) for name in _FILES},
        "settings": settings_of(learner),
        "gradient_steps": learner.gradient_steps,
        "pending": learner.pending,
        "policy_version": policy_version,
        "numpy_rng": learner.rng.bit_generator.state,
        "episodes": [asdict(_name(e, d)) for e, d in learner.taken],
    }
    (folder / "learner.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify a folder.

    :raises LearnerError: when a file is missing or altered.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / "learner.json").read_text(encoding="utf-8"))
        known = content["format"] == FORMAT
        wrong = [name for name in _FILES if _hash(folder / name) != content["sha256"][name]]
        episodes = tuple(EpisodeName(**entry) for entry in content["episodes"])
        version = int(content["policy_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LearnerError(
            expected=f"a checkpoint in {folder}",
            got=repr(error),
            remedy="resume from another checkpoint",
        ) from error
    if wrong or not known:
        raise LearnerError(
            expected=f"an unaltered checkpoint of format {FORMAT}",
            got=f"format {content['format']}, altered: {', '.join(wrong) or 'none'}",
            remedy="resume from another checkpoint",
        )
    return Checkpoint(folder, episodes, version, content)


def restore(
    learner: Learner, checkpoint: Checkpoint, load: Callable[[EpisodeName], ObservedEpisode]
) -> None:
    """Put a learner where the checkpoint left off.

    :param learner: made with the same settings.
    :param load: gives back an episode by name, from its recording.
    :raises LearnerError: when the settings differ or an episode cannot be loaded.
    """
    if checkpoint.content["settings"] != settings_of(learner):
        raise LearnerError(
            expected="the settings of the checkpoint",
            got=_difference(checkpoint.content["settings"], settings_of(learner)),
            remedy="start with the same settings, or train anew",
        )
    with np.load(checkpoint.folder / "normaliser.npz") as arrays:
        normaliser = Normaliser(arrays["mean"], arrays["weight"])
    demonstrations = [load(name) for name in checkpoint.episodes if name.demonstration]
    learner.set_demonstrations(demonstrations, normaliser)
    for name in checkpoint.episodes:
        if not name.demonstration:
            learner.add_practice(load(name))
    assert learner.agent is not None
    learner.agent.impl.load_model(io.BytesIO((checkpoint.folder / "networks.pt").read_bytes()))
    learner.gradient_steps = int(checkpoint.content["gradient_steps"])
    learner.pending = int(checkpoint.content["pending"])
    learner.rng.bit_generator.state = checkpoint.content["numpy_rng"]
    torch.set_rng_state(torch.from_numpy(np.load(checkpoint.folder / "torch_rng.npy")))


def settings_of(learner: Learner) -> dict[str, Any]:
    """Everything that must be equal for a checkpoint to go on, as JSON values."""
    parts = {
        "agent": learner.agent_config,
        "learner": learner.config,
        "shaping": learner.shaping,
        "transitions": learner.transitions,
        "policy": learner.info,
    }
    return json.loads(json.dumps({name: asdict(part) for name, part in parts.items()}))


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    found = [
        f"{part}.{name} {old.get(part, {}).get(name)!r} -> {value!r}"
        for part, values in new.items()
        for name, value in values.items()
        if old.get(part, {}).get(name) != value
    ]
    return ", ".join(found)


def _name(episode: ObservedEpisode, demonstration: bool) -> EpisodeName:
    return EpisodeName(episode.info.episode_id, episode.info.bag_path, demonstration)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
