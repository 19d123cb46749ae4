"""A policy that always wants the same and an encoder that sees the mean colour: real ONNX files, without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dopamine_core.rl.export import export_policy
from dopamine_core.rl.normaliser import Normaliser
from dopamine_core.rl.observation import ObservationBuilder
from dopamine_core.rl.policy import PolicyInfo

STEP_M = 0.01


def constant_policy(
    builder: ObservationBuilder, unit: NDArray[np.float64], *, log_std: float = -10.0
) -> bytes:
    """ONNX bytes of a policy whose mode is ``unit`` (3,) on x, y, z, in (-1, 1), for any observation."""
    size = builder.size
    state = {
        "_mu.weight": np.zeros((3, size), np.float32),
        "_mu.bias": np.arctanh(unit).astype(np.float32),
        "_logstd.weight": np.zeros((3, size), np.float32),
        "_logstd.bias": np.full(3, log_std, np.float32),
    }
    encoder = builder.encoder
    info = PolicyInfo(encoder.name, encoder.sha256, builder.layout, ("x", "y", "z"), STEP_M, 0.1)
    same = Normaliser(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
    return export_policy(state, same, (-10.0, 2.0), info)


def mean_colour_encoder(width: int = 32, height: int = 24) -> bytes:
    """ONNX bytes of an encoder whose three features are the image's mean colour."""
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["feature"], keepdims=0),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["B", height, width, 3])
    feature = helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["B", 3])
    graph = helper.make_graph(nodes, "encoder", [image], [feature], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()
