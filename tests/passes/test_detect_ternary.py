from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics, Severity
from ternc.passes import front
from ternc.passes._levels import near_ternary, ternary
from ternc.passes.detect_ternary import DetectTernary
from tests.passes.running import Array, assert_same, check, graph, ops, random_feeds, run

RNG = np.random.default_rng(13)


def _codes(*shape: int) -> Array:
    return RNG.integers(-1, 2, shape).astype(np.int8)


def _noisy(codes: Array, scale: Array) -> Array:
    """What the straight-through estimator w + (q - w) leaves in float32."""
    exact = (codes * scale).astype(np.float32)
    latent = RNG.standard_normal(codes.shape).astype(np.float32)
    return latent + (exact - latent) * np.float32(1)


def _f(*shape: int) -> Array:
    return RNG.uniform(0.05, 0.5, shape).astype(np.float32)


class TestLevels:
    """The pure functions."""

    @given(st.integers(0, 10_000), st.booleans(), st.integers(0, 1))
    @settings(max_examples=60, deadline=None)
    def test_round_trip(self, seed: int, per_channel: bool, axis: int) -> None:
        rng = np.random.default_rng(seed)
        codes = rng.integers(-1, 2, (6, 8)).astype(np.int8)
        shape = [-1 if dim == axis else 1 for dim in range(2)]
        scale = rng.uniform(1e-3, 1e3, codes.shape[axis] if per_channel else 1)
        weights = (codes * scale.astype(np.float32).reshape(shape)).astype(np.float32)
        found = ternary(weights, axis)
        assert found is not None
        assert np.array_equal(found.codes * found.scale.reshape(shape), weights)

    @pytest.mark.parametrize("seed", range(20))
    def test_few_ulps_are_forgiven(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        codes = rng.integers(-1, 2, (8, 16)).astype(np.int8)
        exact = (codes * np.float32(0.137)).astype(np.float32)
        for steps in range(8):
            noisy = exact + rng.integers(-steps, steps + 1, exact.shape) * np.spacing(
                np.float32(0.137)) * (codes != 0)
            found = ternary(noisy.astype(np.float32), 0)
            assert found is not None
            assert np.array_equal(found.codes, codes)

    def test_channel_of_zeros_has_scale_one(self) -> None:
        weights = (_codes(4, 8) * _f(4, 1)).astype(np.float32)
        weights[2] = 0
        found = ternary(weights, 0)
        assert found is not None
        assert found.scale[2] == 1.0

    @pytest.mark.parametrize("weights", [
        np.array([[1, -0.5, 0, 1, 1, -0.5]], np.float32),
        np.array([[0.5, -1.5, 1.5, 0.5, -0.5, 1.5]], np.float32),
        np.array([[np.nan, 1, 1, 1, 0, 1]], np.float32),
        np.array([[np.inf, np.inf, 0, 0, 0, 0]], np.float32),
        np.array([[0.1], [0.2], [-0.3], [0.4], [0.5]], np.float32),
        np.array([[0.1, 0.1], [0.2, 0], [-0.3, 0], [0.4, 0.4]], np.float32),
    ], ids=["two magnitudes", "four levels", "nan", "inf", "one per channel", "two per channel"])
    def test_not_ternary(self, weights: Array) -> None:
        assert ternary(weights, 0) is None

    def test_small_channels_with_one_scale_are_ternary(self) -> None:
        assert ternary(np.array([[0.5], [0.5], [-0.5], [0], [0.5]], np.float32), 0) is not None

    @pytest.mark.parametrize("columns", [2, 3])
    def test_small_channels_with_a_scale_each_are_ternary(self, columns: int) -> None:
        codes = np.resize(np.array([[1, -1, 0], [-1, 1, 1], [0, 0, 0], [1, 1, -1]]), (12, 3))
        weights = (codes[:, :columns] * _f(12, 1)).astype(np.float32)
        found = ternary(weights, 0)
        assert found is not None
        assert np.array_equal(found.codes, codes[:, :columns])

    def test_small_channels_that_only_happen_to_be_ternary_are_not(self) -> None:
        sparse = np.where(np.arange(36).reshape(12, 3) % 4 == 0, _f(12, 3), 0)
        assert (np.count_nonzero(sparse, axis=1) <= 1).all()
        assert ternary(sparse.astype(np.float32), 0) is None
        assert ternary(_f(12, 1), 0) is None

    def test_near(self) -> None:
        weights = (_codes(16, 32) * np.float32(0.2)).astype(np.float32)
        weights[0, :20] = RNG.standard_normal(20)
        assert 0.94 < near_ternary(weights, 0) < 1.0
        assert near_ternary(RNG.standard_normal((16, 32)).astype(np.float32), 0) < 0.5

    def test_sparse_is_not_near(self) -> None:
        weights = RNG.standard_normal((16, 64)) * (RNG.random((16, 64)) < 0.03)
        assert near_ternary(weights.astype(np.float32), 0) < 0.9


def _model(body: str, inputs: str, *, opset: int = 21, **constants: npt.ArrayLike) -> ir.Model:
    model = graph(body, inputs, "float y", opset=opset, **constants)
    if opset >= 25:
        model.ir_version = 13
    for index, node in enumerate(model.graph):
        node.name = f"{node.op_type}{index}"
    common.ShapeInferencePass()(model)
    return model


def _assert_canonical(node: ir.Node, axis: int) -> None:
    weight = node.inputs[1]
    assert weight is not None
    producer = weight.producer()
    assert producer is not None
    assert producer.op_type == "DequantizeLinear"
    codes, scale = producer.inputs
    assert codes is not None
    assert scale is not None
    assert codes.dtype == ir.DataType.INT2
    assert scale.shape is not None
    assert codes.shape is not None
    assert tuple(scale.shape) == (codes.shape[axis],)
    assert producer.attributes.get_int("axis") == axis


LAYERS = {
    "conv": ("y = Conv(x, w)", "float[1,3,6,6] x", (5, 3, 3, 3), 0),
    "depthwise": ("y = Conv<group=3>(x, w)", "float[1,3,6,6] x", (3, 1, 3, 3), 0),
    "transposed": ("y = ConvTranspose(x, w)", "float[1,3,6,6] x", (3, 5, 3, 3), 1),
    "gemm": ("y = Gemm(x, w)", "float[2,7] x", (7, 5), 1),
    "gemm, transposed": ("y = Gemm<transB=1>(x, w)", "float[2,7] x", (5, 7), 0),
    "matmul": ("y = MatMul(x, w)", "float[2,3,7] x", (7, 5), 1),
}


@pytest.mark.parametrize(("layer", "form"), list(itertools.product(LAYERS, (
    "per tensor", "per channel", "noise", "binary", "int8", "int8 127", "int4", "int2",
    "uint2 zero 1", "uint8 zero 128"))))
def test_forms_become_canonical(layer: str, form: str) -> None:
    body, inputs, shape, axis = LAYERS[layer]
    codes, spread = _codes(*shape), [-1 if d == axis else 1 for d in range(len(shape))]
    scale = _f(shape[axis])
    dequantize = f"w = DequantizeLinear<axis={axis}>(c, s"
    constants: dict[str, Array]
    match form:
        case "per tensor":
            constants = {"w": codes * np.float32(0.3)}
        case "per channel":
            constants = {"w": codes * scale.reshape(spread)}
        case "noise":
            constants = {"w": _noisy(codes, scale[:1].reshape(-1, *[1] * (len(shape) - 1)) * 8)}
        case "binary":
            constants = {"w": np.where(codes > 0, 1, -1) * scale.reshape(spread)}
        case "int8" | "int8 127" | "int4" | "int2":
            kinds = {"int4": ml_dtypes.int4, "int2": ml_dtypes.int2}
            factor = 127 if form == "int8 127" else 1
            kind = kinds.get(form, np.int8)
            constants = {"c": (codes * np.int8(factor)).astype(kind), "s": scale}
            body = f"{dequantize}) {body}"
        case _:
            zero = 1 if "uint2" in form else 128
            kind = ml_dtypes.uint2 if zero == 1 else np.uint8
            constants = {"c": (codes.astype(np.int16) + zero).astype(kind), "s": scale,
                         "z": np.full(scale.shape, zero).astype(kind)}
            body = f"{dequantize}, z) {body}"
    constants = {name: array if array.dtype.kind != "f" or array.dtype.itemsize < 4
                 else array.astype(np.float32) for name, array in constants.items()}
    model = _model(body, inputs, opset=25 if "int2" in form else 21, **constants)
    diagnostics = Diagnostics()
    assert check(DetectTernary(diagnostics), model).modified == (form != "int2")
    assert model.graph.opset_imports[""] == 25
    assert model.ir_version == 13
    assert not list(diagnostics)
    _assert_canonical(model.graph[-1], axis)
    assert not DetectTernary(diagnostics)(model).modified
    assert len(model.graph.initializers) == 2


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_weights_have_a_scale_per_gate_row(op: str, gates: int, directions: int) -> None:
    hidden, inputs = 5, 7
    rows = gates * hidden
    direction = "bidirectional" if directions == 2 else "forward"
    model = _model(
        f'y = {op}<hidden_size={hidden}, direction="{direction}">(x, w, r)',
        f"float[3,1,{inputs}] x",
        w=(_codes(directions, rows, inputs) * _f(directions, rows, 1)).astype(np.float32),
        r=(_codes(directions, rows, hidden) * _f(directions, rows, 1)).astype(np.float32))
    assert check(DetectTernary(Diagnostics()), model).modified
    assert ops(model) == ["DequantizeLinear", "DequantizeLinear", op]
    blocks = [node.attributes.get_int("block_size", 0) for node in model.graph][:2]
    assert blocks == ([inputs, hidden] if directions == 2 else [0, 0])
    assert not DetectTernary(Diagnostics())(model).modified


def test_shared_weight_is_converted_once() -> None:
    model = _model("a = MatMul(x, w) y = MatMul(a, w)", "float[2,8] x",
                   w=(_codes(8, 8) * np.float32(0.5)).astype(np.float32))
    assert check(DetectTernary(Diagnostics()), model).modified
    assert ops(model) == ["DequantizeLinear", "MatMul", "MatMul"]


def test_one_channel_of_int8_with_three_levels_is_not_ternary() -> None:
    codes = RNG.integers(-128, 128, (8, 16)).astype(np.int8)
    codes[3] = _codes(16) * 100
    model = _model("w = DequantizeLinear(c, s) y = Gemm<transB=1>(x, w)", "float[2,16] x",
                   c=codes, s=np.float32(0.01))
    diagnostics = Diagnostics()
    assert not check(DetectTernary(diagnostics), model).modified
    assert not list(diagnostics)


def test_almost_ternary_is_reported() -> None:
    weight = (_codes(32, 16) * np.float32(0.2)).astype(np.float32)
    weight[0, :8] = 0.11
    model = _model("y = MatMul(x, w)", "float[2,32] x", w=weight)
    diagnostics = Diagnostics()
    assert not check(DetectTernary(diagnostics), model).modified
    (found,) = diagnostics
    assert (found.code, found.severity, found.node) == ("TC0201", Severity.WARNING, "MatMul0")
    assert "98." in found.message
    assert "--ternarize" in found.help


def test_scale_per_input_channel_is_noted() -> None:
    model = _model("y = MatMul(x, w)", "float[2,8] x",
                   w=(_codes(8, 16) * np.linspace(0.1, 0.8, 8)[:, None]).astype(np.float32))
    diagnostics = Diagnostics()
    assert not check(DetectTernary(diagnostics), model).modified
    assert [item.severity for item in diagnostics] == [Severity.NOTE]


def test_ordinary_weights_are_left_alone() -> None:
    model = _model("y = MatMul(x, w)", "float[2,8] x",
                   w=RNG.standard_normal((8, 16)).astype(np.float32))
    diagnostics = Diagnostics()
    assert not check(DetectTernary(diagnostics), model).modified
    assert not list(diagnostics)


# each form that field notes 4.3 lists, as an exporter leaves it, through the whole front
FLOAT = (_codes(64, 192) * np.float32(0.07)).astype(np.float32)  # above onnxscript's 8192
LATENT = RNG.standard_normal((64, 192)).astype(np.float32)
I8 = _codes(64, 192)
EXPORTED: dict[str, tuple[str, dict[str, npt.ArrayLike]]] = {
    "torch, unfolded": (
        "a = Abs(w) m = ReduceMean<keepdims=1>(a) s = Clip(m, e) d = Div(w, s) r = Round(d) "
        "c = Clip(r, l, h) q = Mul(c, s) u = Sub(q, w) v = Add(w, u) y = Gemm<transB=1>(x, v)",
        {"w": LATENT, "e": np.float32(1e-5), "l": np.float32(-1), "h": np.float32(1)}),
    "Brevitas, integer": (
        "c = Clip(w, l, h) v = DequantizeLinear<axis=0>(c, s, z) y = Gemm<transB=1>(x, v)",
        {"w": I8, "l": np.int8(-1), "h": np.int8(1), "s": _f(64), "z": np.zeros(64, np.int8)}),
    "Brevitas, float": (
        "q = QuantizeLinear(w, s, z) c = Clip(q, l, h) v = DequantizeLinear(c, s, z) "
        "y = Gemm<transB=1>(x, v)",
        {"w": FLOAT, "l": np.int8(-1), "h": np.int8(1), "s": np.float32(0.07), "z": np.int8(0)}),
    "dequantized, transposed": (
        "v = DequantizeLinear<axis=0>(w, s) t = Transpose<perm=[1,0]>(v) y = MatMul(x, t)",
        {"w": I8, "s": _f(64)}),
    "cast and scale": (
        "f = Cast<to=1>(w) v = Mul(f, s) t = Transpose(v) y = MatMul(x, t)",
        {"w": I8, "s": np.float32(0.3)}),
    "scale after the operator": (
        "f = Cast<to=1>(w) t = Transpose(f) p = MatMul(x, t) y = Mul(p, s)",
        {"w": I8, "s": np.float32(0.3)}),
    "written-out fake quantization": (
        "d = Div(w, s) r = Round(d) c = Clip(r, l, h) v = Mul(c, s) t = Transpose(v) "
        "y = MatMul(x, t)",
        {"w": LATENT, "s": _f(64, 1), "l": np.float32(-1), "h": np.float32(1)}),
    "batch norm behind": (
        "t = Transpose(w) p = MatMul(x, t) y = BatchNormalization(p, g, b, b, v)",
        {"w": FLOAT, "g": _f(64) - np.float32(0.2), "b": _f(64), "v": _f(64)}),
    "inference dropout, identity": (
        "i = Identity(w) o = Dropout(x) y = Gemm<transB=1>(o, i)", {"w": FLOAT}),
}


@pytest.mark.parametrize("form", EXPORTED)
def test_exported_forms_through_the_front(form: str) -> None:
    body, constants = EXPORTED[form]
    model = graph(body, "float[N,192] x", "float[N,64] y", opset=18, **constants)
    feeds = random_feeds(model)
    before, diagnostics = run(model, feeds), Diagnostics()
    for step in front(diagnostics):
        model = step(model).model
        assert_same(before, run(model, feeds))
    assert not diagnostics.errors
    layer = next(node for node in model.graph if node.op_type in ("Gemm", "MatMul"))
    _assert_canonical(layer, 0 if layer.op_type == "Gemm" else 1)


def test_dynamic_quantization_of_activations_survives() -> None:
    """BitLinear's per-token chain must reach lowering as it was exported."""
    body = ("a = Abs(x) m = ReduceMax<keepdims=1>(a, k) c = Clip(m, e) i = Reciprocal(c) "
            "f = Mul(i, n) d = Mul(x, f) r = Round(d) q = Clip(r, l, h) o = Div(q, f) "
            "y = Gemm<transB=1>(o, w)")
    model = graph(body, "float[N,192] x", "float[N,64] y", opset=18, w=FLOAT, k=np.array([-1]),
                  e=np.float32(1e-5), n=np.float32(127), l=np.float32(-128), h=np.float32(127))
    feeds = random_feeds(model)
    before = run(model, feeds)
    for step in front(Diagnostics()):
        model = step(model).model
    assert_same(before, run(model, feeds))
    assert [op for op in ops(model) if op != "DequantizeLinear"] == [
        "Abs", "ReduceMax", "Clip", "Reciprocal", "Mul", "Mul", "Round", "Clip", "Div", "Gemm"]
