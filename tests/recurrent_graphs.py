"""ONNX models of one recurrent layer with seeded weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = ("y", "y_h", "y_c")
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """One recurrent node.

    `initial` is absent, zero, constant or input; `weights` are float, int8, ternary, or mixed:
    int8 where some rows are ternary.
    """

    op_type: str
    direction: str = "forward"
    steps: int = 7
    batch: int = 1
    inputs: int = 5
    hidden: int = 6
    outputs: Sequence[str] = OUTPUTS
    initial: str = "absent"
    weights: str = "float"
    bias: bool = True
    lengths: Sequence[int] | None = None
    peepholes: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def batch_first(self) -> bool:
        return bool(self.attributes.get("layout", 0))

    def model(self) -> onnx.ModelProto:
        """The model: x (and h0, c0) to the outputs asked for."""
        rng = np.random.default_rng(self.seed)
        rows = GATES[self.op_type] * self.hidden
        d, n, b = self.directions, self.hidden, self.batch
        nodes: list[onnx.NodeProto] = []
        constants: dict[str, Array] = {}
        for name, columns in (("W", self.inputs), ("R", n)):
            made = _weights(name, self.weights, (d, rows, columns), rng, constants)
            nodes += made
        names = ["x", "W", "R", "B" if self.bias else "", "", "", "", ""]
        constants["B"] = rng.uniform(-0.5, 0.5, (d, 2 * rows)).astype(np.float32)
        state = (b, d, n) if self.batch_first else (d, b, n)
        x = (b, self.steps, self.inputs) if self.batch_first else (self.steps, b, self.inputs)
        inputs = {"x": x}
        if self.lengths is not None:
            names[4], constants["lengths"] = "lengths", np.array(self.lengths, np.int32)
        for place, name in ((5, "h0"), (6, "c0"))[: 2 if self.op_type == "LSTM" else 1]:
            if self.initial == "absent":
                continue
            names[place] = name
            if self.initial == "input":
                inputs[name] = state
            else:
                zero = self.initial == "zero"
                constants[name] = (0 if zero else 1) * rng.uniform(-0.9, 0.9, state).astype(
                    np.float32)
        if self.peepholes:
            names[7], constants["P"] = "P", np.ones((d, 3 * n), np.float32)
        while names and not names[-1]:
            names.pop()
        count = 3 if self.op_type == "LSTM" else 2
        kept = [name if name in self.outputs else "" for name in OUTPUTS[:count]]
        y = (b, self.steps, d, n) if self.batch_first else (self.steps, d, b, n)
        shapes = {"y": y, "y_h": state, "y_c": state}
        nodes.append(helper.make_node(
            self.op_type, names, kept, name="recurrent", hidden_size=n, direction=self.direction,
            **self.attributes))
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes, "recurrent",
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in inputs.items()],
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, shapes[k]) for k in kept if k],
            [numpy_helper.from_array(a, k) for k, a in constants.items() if k in used])
        opset = 25 if self.weights == "ternary" else 21
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                                 ir_version=13 if opset == 25 else 10)

    def feeds(self, seed: int) -> dict[str, Array]:
        """Random values of the inputs."""
        rng = np.random.default_rng(seed)
        shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
                  for v in self.model().graph.input}
        return {k: rng.uniform(-1, 1, s).astype(np.float32) for k, s in shapes.items()}


def _weights(name: str, kind: str, shape: tuple[int, int, int], rng: np.random.Generator,
             constants: dict[str, Array]) -> list[onnx.NodeProto]:
    if kind == "float":
        constants[name] = rng.uniform(-0.6, 0.6, shape).astype(np.float32)
        return []
    ternary = kind == "ternary"
    codes = rng.integers(-1, 2, shape) if ternary else rng.integers(-127, 128, shape)
    if kind == "mixed":  # rows of one precision have scales alike
        rows = rng.random(shape[:2]) < 0.5
        codes[rows] = rng.integers(-1, 2, codes[rows].shape)
    scale = rng.uniform(0.2, 0.6, shape[:2]).astype(np.float32) / np.float32(1 if ternary else 127)
    if kind == "mixed":
        scale[rows] *= 127
    constants[f"{name}_codes"] = codes.astype(ml_dtypes.int2 if ternary else np.int8)
    attributes: dict[str, Any] = {"axis": 1}
    if shape[0] > 1:
        scale, attributes = scale[..., None], {"axis": 2, "block_size": shape[2]}
    constants[f"{name}_scale"] = scale.reshape(-1) if shape[0] == 1 else scale
    return [helper.make_node("DequantizeLinear", [f"{name}_codes", f"{name}_scale"], [name],
                             f"dequantize_{name}", **attributes)]
