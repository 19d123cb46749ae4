"""A run's weights, optimiser and place go into a folder that is never there in part, and come back."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException  # no Exception itself
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)

from dopamine_core.errors import LearnerError
from dopamine_core.reward.grm.training_at_scale.processes import Processes

_STATE = "state.json"
_LEARNED_ONLY = StateDictOptions(ignore_frozen_params=True)


@dataclass(frozen=True)
class RunState:
    """What a checkpoint belongs to, and how far it is.

    The order of items follows from seed and step, so ``step`` is the sampler's state too.
    """

    step: int  # steps that are done
    data_sha256: str
    base_sha256: str
    settings: dict[str, Any]  # those that must stay


class Checkpoints:
    """The checkpoints of one run.

    :param folder: of all of them.
    :param keep: newest ones that stay, >= 1.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def newest(self) -> Path | None:
        """Folder of the newest whole checkpoint."""
        found = sorted(self._folder.glob("step_*"))
        return found[-1] if found else None

    def save(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, state: RunState, processes: Processes
    ) -> None:
        """Write a checkpoint, every process its share; called by all.

        :raises LearnerError: when the disk refuses.
        """
        place = self._folder / f"step_{state.step:09d}"
        making = self._folder / f".{place.name}"
        try:
            if processes.first:
                shutil.rmtree(making, ignore_errors=True)
                making.mkdir(parents=True)
            processes.wait()
            weights, moments = get_state_dict(model, optimiser, options=_LEARNED_ONLY)
            content = {"weights": weights, "optimiser": moments}
            with _quiet():
                dcp.save(content, checkpoint_id=making, no_dist=processes.count == 1)
            processes.wait()
            if processes.first:
                self._finish(making, place, state)
            processes.wait()
        except (OSError, CheckpointException) as error:
            raise LearnerError(
                expected=f"to write {place}",
                got=f"{type(error).__name__}: {error}",
                remedy="free space, then continue with --resume",
            ) from error

    def _finish(self, making: Path, place: Path, state: RunState) -> None:
        sizes = {path.name: path.stat().st_size for path in sorted(making.iterdir())}
        content = {**dataclasses.asdict(state), "files": sizes}
        (making / _STATE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)  # same step: same content
        os.replace(making, place)
        for old in sorted(self._folder.glob("step_*"))[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)


def read_state(place: Path) -> RunState:
    """Read what a checkpoint belongs to, and check that its files are whole.

    :raises LearnerError: when they are not.
    """
    try:
        content = json.loads((place / _STATE).read_text(encoding="utf-8"))
        sizes = content.pop("files")
        cut = [name for name, size in sizes.items() if (place / name).stat().st_size != size]
        if cut:
            raise ValueError(f"{cut[0]} is cut short")
        return RunState(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(place, error) from error


def check_same(saved: RunState, now: RunState) -> None:
    """Check that a checkpoint belongs to this run.

    :raises LearnerError: when data, base or settings are others.
    """
    pairs = {
        "data (sha256)": (saved.data_sha256, now.data_sha256),
        "base (sha256)": (saved.base_sha256, now.base_sha256),
        **{f"setting {n}": (saved.settings.get(n), v) for n, v in now.settings.items()},
    }
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if changed:
        raise LearnerError(
            expected="; ".join(f"{name} {before}" for name, (before, _) in changed.items()),
            got="; ".join(f"{name} {now}" for name, (_, now) in changed.items()),
            remedy="continue with what the run was started with, or start anew in another folder",
        )


def load_into(
    place: Path, model: nn.Module, optimiser: torch.optim.Optimizer, processes: Processes
) -> None:
    """Load weights and optimiser, also into another number of processes than they were saved by.

    :raises LearnerError: when the files are damaged or of another model.
    """
    weights, moments = get_state_dict(model, optimiser, options=_LEARNED_ONLY)
    content = {"weights": weights, "optimiser": moments}
    try:
        with _quiet():
            dcp.load(content, checkpoint_id=place, no_dist=processes.count == 1)
    except (Exception, CheckpointException) as error:  # torch raises many classes for damaged files
        raise _damaged(place, error) from error
    set_state_dict(
        model,
        optimiser,
        model_state_dict=content["weights"],
        optim_state_dict=content["optimiser"],
        options=StateDictOptions(ignore_frozen_params=True, strict=False),
    )


def learned_weights(model: nn.Module) -> dict[str, Any]:
    """Gather all weights that learned; the first process gets them, the others nothing."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    return get_model_state_dict(model, options=options)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from warning that one process is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _damaged(place: Path, error: BaseException) -> LearnerError:
    return LearnerError(
        expected=f"a whole checkpoint of this model in {place}",
        got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        remedy="remove this folder; the run is then continued from the one before, or started anew",
    )
