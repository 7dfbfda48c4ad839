from __future__ import annotations

import numpy as np
import pytest

from ternc.passes.fold_constants import FoldConstants
from tests.passes.running import check, graph, ops

RNG = np.random.default_rng(19)
LARGE = RNG.standard_normal((96, 96)).astype(np.float32)  # above onnxscript's 8192 elements


def test_large_weights_are_computed() -> None:
    model = graph("a = Abs(w) m = ReduceMean<keepdims=1>(a) d = Div(w, m) r = Round(d) "
                  "c = Clip(r, l, h) v = Mul(c, m) y = MatMul(x, v)", "float[2,96] x",
                  "float[2,96] y", w=LARGE, l=np.float32(-1), h=np.float32(1))
    assert check(FoldConstants(), model).modified
    assert ops(model) == ["MatMul"]
    assert set(model.graph.initializers) == {"v"}


def test_quantized_weight_ends_as_integers_and_dequantize() -> None:
    model = graph("q = QuantizeLinear(w, s, z) c = Clip(q, l, h) v = DequantizeLinear(c, s, z) "
                  "y = MatMul(x, v)", "float[2,96] x", "float[2,96] y", w=LARGE,
                  s=np.float32(0.5), z=np.int8(0), l=np.int8(-1), h=np.int8(1))
    assert check(FoldConstants(), model).modified
    assert ops(model) == ["DequantizeLinear", "MatMul"]


def test_shapes_are_constants() -> None:
    model = graph("s = Shape(x) i = Constant<value_int=0>() g = Gather(s, i) "
                  "m = Constant<value_ints=[-1]>() a = Constant<value_ints=[0]>() "
                  "u = Unsqueeze(g, a) k = Concat<axis=0>(u, m) y = Reshape(x, k)",
                  "float[2,3,4] x", "float[2,12] y")
    assert check(FoldConstants(), model).modified
    assert ops(model) == ["Reshape"]


def test_what_stays_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    model = graph("a, b = Split<axis=0, num_outputs=2>(w) c = Add(x, a) y = Add(c, b)",
                  "float[48,96] x", "float[48,96] y", w=LARGE)
    check(FoldConstants(), model)
    assert not caplog.records


def test_a_tensor_of_one_number() -> None:
    model = graph("k = ConstantOfShape(d) y = Add(x, k)", "float[2,3] x", "float[2,3] y",
                  d=np.array([2, 3]))
    assert check(FoldConstants(), model).modified
    assert ops(model) == ["Add"]


def test_what_is_computed_at_run_time_stays() -> None:
    model = graph("q = QuantizeLinear(x, s, z) c = Clip(q, l, h) y = DequantizeLinear(c, s, z)",
                  "float[2,96] x", "float[2,96] y", s=np.float32(0.5), z=np.int8(0),
                  l=np.int8(-1), h=np.int8(1))
    assert not check(FoldConstants(), model).modified
    assert len(ops(model)) == 3
