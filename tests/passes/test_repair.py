from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from ternc.diagnostics import Diagnostics
from ternc.passes.repair import Repair
from tests.passes.running import Array, check, graph, ops, parse, run

RNG = np.random.default_rng(7)


def _floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("body", "expected"), [
    ("y = com.microsoft.Gelu(x)", ["Gelu"]),
    ("y = com.microsoft.FastGelu(x, b)", ["Add", "Gelu"]),
    ("y = com.microsoft.BiasGelu(x, b)", ["Add", "Gelu"]),
    ("y = com.microsoft.QuickGelu<alpha=1.5>(x)", ["Mul", "Sigmoid", "Mul"]),
    ("y = com.microsoft.FusedMatMul<alpha=0.5>(x, w)", ["MatMul", "Mul"]),
    ("y = com.microsoft.FusedMatMul<transB=1>(x, v)", ["Transpose", "MatMul"]),
])
def test_contrib_operators_become_standard(body: str, expected: list[str]) -> None:
    model = graph(body, "float[2,8] x", "float[2,8] y", opset=13,
                  b=_floats(8), w=_floats(8, 8), v=_floats(8, 8))
    ir.passes.common.ShapeInferencePass()(model)
    for name in ("w", "v"):
        model.graph.initializers[name].shape = ir.Shape([8, 8])
    diagnostics = Diagnostics()
    result = check(Repair(diagnostics), model)
    assert ops(result.model) == expected
    assert result.model.graph.outputs[0].name == "y"
    assert {item.code for item in diagnostics} == {"TC0005"}


def test_opset_is_raised_for_a_newer_operator() -> None:
    """The old operators beside it are converted, here Squeeze, whose axes became an input."""
    body = "a = Squeeze<axes=[1]>(x) y = LayerNormalization(a, s, b)"
    model = graph(body, "float[2,1,8] x", "float[2,8] y", opset=12, s=_floats(8), b=_floats(8))
    model.graph[0].metadata_props["origin"] = "layer1"
    diagnostics = Diagnostics()
    result = check(Repair(diagnostics), model)
    squeeze = result.model.graph[ops(result.model).index("Squeeze")]
    assert result.model.graph.opset_imports[""] == 17
    assert len(squeeze.inputs) == 2
    assert squeeze.metadata_props["origin"] == "layer1"
    assert [item.op_type for item in diagnostics] == ["LayerNormalization"]
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)


def test_missing_import_is_added_and_named() -> None:
    model = parse('<ir_version: 8, opset_import: ["" : 13]> agraph (float[4] x) => (float[4] y) '
                  "{ y = onnx.brevitas.Quant(x, x, x, x) }")
    diagnostics = Diagnostics()
    result = Repair(diagnostics)(model)
    assert result.model.graph.opset_imports["onnx.brevitas"] == 1
    assert "onnx.brevitas" in next(iter(diagnostics)).message


def test_sound_model_is_left_alone() -> None:
    model = graph("y = Relu(x)", "float[4] x", "float[4] y")
    model.graph[0].name = "relu"
    diagnostics = Diagnostics()
    result = check(Repair(diagnostics), model)
    assert not result.modified
    assert not list(diagnostics)


def test_unknown_contrib_operator_stays() -> None:
    """Lowering names it; a repair must not guess."""
    model = graph("y = com.microsoft.FusedMatMul<transBatchA=1>(x, w)", "float[2,2,2] x",
                  "float[2,2,2] y", w=_floats(2, 2, 2))
    result = Repair(Diagnostics())(model)
    assert ops(result.model) == ["FusedMatMul"]


ROOT_HALF = np.float32(0.5**0.5)


def test_expm1_of_tensorflow() -> None:
    """Keras's celu holds it, which tf2onnx leaves as it is."""
    model = graph("y = Expm1(x)", "float[3,8] x", "float[3,8] y", opset=15)
    diagnostics = Diagnostics()
    model = Repair(diagnostics)(model).model
    assert ops(model) == ["Exp", "Sub"]
    assert {item.code for item in diagnostics} == {"TC0005"}
    x = _floats(3, 8)
    np.testing.assert_allclose(run(model, {"x": x})["y"], np.expm1(x), atol=1e-6)


@pytest.mark.parametrize(("last", "expected"), [
    ("y = Mul(h, e)", ["Gelu"]),
    ("y = Mul(e, h)", ["Gelu"]),
    ("z = Mul(h, e) y = Add(z, e)", ["Mul", "Neg", "Mul", "Erf", "Sub", "Mul", "Add"]),
])
def test_erfc_of_tensorflow(last: str, expected: list[str]) -> None:
    """0.5 x erfc(-x / √2) is Gelu, which tf2onnx leaves with an operator that ONNX has not."""
    body = f"h = Mul(half, x) n = Neg(x) s = Mul(n, root) e = Erfc(s) {last}"
    model = graph(body, "float[3,8] x", "float[3,8] y", opset=15,
                  half=np.float32(0.5), root=ROOT_HALF)
    diagnostics = Diagnostics()
    model = Repair(diagnostics)(model).model
    assert ops(model) == expected
    assert {item.code for item in diagnostics} == {"TC0005"}
    x = _floats(3, 8)
    e = np.vectorize(math.erfc)(-x * ROOT_HALF)
    given = run(model, {"x": x})["y"]
    wanted = 0.5 * x * e + (e if expected[-1] == "Add" else 0)
    np.testing.assert_allclose(given, wanted, atol=1e-6)


@pytest.mark.parametrize("body", [
    "h = Mul(half, x) n = Neg(x) s = Mul(n, half) e = Erfc(s) y = Mul(h, e)",
    "h = Mul(root, x) n = Neg(x) s = Mul(n, root) e = Erfc(s) y = Mul(h, e)",
    "h = Mul(half, x) n = Abs(x) s = Mul(n, root) e = Erfc(s) y = Mul(h, e)",
    "a = Abs(x) h = Mul(half, a) n = Neg(x) s = Mul(n, root) e = Erfc(s) y = Mul(h, e)",
])
def test_what_is_nearly_gelu(body: str) -> None:
    model = graph(body, "float[3,8] x", "float[3,8] y", opset=15,
                  half=np.float32(0.5), root=ROOT_HALF)
    found = ops(Repair(Diagnostics())(model).model)
    assert "Gelu" not in found
    assert "Erf" in found
