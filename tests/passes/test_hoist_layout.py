from __future__ import annotations

import numpy as np
import pytest
from onnx_ir.passes import common

from ternc.passes.hoist_layout import HoistLayout
from tests.passes.running import Array, check, graph, ops

RNG = np.random.default_rng(29)
CODES = RNG.integers(-127, 128, (6, 4)).astype(np.int8)


def _scale(size: int | None) -> Array:
    return RNG.uniform(0.1, 1, () if size is None else (size,)).astype(np.float32)


@pytest.mark.parametrize(("layout", "scale", "axis"), [
    ("t = Transpose(v) y = MatMul(x, t)", _scale(None), None),
    ("t = Transpose(v) y = MatMul(x, t)", _scale(6), 1),
    ("t = Transpose<perm=[1,0]>(v) i = Identity(t) y = MatMul(x, i)", _scale(6), 1),
    ("u = Unsqueeze(v, two) y = Conv(z, u)", _scale(6), 0),
    ("u = Reshape(v, kernel) y = Conv(z, u)", _scale(6), 0),
    ("u = Unsqueeze(v, two) s = Squeeze(u, two) t = Transpose(s) y = MatMul(x, t)", _scale(6), 1),
])
def test_codes_move(layout: str, scale: Array, axis: int | None) -> None:
    model = graph(f"v = DequantizeLinear<axis=0>(c, s0) {layout}".replace("s0", "scale"),
                  "float[2,4] x, float[1,4,5] z", "float y", c=CODES, scale=scale,
                  two=np.array([2]), kernel=np.array([6, 4, 1]))
    common.ShapeInferencePass()(model)
    assert check(HoistLayout(), model).modified
    assert ops(model) == ["DequantizeLinear", ops(model)[-1]]
    node = model.graph[0]
    assert node.attributes.get_int("axis", -1) == (-1 if axis is None else axis)
    assert not HoistLayout()(model).modified


@pytest.mark.parametrize("body", [
    "v = DequantizeLinear<axis=0>(c, s) r = Reshape(v, flat) y = Add(r, x)",
    "q = QuantizeLinear(x, k) v = DequantizeLinear(q, k) y = Transpose(v)",
    "v = DequantizeLinear<axis=1, block_size=2>(c, b) y = Transpose(v)",
], ids=["axis broken up", "run time", "blocked"])
def test_left_alone(body: str) -> None:
    model = graph(body, "float[1,24] x", "float y", c=CODES, s=_scale(6), k=_scale(None),
                  b=RNG.uniform(0.1, 1, (6, 2)).astype(np.float32), flat=np.array([1, 24]))
    common.ShapeInferencePass()(model)
    assert not check(HoistLayout(), model).modified
