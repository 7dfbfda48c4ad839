"""A layer in two parts gives what it gave whole."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

import ternc
from ternc.oracle import Oracle
from ternc.passes._graph import constant
from ternc.passes.split_channels import Split, SplitChannels, channels_of
from tests.passes.running import graph

RNG = np.random.default_rng(0)
F = np.float32


def _weights(*shape: int) -> np.ndarray:
    return np.asarray(RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:])), F)


CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "conv": ("a = Conv <pads=[1,1,1,1]> (x, w, b)\ny = MaxPool <kernel_shape=[2,2]> (a)",
             "float[1,3,6,6] x", "float[1,8,5,5] y",
             {"w": _weights(8, 3, 3, 3), "b": _weights(8)}),
    "conv relu": ("a = Conv (x, w)\nb = Relu (a)\ny = Neg (b)", "float[1,3,6,6] x",
                  "float[1,8,4,4] y", {"w": _weights(8, 3, 3, 3)}),
    "gemm": ("y = Gemm <transB=1, beta=0.5> (x, w, b)", "float[1,12] x", "float[1,8] y",
             {"w": _weights(8, 12), "b": _weights(1, 8)}),
    "matmul": ("a = MatMul (x, w)\nb = Add (c, a)\ny = Clip (b, low, high)", "float[2,5,12] x",
               "float[2,5,8] y", {"w": _weights(12, 8), "c": _weights(8),
                                  "low": np.array(-0.5, F), "high": np.array(0.5, F)}),
    "matmul with another sum": ("a = MatMul (x, w)\ny = Add (a, c)", "float[3,12] x",
                                "float[3,8] y", {"w": _weights(12, 8), "c": _weights(3, 8)}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("channels", [1, 5])
def test_same_answer(name: str, channels: int) -> None:
    body, inputs, outputs, constants = CASES[name]
    model = graph(body, inputs, outputs, **constants)
    common.ShapeInferencePass()(model)
    before = ir.to_proto(model)
    node = next(node for node in model.graph if "w" in {v.name for v in node.inputs if v})
    node.name = "layer"
    assert channels_of(node) == 8
    assert SplitChannels({"layer": Split(channels)})(model).modified
    names = [node.name for node in model.graph]
    assert f"layer[:{channels}]" in names
    assert f"layer[{channels}:]" in names
    assert "w" not in model.graph.initializers
    shape = [int(d) for d in before.graph.input[0].type.tensor_type.shape.dim
             for d in [d.dim_value]]
    x = RNG.standard_normal(shape).astype(F)
    np.testing.assert_allclose(Oracle(model).run({"x": x})["y"], Oracle(before).run({"x": x})["y"],
                               rtol=1e-5, atol=1e-6)


ORDERED: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "depthwise": ("a = Conv <pads=[1,1,1,1]> (x, w, b)\nr = Relu (a)\n"
                  "d = Conv <group=8, pads=[1,1,1,1]> (r, k, kb)\ny = Conv (d, w2)",
                  "float[1,3,6,6] x", "float[1,8,4,4] y",
                  {"w": _weights(8, 3, 3, 3), "b": _weights(8), "k": _weights(8, 1, 3, 3),
                   "kb": _weights(8), "w2": _weights(8, 8, 3, 3)}),
    "flattened": ("a = Conv (x, w)\np = MaxPool <kernel_shape=[2,2]> (a)\nr = Reshape (p, s)\n"
                  "y = Gemm <transB=1> (r, w2)", "float[1,3,6,6] x", "float[1,8] y",
                  {"w": _weights(8, 3, 3, 3), "s": np.array([-1, 72]), "w2": _weights(8, 72)}),
    "matmul": ("a = MatMul (x, w)\nc = Add (a, b)\nr = Relu (c)\ny = MatMul (r, w2)",
               "float[2,5,12] x", "float[2,5,8] y",
               {"w": _weights(12, 8), "b": _weights(8), "w2": _weights(8, 8)}),
}


@pytest.mark.parametrize("name", ORDERED)
@pytest.mark.parametrize("both", [False, True])
def test_in_another_order(name: str, both: bool) -> None:
    """The same answer, the weights in that order; the layer behind may be split, too."""
    body, inputs, outputs, constants = ORDERED[name]
    model = graph(body, inputs, outputs, **constants)
    common.ShapeInferencePass()(model)
    before = ir.to_proto(model)
    readers = [node for node in model.graph if {"w", "w2"} & {v.name for v in node.inputs if v}]
    for node, new in zip(readers, ("layer", "next"), strict=True):
        node.name = new
    order, folded = tuple(int(i) for i in RNG.permutation(8)), dict[str, str]()
    splits = {"layer": Split(4, order), **({"next": Split(4)} if both else {})}
    SplitChannels(splits, folded)(model)
    assert {"a": "next"}.items() <= folded.items()
    assert not folded.keys() & {v.name for node in model.graph for v in node.outputs}
    weights = constants["w"] if name != "matmul" else constants["w"].T
    parts = [node for node in model.graph if (node.name or "").startswith("layer[")]
    found = [constant(node.inputs[1]) for node in parts if len(node.inputs) > 1
             and node.op_type in ("Conv", "MatMul")]
    held = np.concatenate([part if name != "matmul" else part.T for part in found
                           if part is not None])
    np.testing.assert_array_equal(held, weights[list(order)])
    shape = [d.dim_value for d in before.graph.input[0].type.tensor_type.shape.dim]
    x = RNG.standard_normal(shape).astype(F)
    np.testing.assert_allclose(Oracle(model).run({"x": x})["y"], Oracle(before).run({"x": x})["y"],
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "weights"),
    [("y = Conv <group=2> (x, w)", _weights(8, 2, 3, 3)),
     ("v = Add (w, w)\ny = Conv (x, v)", _weights(8, 4, 3, 3)),
     ("y = ConvTranspose (x, w)", _weights(4, 8, 3, 3))])
def test_other_layers_have_no_channels_to_split(body: str, weights: np.ndarray) -> None:
    model = graph(body, "float[1,4,6,6] x", "float[1,8,N,M] y", w=weights)
    assert [channels_of(node) for node in model.graph if node.op_type != "Add"] == [0]


def test_parts_have_one_scale() -> None:
    """Joining int8 parts only copies: both have the scale of the whole, which does not change."""
    body, inputs, outputs, constants = CASES["conv relu"]
    samples = RNG.standard_normal((16, 3, 6, 6)).astype(F)
    model = graph(body, inputs, outputs, **constants)
    common.ShapeInferencePass()(model)
    model.graph[0].name = "layer"
    whole = ternc.compile(ir.to_proto(model), "host", calibration_data=samples)
    SplitChannels({"layer": Split(4)})(model)
    parts = ternc.compile(model, "host", calibration_data=samples)
    for x in samples:
        np.testing.assert_array_equal(parts.run(x[None])["y"], whole.run(x[None])["y"])
    whole_names, names = ([i.opcode.name for i in c.program.instructions] for c in (whole, parts))
    added = Counter(names) - Counter(whole_names)
    assert added.total() == 3  # a convolution, and a copy of each part
    assert sum(count for name, count in added.items() if "copy" in name) == 2
