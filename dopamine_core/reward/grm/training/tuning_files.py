"""How far an adaptation is, on disk, so that a broken run can be gone on with."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
from pathlib import Path

import torch

from dopamine_core.reward.adaptation_folder import state_folder
from dopamine_core.reward.grm.training.tuner import Tuning

_NAME = "tuning.pt"


class TuningFiles:
    """The state of one adaptation, in a hidden folder beside the place of its result.

    :param out_dir: where the result will be.
    :param fingerprint: of everything the adaptation depends on; another one's state is not gone on with.
    """

    def __init__(self, out_dir: Path, fingerprint: str) -> None:
        self._folder = state_folder(out_dir)
        self._fingerprint = fingerprint

    def read(self) -> Tuning | None:
        """Return the state; None when there is none, it belongs to another adaptation, or it is damaged."""
        try:
            content = torch.load(self._folder / _NAME, map_location="cpu", weights_only=True)
            if content["fingerprint"] == self._fingerprint:
                return Tuning(**content["tuning"])
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError):
            return None
        return None

    def write(self, tuning: Tuning) -> None:
        """Write the state; the former one stays until the new one is whole.

        :raises OSError: when it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        fields = {f.name: getattr(tuning, f.name) for f in dataclasses.fields(tuning)}
        part = self._folder / f"{_NAME}.part"
        with part.open("wb") as file:
            torch.save({"fingerprint": self._fingerprint, "tuning": fields}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._folder / _NAME)

    def remove(self) -> None:
        """Remove the state."""
        shutil.rmtree(self._folder, ignore_errors=True)
