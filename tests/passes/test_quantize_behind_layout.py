from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from ternc.passes._dynamic import match_result
from ternc.passes.quantize_behind_layout import QuantizeBehindLayout
from tests.passes.running import check, graph, ops

_MOST = "p = Abs (x)\na = ReduceMax <keepdims=1> (p, axes)\nm = Max (a, eps)\n"
_SCALES = {
    "over": ("s = Div (levels, m)", "Mul", "Div"),
    "reciprocal": ("r = Reciprocal (m)\ns = Mul (r, levels)", "Mul", "Div"),
    "over_levels": ("s = Div (m, levels)", "Div", "Mul"),
    "times": ("s = Mul (m, inverse)", "Div", "Mul"),
}


def quantized(
    after: str, shape: str, result: str, axes: list[int], *, scale: str = "over", x: str = "x",
    before: str = "", **constants: Any,
) -> ir.Model:
    """Quantization of `x` by the maximum over `axes` of the input, then `after` it."""
    step, there, back = _SCALES[scale]
    text = (_MOST + step + "\n" + before + f"t = {there} ({x}, s)\nu = Round (t)\n"
            f"q = Clip (u, lo, hi)\nd = {back} (q, s)\n" + after)
    model = graph(
        text, f"float[{shape}] x", f"float[{result}] y", axes=np.array(axes, np.int64),
        eps=np.float32(1e-5), levels=np.float32(127), inverse=np.float32(1 / 127),
        lo=np.float32(-128), hi=np.float32(127), **constants)
    ShapeInferencePass()(model)
    return model


def quantized_last(model: ir.Model) -> int | None:
    """Rows of the quantization that the model ends with."""
    codes = match_result(model.graph.outputs[0])
    return None if codes is None else codes.rows


@pytest.mark.parametrize("scale", _SCALES)
def test_rows_stay_rows(scale: str) -> None:
    model = quantized("y = Reshape (d, to)", "1,5,8", "5,8", [2], scale=scale,
                      to=np.array([5, 8], np.int64))
    assert check(QuantizeBehindLayout(), model).modified
    assert quantized_last(model) == 5


@pytest.mark.parametrize("after", [
    "y = Transpose <perm=[0,3,1,2]> (d)",
    "e = Unsqueeze (d, one) f = Transpose <perm=[0,4,1,2,3]> (e) y = Squeeze (f, two)",
])
def test_a_tensor_of_one_row(after: str) -> None:
    model = quantized(after, "1,4,5,3", "1,3,4,5", [1, 2, 3], one=np.array([1], np.int64),
                      two=np.array([2], np.int64))
    assert check(QuantizeBehindLayout(), model).modified
    assert quantized_last(model) == 1


def test_maximum_taken_before_a_transpose() -> None:
    """The two transposes around the quantization cancel."""
    model = quantized(
        "y = Transpose <perm=[0,3,1,2]> (d)", "1,3,4,5", "1,3,4,5", [1, 2, 3], x="n",
        before="n = Transpose <perm=[0,2,3,1]> (x)\n")
    assert check(QuantizeBehindLayout(), model).modified
    assert quantized_last(model) == 1
    assert "Transpose" not in ops(model)


@pytest.mark.parametrize(("after", "result"), [
    ("y = Transpose <perm=[0,2,1]> (d)", "1,8,5"),  # five rows
    ("y = Reshape (d, to)", "10,4"),  # rows cut in two
    ("e = Reshape (d, rows)\ny = MatMul (d, e)", "1,5,5"),  # d is read twice
])
def test_left_alone(after: str, result: str) -> None:
    model = quantized(after, "1,5,8", result, [2], to=np.array([10, 4], np.int64),
                      rows=np.array([1, 8, 5], np.int64))
    assert not check(QuantizeBehindLayout(), model).modified
