"""Functions of one value against onnxruntime: float32, int8 and int16, Q/DQ and calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ternc import compiler as ternc
from ternc.diagnostics import CompileError
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from tests.agreement import Array, check, feeds, instructions, model

# The kernel's operator, its attributes, and where its values are (those of `feeds` are in +-2).
FUNCTIONS = {
    "elu": ("Elu", ""), "elu of alpha": ("Elu<alpha=0.3>", ""), "selu": ("Selu", ""),
    "selu of both": ("Selu<alpha=2.0,gamma=0.5>", ""), "celu": ("Celu", ""),
    "celu of alpha": ("Celu<alpha=0.4>", ""), "softplus": ("Softplus", ""),
    "softsign": ("Softsign", ""), "mish": ("Mish", ""), "swish": ("Swish", ""),
    "swish of alpha": ("Swish<alpha=1.7>", ""), "thresholded": ("ThresholdedRelu", ""),
    "thresholded at": ("ThresholdedRelu<alpha=0.25>", ""), "shrink": ("Shrink", ""),
    "soft shrink": ("Shrink<lambd=0.7,bias=0.7>", ""), "sin": ("Sin", ""), "cos": ("Cos", ""),
    "tan": ("Tan", "half"), "asin": ("Asin", "half"), "acos": ("Acos", "half"),
    "atan": ("Atan", ""), "sinh": ("Sinh", ""), "cosh": ("Cosh", ""), "asinh": ("Asinh", ""),
    "acosh": ("Acosh", "cosh"), "atanh": ("Atanh", "half"),
}  # fmt: skip
BEFORE = {"": "v=Identity(x)", "half": "v=Mul(x,half)", "cosh": "v=Cosh(x)"}
SETTINGS = settings(deadline=None, max_examples=10, derandomize=True,
                    suppress_health_check=list(HealthCheck))


def graph(name: str, shape: str = "float[2,3,5]") -> onnx.ModelProto:
    """The function, of values that it is defined for."""
    node, before = FUNCTIONS[name]
    used = {"half": np.float32(0.45)} if before == "half" else {}
    opset = 24 if node.startswith("Swish") else 22
    return model(f"g ({shape} x) => ({shape} y) {{{BEFORE[before]} y={node}(v)}}", opset, **used)


def quantized(name: str, bits: int) -> onnx.ModelProto:
    """x and y quantized, every number in between as onnxruntime has it."""
    node, before = FUNCTIONS[name]
    whole = "half" if before else ""
    zero = {"zx": np.int8(5), "zy": np.int8(-30)} if bits == 8 else {
        "zx": np.int16(0), "zy": np.int16(0)}
    scale = 2.0 ** (8 - bits)
    steps = {"sx": np.float32((0.007 if whole else 0.03) * scale), "sy": np.float32(0.05 * scale)}
    opset = 24 if node.startswith("Swish") else 22
    return model(
        "g (float[2,600] x) => (float[2,600] y) {q=QuantizeLinear(x,sx,zx) "
        f"d=DequantizeLinear(q,sx,zx) t={node}(d) r=QuantizeLinear(t,sy,zy) "
        "y=DequantizeLinear(r,sy,zy)}", opset, **zero, **steps)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32(name: str) -> None:
    check(graph(name))
    check(graph(name), fuse=False)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "acosh"])
def test_integers(name: str, bits: int) -> None:
    """One instruction between the borders, within one step for every number."""
    proto = quantized(name, bits)
    compiled = ternc.compile(proto, "host", check_fit=False)
    assert instructions(compiled) == ["lut_i8" if bits == 8 else "table_i16"]
    edge = 2 ** (bits - 1)
    steps = np.linspace(-edge, edge - 1, 1200).reshape(2, 600)
    zero, scale = (5, 0.03) if bits == 8 else (0, 0.03 / 256)
    if FUNCTIONS[name][1]:
        scale *= 0.007 / 0.03
    feed = {"x": ((np.rint(steps) - zero) * np.float32(scale)).astype(np.float32)}
    (got,), (wanted,) = compiled.run(feed).values(), Oracle(proto).run(feed).values()
    step = 0.05 if bits == 8 else 0.05 / 256
    assert np.abs(got - wanted).max() <= 1.01 * step


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_calibrated(name: str, activations: Any) -> None:
    proto = graph(name)
    data = [feeds(proto, seed) for seed in range(4)]
    compiled = ternc.compile(proto, "host", calibration_data=data, activations=activations,
                             check_fit=False)
    for result in check_layers(compiled.model, data):
        assert result.worst <= 1, result
    used = instructions(compiled)
    assert set(used) <= ({"lut_i8", "affine_i8"} if activations == "int8"
                         else {"table_i16", "affine_i16"})


@SETTINGS
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(st.integers(1, 5), max_size=4))
def test_every_shape(name: str, shape: list[int]) -> None:
    check(graph(name, f"float[{','.join(map(str, shape))}]" if shape else "float"))


def test_values_far_from_zero() -> None:
    """Large angles, and where an exponential is 0 or infinite."""
    x: Array = np.array([-1e30, -1e4, -104, -88.5, -20, -1e-8, 0, 1e-8, 20, 88.5, 104, 1e4, 1e30],
                        np.float32)
    for name in ("elu", "selu", "celu", "softplus", "softsign", "sin", "cos", "atan", "asinh"):
        proto = graph(name, "float[13]")
        (got,) = ternc.compile(proto, "host").run(x).values()
        (wanted,) = Oracle(proto).run({"x": x}).values()
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_celu_of_alpha_0_is_refused() -> None:
    with pytest.raises(CompileError, match="Celu with alpha 0"):
        ternc.compile(model("g (float[3] x) => (float[3] y) {y=Celu<alpha=0.0>(x)}"), "host")
