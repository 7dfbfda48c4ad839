"""Weights that arrive as int8 become float32 again, exactly, and then ternary when asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from ternc import compiler
from ternc.oracle import Oracle
from ternc.passes.restore_weights import RestoreWeights


def int8_weights() -> onnx.ModelProto:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        agraph (float[1,16] x) => (float[1,8] y) {
          w = DequantizeLinear <axis=1> (codes, scale)
          y0 = MatMul (x, w)
          y = Relu (y0)
        }""")
    generator = np.random.default_rng(0)
    arrays: dict[str, npt.NDArray[Any]] = {
        "codes": generator.integers(-127, 128, (16, 8)).astype(np.int8),
        "scale": generator.uniform(0.01, 0.1, 8).astype(np.float32)}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    model.graph.node[1].name = "product"
    return onnx.shape_inference.infer_shapes(model)


def test_same_answer_from_float_weights() -> None:
    model = ir.from_proto(int8_weights())
    assert RestoreWeights()(model).modified
    assert model.graph[1].inputs[1].producer() is None  # type: ignore[union-attr]
    x = np.random.default_rng(1).normal(0, 1, (1, 16)).astype(np.float32)
    before = Oracle(int8_weights()).run({"x": x}, ["w", "y"])
    weights = model.graph[1].inputs[1].const_value  # type: ignore[union-attr]
    assert np.array_equal(weights.numpy(), before["w"])  # type: ignore[union-attr]
    # onnxruntime adds in another order where the weights are an initializer.
    assert np.allclose(Oracle(model).run({"x": x})["y"], before["y"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"keep": {"product"}}, {"nodes": {"another"}}])
def test_left_alone(arguments: dict[str, set[str]]) -> None:
    assert not RestoreWeights(**arguments)(ir.from_proto(int8_weights())).modified


def test_ternarize_reaches_them() -> None:
    compiled = compiler.compile(int8_weights(), "host", ternarize="optimal")
    assert any("_t2" in item.opcode.name for item in compiled.program.instructions)
