"""A residual addition inside the convolution changes no byte and lowers the peak."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from ternc import compiler
from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.lower.kernel_choice import ADDING
from ternc.oracle import Oracle

MODEL = """<ir_version: 10, opset_import: ["": 21]>
agraph (float[1,8,12,12] x) => (float[1,8,12,12] z) {{
  a = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (x, w0, b)
  ar = Relu (a)
  h = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (ar, w1, b)
  hr = Relu (h)
  c = Conv <kernel_shape=[3,3], pads=[1,1,1,1]> (hr, w2, b)
  s = Add ({operands})
  z = Relu (s)
}}"""


def residual_model(operands: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(MODEL.format(operands=operands))
    generator = np.random.default_rng(0)
    for name in ("w0", "w1", "w2"):
        weights = generator.normal(0, 0.15, (8, 8, 3, 3)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    bias = generator.normal(0, 0.3, 8).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(bias, "b"))
    return model


@pytest.mark.parametrize("operands", ["c, ar", "ar, c", "c, hr"])
def test_fused_is_the_same_and_smaller(operands: str) -> None:
    """Also where the other branch is the layer's own input, which must not be overwritten."""
    generator = np.random.default_rng(1)
    data = generator.normal(0, 1, (16, 8, 12, 12)).astype(np.float32)
    model = residual_model(operands)
    fused = compiler.compile(model, "host", calibration_data=data)
    kept = compiler.compile(model, "host", calibration_data=data, fuse=False)
    names = [item.opcode.name for item in fused.program.instructions]
    assert "add_i8" not in names
    assert "add_i8" in [item.opcode.name for item in kept.program.instructions]
    for sample in data:
        assert np.array_equal(fused.run(sample[None])["z"], kept.run(sample[None])["z"])
    if operands in ("c, ar", "ar, c"):
        assert fused.plan.arena_bytes < kept.plan.arena_bytes - 1000
    oracle = Oracle(fused.model)
    expected = oracle.run({"x": data[:1]})["z"]
    step = float(np.diff(np.unique(expected)).min())
    assert np.abs(fused.run(data[:1])["z"] - expected).max() <= 3.01 * step


def test_residual_is_no_weight() -> None:
    """The report counts the weights' bytes, not those of the branch that is added."""
    data = np.random.default_rng(1).normal(0, 1, (4, 8, 12, 12)).astype(np.float32)
    compiled = compiler.compile(residual_model("c, ar"), "host", calibration_data=data)
    assert any(item.operand("r") is not None for item in compiled.program.instructions
               if item.opcode.name in ADDING)
    weights = compiled.report()["weights"]["int8"]
    stored = [tensor.nbytes for item in compiled.program.instructions if item.macs
              for tensor in item.tensors(Kind.CONST) if tensor is item.operand("w")]
    assert weights == {"count": 3 * 8 * 8 * 9, "bytes": sum(stored)}
