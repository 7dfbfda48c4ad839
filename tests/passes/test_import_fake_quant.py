from __future__ import annotations

import numpy as np
import pytest

from ternc.passes.import_fake_quant import ImportFakeQuant
from tests.passes.running import Array, Constants, assert_same, check, graph, ops, run

RNG = np.random.default_rng(5)
_STANDARD = ["QuantizeLinear", "Clip", "DequantizeLinear"]


def _f(value: object) -> Array:
    return np.asarray(value, np.float32)


def _constants(scale: object = 0.25, low: float = -7, high: float = 7, zero: float = 2
               ) -> Constants:
    return {"s": _f(scale), "i": 1 / _f(scale), "l": _f(low), "h": _f(high), "z": _f(zero)}


@pytest.mark.parametrize("body", [
    "a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)",
    "a = Div(x, s) b = Clip(a, l, h) c = Round(b) y = Mul(s, c)",
    "a = Mul(x, i) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)",
    "a = Mul(x, i) b = Round(a) c = Clip(b, l, h) y = Div(c, i)",
    "a = Mul(x, i) m = Min(a, h) c = Max(m, l) b = Round(c) y = Mul(b, s)",
    "b = Round(x) y = Clip(b, l, h)",
    "a = Div(x, s) d = Add(a, z) b = Round(d) c = Clip(b, l, h) e = Sub(c, z) y = Mul(e, s)",
    "a = Div(x, s) b = Round(a) d = Add(z, b) c = Clip(d, l, h) e = Sub(c, z) y = Mul(e, s)",
])
def test_written_out_forms(body: str) -> None:
    model = graph(body, "float[2,64] x", "float[2,64] y", **_constants())
    assert check(ImportFakeQuant(), model).modified
    assert ops(model) == _STANDARD
    assert model.graph[-1].outputs[0].name == "y"


_NHWC = "perm=[0,2,3,1]"


@pytest.mark.parametrize("body", [
    f"a = Mul(x, i) m = Min(a, h) c = Max(m, l) t = Transpose<{_NHWC}>(c) b = Round(t) "
    "y = Mul(b, s)",
    f"a = Div(x, s) t = Transpose<{_NHWC}>(a) c = Clip(t, l, h) b = Round(c) y = Mul(b, s)",
    f"a = Div(x, s) b = Round(a) c = Clip(b, l, h) t = Transpose<{_NHWC}>(c) y = Mul(t, s)",
    f"a = Div(x, s) t = Transpose<{_NHWC}>(a) b = Round(t) u = Transpose<perm=[0,1,3,2]>(b) "
    "c = Clip(u, l, h) y = Mul(c, s)",
])
def test_a_transpose_inside_goes_behind(body: str) -> None:
    shape = "float[1,4,3,5] y" if "u =" in body else "float[1,4,5,3] y"
    model = graph(body, "float[1,3,4,5] x", shape, **_constants())
    assert check(ImportFakeQuant(), model).modified
    assert ops(model) == [*_STANDARD, *["Transpose"] * body.count("Transpose")]


@pytest.mark.parametrize("body", [
    "t = Transpose(x) a = Div(t, s) b = Add(a, z) y = Mul(b, s)",
    "a = Div(x, s) t = Transpose(a) b = Add(t, z) y = Mul(b, s)",
    "a = Div(x, s) t = Transpose(a) b = Round(t) y = Add(b, t)",
    "a = Div(x, s) r = Round(a) t = Transpose(r) y = Mul(t, v)",
])
def test_a_transpose_that_stays(body: str) -> None:
    model = graph(body, "float[8,64] x", "float[64,8] y", **_constants(), v=_f(np.arange(8)))
    before = ops(model)
    assert not check(ImportFakeQuant(), model).modified
    assert ops(model) == before


@pytest.mark.parametrize(("low", "high", "dtype", "clipped"), [
    (-128, 127, "INT8", False), (0, 255, "UINT8", False), (0, 63, "INT8", True),
    (0, 200, "UINT8", True), (-32768, 32767, "INT16", False), (-100, 400, "INT16", True),
])
def test_storage_is_the_narrowest(low: int, high: int, dtype: str, clipped: bool) -> None:
    model = graph("a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)",
                  "float[2,64] x", "float[2,64] y", **_constants(0.01, low, high))
    assert check(ImportFakeQuant(), model).modified
    quantize = next(node for node in model.graph if node.op_type == "QuantizeLinear")
    assert quantize.outputs[0].dtype is not None
    assert quantize.outputs[0].dtype.name == dtype
    assert ("Clip" in ops(model)) == clipped


def test_ties_round_to_even_as_before() -> None:
    model = graph("a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)",
                  "float[1,64] x", "float[1,64] y", **_constants())
    x = (np.arange(-32, 32)[None] * 0.125).astype(np.float32)
    before = run(model, {"x": x})
    assert ImportFakeQuant()(model).modified
    assert_same(before, run(model, {"x": x}), 0.0)


def test_constant_weight_becomes_integers_per_channel() -> None:
    scale = RNG.uniform(0.1, 0.3, (8, 1)).astype(np.float32)
    model = graph("a = Div(w, s) b = Round(a) c = Clip(b, l, h) v = Mul(c, s) "
                  "y = Gemm<transB=1>(x, v)", "float[2,16] x", "float[2,8] y",
                  w=RNG.standard_normal((8, 16)).astype(np.float32), **_constants(scale))
    assert check(ImportFakeQuant(), model).modified
    assert ops(model) == ["DequantizeLinear", "Gemm"]
    assert model.graph[0].attributes.get_int("axis") == 0


@pytest.mark.parametrize(("body", "constants"), [
    ("a = Div(x, s) b = Round(a) y = Mul(b, s)", _constants()),
    ("a = Abs(x) r = ReduceMax<keepdims=1>(a) d = Div(x, r) b = Round(d) c = Clip(b, l, h) "
     "y = Mul(c, r)", _constants()),
    ("a = Div(x, s) b = Round(a) c = Clip(b, l, h) d = Mul(c, s) y = Add(d, b)", _constants()),
    ("a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)", _constants(0.25, -7.5, 7.5)),
    ("a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)",
     _constants(0.25, -40000, 40000)),
    ("a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)",
     _constants(RNG.uniform(0.1, 0.3, (1, 64)))),
], ids=["no clip", "dynamic scale", "read inside", "half bounds", "too wide", "per channel"])
def test_left_alone(body: str, constants: Constants) -> None:
    model = graph(body, "float[2,64] x", "float[2,64] y", **constants)
    assert not check(ImportFakeQuant(), model).modified


def test_inside_that_is_an_output_is_left_alone() -> None:
    model = graph("a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, s)",
                  "float[2,64] x", "float[2,64] y, float[2,64] b", **_constants())
    assert not check(ImportFakeQuant(), model).modified


def test_other_scale_behind_keeps_its_multiplication() -> None:
    """Round and Clip alone quantize with scale 1; the Mul behind is another thing."""
    model = graph("a = Div(x, s) b = Round(a) c = Clip(b, l, h) y = Mul(c, z)",
                  "float[2,64] x", "float[2,64] y", **_constants())
    assert check(ImportFakeQuant(), model).modified
    assert ops(model) == ["Div", *_STANDARD, "Mul"]
