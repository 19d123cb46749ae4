"""A trained network comes in, an ONNX file that answers for the newest frame of a window goes out."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from dopamine_core.reward.sarm.network import LastFrame, SarmNetwork

OPSET = 17


def export_network(network: SarmNetwork, path: Path) -> None:
    """Write a network as ONNX.

    Inputs are ``features`` (B, N, 2, F) and ``present`` (B, N, 2); outputs ``probability`` and ``tau``, (B, K + 1).
    """
    shape = network.shape
    inputs = torch.zeros(2, shape.window, 2, shape.features), torch.ones(2, shape.window, 2)
    names, outputs = ["features", "present"], ["probability", "tau"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its age
        torch.onnx.export(
            LastFrame(network).eval(),
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in (*names, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
