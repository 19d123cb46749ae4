"""A trained nano GRM comes in; ``encoder.onnx``, ``head.onnx`` and ``model.json`` go out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch

from dopamine_core.reward.nano.model import ROLES, VIEWS, Encoder, HopHead, NanoShape

OPSET = 17
FORMAT = 1


def export_encoder(encoder: Encoder, path: Path) -> None:
    """Write the encoder: inputs ``image`` (B, H, W, 3) uint8 and ``view`` (B,) int64; outputs ``map``, ``feature``."""
    shape = encoder.shape
    image = torch.zeros(2, shape.height, shape.width, 3, dtype=torch.uint8)
    names = ["image", "view"]
    _export(encoder, (image, torch.tensor([0, 1])), path, names, ["map", "feature"])


def export_head(head: HopHead, path: Path) -> None:
    """Write the head: inputs ``maps``, ``features``, ``present``; outputs ``hop``, ``deviation``, ``phi``."""
    shape, queries = head.shape, 3
    lead = (queries, len(ROLES), len(VIEWS))
    maps = torch.zeros(*lead, shape.map_channels, *shape.map_size)
    inputs = (maps, torch.zeros(*lead, shape.feature_dim), torch.ones(*lead))
    _export(head, inputs, path, ["maps", "features", "present"], ["hop", "deviation", "phi"])


def _export(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
) -> None:
    was_training = module.training
    module.eval()
    axes = {name: {0: "batch"} for name in (*names, *outputs)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # the TorchScript exporter needs no extra package; it announces its age
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    module.train(was_training)


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_model_json(folder: Path, shape: NanoShape, **extra: Any) -> None:
    """Describe the two ONNX files of a folder: sizes, hashes and whatever the trainer or adaptation adds.

    :param extra: ``success_threshold`` (the back end needs it), ``adapted``, ``base_sha256``, ``report``.
    """
    content = {
        "format": FORMAT,
        "name": "nano",
        "shape": dataclasses.asdict(shape),
        "encoder_sha256": sha256_of(folder / "encoder.onnx"),
        "head_sha256": sha256_of(folder / "head.onnx"),
        **extra,
    }
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")


def export_model(
    encoder: Encoder, head: HopHead, folder: Path, *, success_threshold: float, **extra: Any
) -> None:
    """Write both ONNX files and ``model.json`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    export_encoder(encoder, folder / "encoder.onnx")
    export_head(head, folder / "head.onnx")
    write_model_json(folder, encoder.shape, success_threshold=success_threshold, **extra)
