"""The layers whose cost the project promises: tiny Q/DQ models, each with its goals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.generic]
_X_SCALE, _X_ZERO, _Y_ZERO, _W_SCALE = 0.05, -3, 5, 0.02


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: weights in ONNX order; goals in instructions per multiply-accumulate."""

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    goal: float
    goal_bits: float  # per weight, constants of the requantization not counted
    pads: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    group: int = 1
    ternary: bool = True
    speed_goal: float = 0.0  # with -O speed, where that generates code for the layer
    cell: str = ""  # recurrent: x is [steps, 1, inputs], w [gates * hidden, inputs + hidden]
    dilations: tuple[int, ...] = ()
    relu: bool = False


LAYERS = (
    Layer("Dense 256->128", (1, 256), (128, 256), 1.40, 2.05),
    Layer("Dense 1000->1000", (1, 1000), (1000, 1000), 1.20, 2.05),
    Layer("Conv2D 3x3 16->32 @16x16", (1, 16, 16, 16), (32, 16, 3, 3), 0.47, 2.1, (1, 1, 1, 1),
          speed_goal=0.30),
    Layer("Pointwise 64->64 @25x5", (1, 64, 25, 5), (64, 64, 1, 1), 0.70, 2.8,
          speed_goal=0.42),
    Layer("Conv1D k5 16->32 @50", (1, 16, 50), (32, 16, 5), 0.60, 2.1, (2, 2), speed_goal=0.36),
    Layer("Depthwise 3x3 64 @25x5", (1, 64, 25, 5), (64, 1, 3, 3), 1.90, 5.5, (1, 1, 1, 1),
          group=64),
    Layer("Conv1D k5 1->32 @100", (1, 1, 100), (32, 1, 5), 3.1, 10.0, (2, 2), speed_goal=1.9),
    Layer("int8 Conv2D 3x3 16->32 @16x16", (1, 16, 16, 16), (32, 16, 3, 3), 3.6, 8.0, (1, 1, 1, 1),
          ternary=False),
    Layer("int8 first layer 10x4, 1 channel", (1, 1, 49, 10), (64, 1, 10, 4), 4.0, 8.0,
          (4, 1, 5, 1), (2, 2), ternary=False),
    Layer("int8 Dense 640->128", (1, 640), (128, 640), 4.0, 8.0, ternary=False),
    Layer("int8 Depthwise 3x3 64 @25x5", (1, 64, 25, 5), (64, 1, 3, 3), 6.2, 8.0, (1, 1, 1, 1),
          group=64, ternary=False),
    Layer("LSTM 8->32, 50 steps", (50, 1, 8), (128, 40), 2.5, 2.1, cell="LSTM"),
    Layer("GRU 8->32, 50 steps", (50, 1, 8), (96, 40), 2.8, 2.1, cell="GRU"),
    Layer("RNN 8->32, 50 steps", (50, 1, 8), (32, 40), 3.5, 2.1, cell="RNN"),
    Layer("int8 LSTM 8->32, 50 steps", (50, 1, 8), (128, 40), 4.0, 8.0, ternary=False,
          cell="LSTM"),
)  # fmt: skip


def weights_of(layer: Layer, rng: np.random.Generator) -> Array:
    """Half of the ternary weights are zero."""
    if layer.ternary:
        return rng.choice(np.array([-1, 0, 0, 1], np.int8), layer.w)
    return rng.integers(-127, 128, layer.w).astype(np.int8)


def _recurrent(layer: Layer, codes: Array, constants: dict[str, Any]) -> list[onnx.NodeProto]:
    """The layer's nodes; its weights become those of W and of R, its output range that of h."""
    inputs, rows = layer.x[2], layer.w[0]
    hidden = layer.w[1] - inputs
    scales = constants.pop("ws") * 0.2 / _W_SCALE / (1 if layer.ternary else 74)
    bias = np.concatenate([constants["b"], np.zeros(rows, np.float32)])
    constants |= {
        "w": codes[None, :, :inputs], "r": codes[None, :, inputs:], "ws": scales, "b": bias[None],
        "ys": np.float32(1 / 128), "yz": np.int8(0),
    }  # fmt: skip
    attributes: dict[str, Any] = {"linear_before_reset": 1} if layer.cell == "GRU" else {}
    return [
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wr"], "weights", axis=1),
        helper.make_node("DequantizeLinear", ["r", "ws"], ["rr"], "recurrent weights", axis=1),
        helper.make_node(layer.cell, ["xr", "wr", "rr", "b"], ["y0"], "layer", hidden_size=hidden,
                         **attributes),
    ]


def model_of(layer: Layer) -> onnx.ModelProto:
    """The layer between QuantizeLinear and DequantizeLinear, with bias and channel scales."""
    rng = np.random.default_rng(1)
    codes = weights_of(layer, rng)
    outputs, fan = layer.w[0], int(np.prod(layer.w[1:]))
    spread = 74.0 * np.sqrt(fan * float(np.mean(codes.astype(np.float64) ** 2)))
    scales = (_W_SCALE * rng.uniform(0.5, 1.5, outputs)).astype(np.float32)
    constants: dict[str, Any] = {
        "xs": np.float32(_X_SCALE), "xz": np.int8(_X_ZERO), "w": codes, "ws": scales,
        "b": (rng.normal(size=outputs) * _X_SCALE * _W_SCALE * 50).astype(np.float32),
        "ys": np.float32(_X_SCALE * _W_SCALE * spread / 40), "yz": np.int8(_Y_ZERO),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], "quantize"),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xr"], "dequantize"),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wr"], "weights", axis=0),
    ]
    if layer.cell:
        nodes[2:] = _recurrent(layer, codes, constants)
    elif len(layer.w) == 2:
        nodes.append(helper.make_node("Gemm", ["xr", "wr", "b"], ["y0"], "layer", transB=1))
    else:
        attributes: dict[str, Any] = {"group": layer.group, "kernel_shape": layer.w[2:]}
        if layer.pads:
            attributes["pads"] = layer.pads
        if layer.strides:
            attributes["strides"] = layer.strides
        if layer.dilations:
            attributes["dilations"] = layer.dilations
        nodes.append(helper.make_node("Conv", ["xr", "wr", "b"], ["y0"], "layer", **attributes))
    if layer.relu:
        nodes.append(helper.make_node("Relu", ["y0"], ["y1"], "relu"))
    nodes += [
        helper.make_node("QuantizeLinear", ["y1" if layer.relu else "y0", "ys", "yz"], ["yq"],
                         "requantize"),
        helper.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"], "output"),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, layer.x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)
