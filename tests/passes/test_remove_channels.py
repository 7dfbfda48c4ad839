from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics, Severity
from ternc.passes._channels import bounds
from ternc.passes._graph import static_shape
from ternc.passes.remove_channels import RemoveChannels
from tests.passes.running import assert_same, check, graph, random_feeds, run

Array = npt.NDArray[Any]
RNG = np.random.default_rng(5)


def _weights(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def _pruned(shape: tuple[int, ...], rows: tuple[int, ...], columns: tuple[int, ...] = ()) -> Array:
    weights = _weights(*shape)
    weights[list(rows)] = 0
    weights[:, list(columns)] = 0
    return weights


def _constants(**more: Any) -> dict[str, Any]:
    made = {
        "a": _pruned((6, 3, 3, 3), (1, 4)), "ab": np.abs(_weights(6)),
        "neg": -np.abs(_weights(6)), "z": np.zeros(6, np.float32),
        "d": _weights(6, 1, 3, 3), "db": _weights(6), "b": _pruned((4, 6, 3, 3), (), (2,)),
        "bb": _weights(4), "flat": _pruned((5, 6 * 64), (), tuple(range(128, 192))),
        "fb": _weights(5), "shape": np.array([1, 384]), "open": np.array([-1, 384]),
        "six": np.float32(6), "zero": np.float32(0),
        "g": _pruned((6, 8), (0, 3)), "h": _weights(4, 6), "t": _weights(6, 4),
        "s": np.float32(0.05), "q": np.int8(-3), "addend": _weights(6),
    }
    return {**made, **more}


def _run(body: str, inputs: str = "float[1,3,8,8] x", **more: Any) -> tuple[ir.Model, list[int]]:
    """The model after the pass, which onnxruntime checks, and the first layer's channels."""
    model = graph(body, inputs, "float y", **_constants(**more))
    for index, node in enumerate(model.graph):
        node.name = f"{node.op_type}{index}"
    common.ShapeInferencePass()(model)
    check(RemoveChannels(), model)
    common.ShapeInferencePass()(model)
    layers = [node for node in model.graph if node.op_type in ("Conv", "Gemm", "MatMul")]
    shapes = [static_shape(node.outputs[0]) for node in layers]
    return model, [shape[1] for shape in shapes if shape is not None]


@pytest.mark.parametrize(("body", "channels"), [
    ("c = Conv(x, a, ab) r = Relu(c) y = Conv(r, b, bb)", [3, 4]),
    ("c = Conv(x, a) r = Relu(c) y = Conv<pads=[1,1,1,1]>(r, b)", [3, 4]),
    ("c = Conv(x, a, ab) r = Relu(c) y = Conv<pads=[1,1,1,1]>(r, b)", [5, 4]),
    ("c = Conv(x, a, neg) r = Relu(c) y = Conv<pads=[1,1,1,1]>(r, b)", [3, 4]),
    ("c = Conv(x, a, ab) r = LeakyRelu(c) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)"
     " y = Conv(p, b, bb)", [3, 4]),
    ("c = Conv<pads=[1,1,1,1]>(x, a, ab) r = Clip(c, zero, six) f = Flatten(r)"
     " y = Gemm<transB=1>(f, flat, fb)", [3, 5]),
    ("c = Conv<pads=[1,1,1,1]>(x, a, ab) r = Sigmoid(c) f = Reshape(r, shape)"
     " y = Gemm<transB=1, alpha=0.5>(f, flat)", [3, 5]),
    ("c = Conv<pads=[1,1,1,1]>(x, a, ab) r = Sigmoid(c) f = Reshape(r, open)"
     " y = Gemm<transB=1>(f, flat)", [3, 5]),
    ("c = Conv(x, a, ab) m = Conv<group=6>(c, d, db) r = Tanh(m) y = Conv(r, b)", [3, 3, 4]),
    ("c = Conv(x, a, z) m = Conv<group=6, pads=[1,1,1,1]>(c, d, db) y = Conv(m, b)", [3, 3, 4]),
    ("c = Conv(x, a, ab) n = GlobalAveragePool(c) f = Flatten(n) y = Gemm(f, t)", [4, 4]),
    ("c = Conv(x, a, ab) r = Relu(c) k = QuantizeLinear(r, s, q) e = DequantizeLinear(k, s, q)"
     " y = Conv(e, b, bb)", [3, 4]),
])
def test_convolutions(body: str, channels: list[int]) -> None:
    assert _run(body)[1] == channels


@pytest.mark.parametrize(("body", "channels"), [
    ("c = Gemm<transB=1>(x, g, ab) r = Relu(c) y = Gemm<transB=1>(r, h)", [4, 4]),
    ("c = Gemm<transB=1, beta=2.0>(x, g, ab) r = Relu(c) y = MatMul(r, t)", [6, 4]),
    ("c = Gemm<transB=1, beta=0.0>(x, g, ab) r = Relu(c) y = MatMul(r, t)", [4, 4]),
    ("c = MatMul(x, gt) k = Add(c, addend) r = Relu(k) y = Gemm(r, t)", [4, 4]),
])
def test_dense(body: str, channels: list[int]) -> None:
    constants = _constants()
    more = {"addend": np.abs(constants["addend"]), "ab": np.abs(constants["ab"]),
            "gt": np.ascontiguousarray(constants["g"].T)}
    assert _run(body, "float[1,8] x", **more)[1] == channels


_FROM_INTEGERS = "k = QuantizeLinear(x, s, q) e = DequantizeLinear(k, s, q) "


@pytest.mark.parametrize(("bias", "inner", "channels"), [
    (-1000, "r = Relu(c)", 5),  # always off
    (1000, "r = Clip(c, zero, six)", 5),  # always 6, which the next bias takes
    (1000, "r = Relu(c)", 6),
    (0, "r = Relu(c)", 6),
])
def test_what_a_quantized_input_leaves_constant(bias: int, inner: str, channels: int) -> None:
    offsets = np.where(np.arange(6) == 2, bias, 0).astype(np.float32)
    body = f"c = Gemm<transB=1>(e, full, offsets) {inner} y = Gemm<transB=1>(r, h, bb)"
    more = {"full": _weights(6, 8), "offsets": offsets}
    assert _run(_FROM_INTEGERS + body, "float[1,8] x", **more)[1] == [channels, 4]
    assert _run(body.replace("(e,", "(x,"), "float[1,8] x", **more)[1] == [6, 4]


@pytest.mark.parametrize("pads", ["", "<pads=[1,1,1,1]>"])
def test_bounds_are_reached(pads: str) -> None:
    """By the input that has either end wherever the weight's sign wants it."""
    weights, bias = _weights(6, 3, 3, 3), _weights(6)
    model = graph(_FROM_INTEGERS + f"y = Conv{pads}(e, w, bias)", "float[1,3,3,3] x", "float y",
                  w=weights, bias=bias, s=np.float32(0.5), q=np.int8(30))
    common.ShapeInferencePass()(model)
    low, high = bounds(model.graph[-1], 6, 0)
    most, least = (127 - 30) * 0.5, (-128 - 30) * 0.5
    up = np.where(weights > 0, most, least)
    down = np.where(weights > 0, least, most)
    np.testing.assert_allclose(high, (weights * up).sum((1, 2, 3)) + bias, rtol=1e-3)
    np.testing.assert_allclose(low, (weights * down).sum((1, 2, 3)) + bias, rtol=1e-3)
    assert np.all(high > (weights * up).sum((1, 2, 3)) + bias)
    assert np.all(low < (weights * down).sum((1, 2, 3)) + bias)


@pytest.mark.parametrize("body", [
    "c = Conv(x, a, ab) r = Relu(c) v = Conv(r, b) w = ReduceSum<keepdims=0>(r) y = Add(v, w)",
    "c = Conv(x, a, ab) r = Softmax<axis=1>(c) y = Conv(r, full)",
    "c = Conv(x, a, ab) y = Relu(c)",
    "c = Conv(x, full3, ab) y = Conv(c, full)",
])
def test_left_alone(body: str) -> None:
    model = graph(body, "float[1,3,8,8] x", "float y", full=_weights(4, 6, 3, 3),
                  full3=_weights(6, 3, 3, 3), **_constants())
    common.ShapeInferencePass()(model)
    assert not check(RemoveChannels(), model).modified


def test_a_whole_chain_from_the_end() -> None:
    """What the last layer does not read, nobody needs to make."""
    _, channels = _run("c = Conv(x, full3) e = Conv(c, mid) y = Conv(e, last)",
                       full3=_weights(6, 3, 3, 3), last=_pruned((4, 6, 1, 1), (), (0, 1, 5)),
                       mid=np.where(np.arange(6)[None, :, None, None] == 2,
                                    np.where(np.arange(6)[:, None, None, None] > 2, 0.0, 1.0),
                                    1.0).astype(np.float32) * _weights(6, 6, 1, 1))
    assert channels == [6, 3, 4]


def test_one_channel_stays() -> None:
    assert _run("c = Conv(x, none, ab) y = Conv(c, b, bb)",
                none=np.zeros((6, 3, 3, 3), np.float32))[1] == [1, 4]


def test_ternary_codes_and_integer_biases_stay() -> None:
    """INT2 codes with a scale per channel, and an int32 bias that takes whole steps."""
    codes = RNG.integers(-1, 2, (6, 3, 3, 3)).astype(np.int8)
    codes[3] = 0
    model = graph(
        "w = DequantizeLinear<axis=0>(codes, ws) i = DequantizeLinear<axis=0>(ib, is)"
        " c = Conv(x, w, i) r = Relu(c) k = QuantizeLinear(r, s, q) e = DequantizeLinear(k, s, q)"
        " v = DequantizeLinear<axis=0>(bcodes, bs) j = DequantizeLinear<axis=0>(jb, js)"
        " y = Conv(e, v, j)", "float[1,3,8,8] x", "float y", opset=25,
        codes=codes.astype(ml_dtypes.int2), ws=np.abs(_weights(6)), s=np.float32(0.05),
        q=np.int8(-128), ib=RNG.integers(500, 900, 6).astype(np.int32),
        **{"is": np.full(6, 0.001, np.float32)},
        bcodes=RNG.integers(-127, 128, (4, 6, 3, 3)).astype(np.int8), bs=np.abs(_weights(4)),
        jb=RNG.integers(-900, 900, 4).astype(np.int32), js=np.zeros(4, np.float32))
    scale = np.abs(_weights(4)) + np.float32(0.1)
    for name, array in (("bs", scale), ("js", scale * np.float32(0.05))):
        model.graph.initializers[name].const_value = ir.tensor(array.astype(np.float32))
    common.ShapeInferencePass()(model)
    model.ir_version = 13
    feeds = random_feeds(model)
    before = run(model, feeds)
    diagnostics = Diagnostics()
    assert RemoveChannels(diagnostics)(model).modified
    assert_same(before, run(model, feeds), 1e-6)
    kept = [v.const_value for v in model.graph.initializers.values()]
    assert any(t is not None and t.dtype == ir.DataType.INT2 and t.shape[0] == 5 for t in kept)
    assert [node.op_type for node in model.graph].count("DequantizeLinear") == 5
    (note,) = diagnostics
    assert note.severity is Severity.NOTE
    assert note.message.startswith("1 of 6 channels")
