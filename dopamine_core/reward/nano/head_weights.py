"""A model folder's ``head.onnx`` comes in, the trainable head goes out: what ships is all that adaptation needs."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from dopamine_core.errors import ModelError
from dopamine_core.reward.models.nano import ModelFolder
from dopamine_core.reward.nano.model import HopHead, NanoShape


def shape_of(files: ModelFolder) -> NanoShape:
    """Sizes of a model folder's network.

    :raises ModelError: when ``model.json`` does not name them all.
    """
    values = dict(files.info["shape"])
    try:
        return NanoShape(**{**values, "channels": tuple(values["channels"])})
    except (KeyError, TypeError) as error:
        raise _unusable(files, str(error)) from error


def load_head(files: ModelFolder) -> HopHead:
    """Rebuild the head in torch; the exporter keeps its weights as initialisers under their own names.

    :raises ModelError: when a weight is missing or of another size.
    """
    with torch.random.fork_rng(devices=[]):  # a fresh head draws weights; nobody else shall notice
        head = HopHead(shape_of(files))
    graph = onnx.load_model_from_string(files.head).graph
    found = {w.name: np.array(numpy_helper.to_array(w)) for w in graph.initializer}
    state = {name: torch.from_numpy(found[name]) for name in head.state_dict() if name in found}
    try:
        head.load_state_dict(state)
    except RuntimeError as error:
        raise _unusable(files, str(error).splitlines()[-1].strip()) from error
    return head.eval()


def _unusable(files: ModelFolder, got: str) -> ModelError:
    return ModelError(
        expected=f"the nano head's weights in {files.path / 'head.onnx'}",
        got=got,
        remedy="reinstall the shipped weights, or train again with this version",
    )
