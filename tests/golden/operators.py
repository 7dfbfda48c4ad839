"""A model with a branch for each operator, so that its programs hold most of the instructions."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE, ROW = (1, 4, 6, 6), (1, 6)
SEQUENCE = (4, 1, 5)  # steps, batch, inputs
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.generator = np.random.default_rng(20)

    def weights(self, *shape: int, ternary: bool = False, low: float = -1.0) -> str:
        values = self.generator.uniform(low, 1.0, shape)
        if ternary:
            values = np.sign(values) * (np.abs(values) > 0.3) * 0.5
        return self.constant(values.astype(np.float32))

    def constant(self, values: Any) -> str:
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def int8_weights(self, *shape: int) -> str:
        """Weights that are integers in the model, with a scale per output channel."""
        codes = self.constant(self.generator.integers(-127, 128, shape).astype(np.int8))
        scales = self.constant(self.generator.uniform(0.001, 0.01, shape[:1]).astype(np.float32))
        return self.add("DequantizeLinear", codes, scales, axis=0)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name


def operators() -> onnx.ModelProto:
    """Inputs `image` [1, 4, 6, 6] and `row` [1, 6]; an output for each branch."""
    b = _Builder()
    x, v = "image", "row"
    ends = [
        b.add("Conv", x, b.weights(4, 4, 3, 3), b.weights(4), pads=[1, 1, 1, 1]),
        b.add("Conv", x, b.weights(8, 1, 3, 3, ternary=True), group=4, strides=[2, 2]),
        b.add("Conv", x, b.weights(3, 4, 2, 2, ternary=True), b.weights(3), dilations=[2, 2]),
        b.add("ConvTranspose", x, b.weights(4, 2, 2, 2), strides=[2, 2]),
        b.add("Gemm", v, b.weights(5, 6), b.weights(5), transB=1),
        b.add("Gemm", v, b.weights(5, 6, ternary=True), b.weights(5), transB=1),
        b.add("Conv", x, b.int8_weights(3, 4, 2, 2)),
        b.add("Gemm", v, b.int8_weights(4, 6), transB=1),
        b.add("Cast", v, to=TensorProto.INT32),
        b.add("MatMul", x, b.add("Transpose", x, perm=[0, 1, 3, 2])),
        b.add("Add", b.add("Sigmoid", x), b.add("Tanh", x)),
        b.add("Mul", b.add("HardSwish", x), b.add("HardSigmoid", x)),
        b.add("Sub", b.add("LeakyRelu", x, alpha=0.1), b.weights(1, 4, 1, 1)),
        b.add("Div", b.add("Clip", x, b.constant(np.float32(-0.5)), b.constant(np.float32(0.5))),
              b.weights(6, low=0.5)),
        b.add("Div", v, b.add("Add", b.add("Abs", v), b.constant(np.float32(1)))),
        b.add("PRelu", x, b.weights(4, 1, 1)),
        b.add("Gelu", v),
        b.add("Gelu", v, approximate="tanh"),
        b.add("Erf", v),
        b.add("Exp", v),
        b.add("Log", b.add("Add", b.add("Abs", v), b.constant(np.float32(0.5)))),
        b.add("Sqrt", b.add("Abs", b.add("Neg", v))),
        b.add("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        b.add("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        b.add("GlobalAveragePool", x),
        b.add("Softmax", b.add("BatchNormalization", x, b.weights(4), b.weights(4), b.weights(4),
                               b.weights(4, low=0.5)), axis=1),
        b.add("LayerNormalization", v, b.weights(6, low=0.5), b.weights(6)),
        b.add("ArgMax", v, axis=1),
        b.add("Concat", b.add("Slice", x, *(b.constant(np.array([i])) for i in (1, 5, 2, 2))), x,
              axis=2),
        b.add("Gather", x, b.constant(np.array([2, 0, -1])), axis=3),
        b.add("Pad", b.add("Relu", x), b.constant(np.array([0, 0, 1, 0, 0, 0, 0, 2]))),
    ]
    types = {"argmax": TensorProto.INT64, "cast": TensorProto.INT32}
    outputs = [
        helper.make_tensor_value_info(
            name, types.get(name.rstrip("0123456789"), TensorProto.FLOAT), None)
        for name in ends]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
              for name, shape in ((x, IMAGE), (v, ROW))]
    graph = helper.make_graph(b.nodes, "operators", inputs, outputs, b.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def recurrences() -> onnx.ModelProto:
    """Input `sequence` [4, 1, 5]; an output for each recurrent operator, ternary and not."""
    b = _Builder()
    hidden, ends = 6, []
    for op, gates in _GATES.items():
        for ternary in (False, True):
            w, r = (b.weights(1, gates * hidden, n, ternary=ternary)
                    for n in (SEQUENCE[2], hidden))
            ends.append(b.add(op, "sequence", w, r, b.weights(1, 2 * gates * hidden),
                              hidden_size=hidden))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        b.nodes, "recurrences", [value("sequence", TensorProto.FLOAT, SEQUENCE)],
        [value(name, TensorProto.FLOAT, None) for name in ends], b.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def samples(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Calibration data, 16 samples for each input."""
    generator = np.random.default_rng(21)
    shapes = {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
              for value in model.graph.input}
    # The first axis of a sequence is its steps: its samples are whole sequences.
    return {name: generator.normal(size=(16, *(shape if name == "sequence" else shape[1:])))
            .astype(np.float32) for name, shape in shapes.items()}
