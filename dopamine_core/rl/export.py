"""The actor's weights go in, one ONNX file comes out: normaliser, layers and what the policy was trained for."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dopamine_core.rl.normaliser import CLIP, Normaliser
from dopamine_core.rl.policy import PolicyInfo

OPSET = 17  # first with LayerNormalization
IR_VERSION = 10


def export_policy(
    state: dict[str, NDArray[np.float32]],
    normaliser: Normaliser,
    log_std_range: tuple[float, float],
    info: PolicyInfo,
) -> bytes:
    """Write a policy as ONNX: input ``observation`` (1, O), outputs ``mean`` before tanh and ``log_std``, (1, A).

    :param state: arrays of the actor's state dict: ``_encoder.linears.i``, ``_encoder.norms.i``, ``_mu``, ``_logstd``.
    :param normaliser: map from raw observations to what the actor sees; becomes the first layer.
    :param log_std_range: bounds of the logarithm of the standard deviation.
    :param info: metadata.
    """
    nodes, weights = _normalise(normaliser)
    layer = 0
    while f"_encoder.linears.{layer}.weight" in state:
        nodes += _layer(state, weights, layer)
        layer += 1
    for name, output in (("_mu", "mean"), ("_logstd", "raw_log_std")):
        nodes.append(_linear(state, weights, name, f"h{layer}", output))
    nodes.append(helper.make_node("Clip", ["raw_log_std", "low", "high"], ["log_std"]))
    weights["low"], weights["high"] = (np.array(bound, np.float32) for bound in log_std_range)
    model = _model(nodes, weights, normaliser.mean.shape[0], state["_mu.bias"].shape[0])
    _describe(model, info)
    return model.SerializeToString()


def _normalise(normaliser: Normaliser) -> tuple[list[NodeProto], dict[str, NDArray[np.float32]]]:
    weights = {
        "mean_observation": normaliser.mean,
        "normaliser": normaliser.weight,
        "clip_low": np.array(-CLIP, np.float32),
        "clip_high": np.array(CLIP, np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["observation", "mean_observation"], ["centred"]),
        helper.make_node("MatMul", ["centred", "normaliser"], ["whitened"]),
        helper.make_node("Clip", ["whitened", "clip_low", "clip_high"], ["h0"]),
    ]
    return nodes, weights


def _layer(
    state: dict[str, NDArray[np.float32]], weights: dict[str, NDArray[np.float32]], index: int
) -> list[NodeProto]:
    linear, norm = f"_encoder.linears.{index}", f"_encoder.norms.{index}"
    weights[f"{norm}.weight"], weights[f"{norm}.bias"] = (
        state[f"{norm}.weight"],
        state[f"{norm}.bias"],
    )
    return [
        _linear(state, weights, linear, f"h{index}", f"a{index}"),
        helper.make_node(
            "LayerNormalization",
            [f"a{index}", f"{norm}.weight", f"{norm}.bias"],
            [f"n{index}"],
            axis=-1,
            epsilon=1e-5,
        ),
        helper.make_node("Relu", [f"n{index}"], [f"h{index + 1}"]),
    ]


def _linear(
    state: dict[str, NDArray[np.float32]],
    weights: dict[str, NDArray[np.float32]],
    name: str,
    source: str,
    target: str,
) -> NodeProto:
    weights[f"{name}.weight"], weights[f"{name}.bias"] = (
        state[f"{name}.weight"],
        state[f"{name}.bias"],
    )
    return helper.make_node("Gemm", [source, f"{name}.weight", f"{name}.bias"], [target], transB=1)


def _model(
    nodes: list[NodeProto], weights: dict[str, NDArray[np.float32]], observation: int, action: int
) -> ModelProto:
    def info(name: str, size: int) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])

    graph = helper.make_graph(
        nodes,
        "policy",
        [info("observation", observation)],
        [info("mean", action), info("log_std", action)],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in weights.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


def _describe(model: ModelProto, info: PolicyInfo) -> None:
    values = asdict(info) | {"axes": ",".join(info.axes)}
    helper.set_model_props(model, {name: str(value) for name, value in values.items()})
