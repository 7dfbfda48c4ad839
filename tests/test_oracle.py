"""The oracle computes what the graph says, every tensor of it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from ternc.oracle import Oracle, OracleError


def model() -> onnx.ModelProto:
    return onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
        g (float[2, 3] x) => (float[2, 3] y)
        { a = Relu(x)  b = com.microsoft.Gelu(a)  i = Shape(b)  y = Add(a, b) }""")


X = np.array([[-1, 0, 1], [2, -3, 4]], np.float32)


@pytest.mark.parametrize("form", [lambda m: m, ir.from_proto])
def test_outputs(form) -> None:  # type: ignore[no-untyped-def]
    oracle = Oracle(form(model()))
    assert oracle.outputs == ("y",)
    assert set(oracle.tensors) == {"a", "b", "i", "y"}
    assert list(oracle.run({"x": X})) == ["y"]


def test_intermediates() -> None:
    oracle = Oracle(model())
    found = oracle.run({"x": X}, intermediates=True)
    assert set(found) == {"a", "b", "i", "y"}
    np.testing.assert_array_equal(found["a"], np.maximum(X, 0))
    assert found["i"].tolist() == [2, 3]
    np.testing.assert_array_equal(found["y"], oracle.run({"x": X})["y"])


def test_chosen_tensors_in_the_order_asked_for() -> None:
    found = Oracle(model()).run({"x": X}, ["y", "x", "a"])
    assert list(found) == ["y", "x", "a"]
    np.testing.assert_array_equal(found["x"], X)


def test_the_model_is_left_alone() -> None:
    original = model()
    Oracle(original).run({"x": X}, intermediates=True)
    assert original == model()


def test_weights_behind_dequantize_do_not_quantize_activations() -> None:
    # At its default level onnxruntime computes this with int8 activations: error 5e-3.
    generator = np.random.default_rng(0)
    codes = generator.integers(-7, 8, (32, 16)).astype(np.int8)
    scale = generator.uniform(0.01, 0.1, 16).astype(np.float32)
    built = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[4, 32] x) => (float[4, 16] y)
        { f = DequantizeLinear<axis=1>(w, s)  y = MatMul(x, f) }""")
    for name, array in (("w", codes), ("s", scale)):
        built.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    x = generator.standard_normal((4, 32)).astype(np.float32)
    found = Oracle(built).run({"x": x})["y"].astype(np.float64)
    np.testing.assert_allclose(found, x @ (codes * scale), rtol=1e-5, atol=1e-5)


def test_errors() -> None:
    with pytest.raises(KeyError, match="no tensor 'absent'"):
        Oracle(model()).run({"x": X}, ["absent"])
    with pytest.raises(OracleError):
        Oracle(model()).run({"x": X[:1]})
    with pytest.raises(OracleError):
        Oracle(model()).run({})
    broken = model()
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(OracleError, match="NoSuchOperator"):
        Oracle(broken).run({"x": X})
