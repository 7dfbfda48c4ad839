from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

from ternc.passes.fold_batchnorm import FoldBatchNorm
from tests.passes.running import Array, Constants, check, graph, ops

RNG = np.random.default_rng(11)


def _f(*shape: int) -> Array:
    return (RNG.standard_normal(shape) + 0.1).astype(np.float32)


def _norm(channels: int, prefix: str = "") -> Constants:
    return {f"{prefix}g": _f(channels), f"{prefix}b": _f(channels), f"{prefix}m": _f(channels),
            f"{prefix}v": RNG.uniform(0.5, 2, channels).astype(np.float32)}


def _model(body: str, inputs: str, outputs: str = "float y", *, opset: int = 21,
           **constants: npt.ArrayLike) -> ir.Model:
    model = graph(body, inputs, outputs, opset=opset, **constants)
    for index, node in enumerate(model.graph):
        node.name = f"{node.op_type}{index}"
    common.ShapeInferencePass()(model)
    return model


FORMS: dict[str, tuple[str, str, Constants, list[str]]] = {
    "torch conv": ("c = Conv<pads=[1,1,1,1]>(x, w, d) y = BatchNormalization(c, g, b, m, v)",
                   "float[1,3,6,6] x", {"w": _f(8, 3, 3, 3), "d": _f(8), **_norm(8)}, ["Conv"]),
    "conv without bias": ("c = Conv(x, w) y = BatchNormalization(c, g, b, m, v)",
                          "float[1,3,6,6] x", {"w": _f(8, 3, 3, 3), **_norm(8)}, ["Conv"]),
    "depthwise": ("c = Conv<group=4>(x, w) k = Mul(c, g) y = Add(k, b)", "float[1,4,6,6] x",
                  {"w": _f(4, 1, 3, 3), "g": _f(1, 4, 1, 1), "b": _f(4, 1, 1)}, ["Conv"]),
    "grouped transposed": ("c = ConvTranspose<group=2>(x, w, d) "
                           "y = BatchNormalization(c, g, b, m, v)", "float[1,4,6,6] x",
                           {"w": _f(4, 3, 3, 3), "d": _f(6), **_norm(6)}, ["ConvTranspose"]),
    "gemm": ("c = Gemm<transB=1, alpha=0.5, beta=2.0>(x, w, d) "
             "y = BatchNormalization(c, g, b, m, v)", "float[2,5] x",
             {"w": _f(8, 5), "d": _f(1, 8), **_norm(8)}, ["Gemm"]),
    "gemm without bias": ("c = Gemm(x, w) y = BatchNormalization(c, g, b, m, v)", "float[2,5] x",
                          {"w": _f(5, 8), **_norm(8)}, ["Gemm"]),
    "gemm, scalar bias": ("c = Gemm(x, w, d) y = Mul(c, g)", "float[2,5] x",
                          {"w": _f(5, 8), "d": _f(), "g": _f(8)}, ["Gemm"]),
    "keras dense": ("p = MatMul(x, w) q = Add(p, d) k = Mul(q, g) y = Add(k, b)", "float[2,5] x",
                    {"w": _f(5, 8), "d": _f(8), "g": _f(8), "b": _f(8)}, ["MatMul", "Add"]),
    "dense with BatchNormalization": (
        "p = MatMul(x, w) y = BatchNormalization(p, g, b, m, v)", "float[2,5] x",
        {"w": _f(5, 8), **_norm(8)}, ["MatMul", "Add"]),
    "scale behind an integer weight": (
        "p = MatMul(x, w) y = Mul(p, s)", "float[2,3,5] x",
        {"w": RNG.integers(-1, 2, (5, 8)).astype(np.float32), "s": _f()}, ["MatMul"]),
    "keras conv1d": ("u = Unsqueeze(x, two) c = Conv(u, w) e = Squeeze(c, two) h = Add(e, d) "
                     "k = Mul(h, g) y = Add(k, b)", "float[1,3,9] x",
                     {"w": _f(8, 3, 1, 3), "two": np.array([2]), "d": _f(1, 8, 1), "g": _f(8, 1),
                      "b": _f(8, 1)}, ["Unsqueeze", "Conv", "Squeeze"]),
    "behind a transpose": ("c = Conv(x, w) t = Transpose<perm=[0,2,3,1]>(c) k = Mul(t, g) "
                           "h = Sub(k, b) y = Div(h, q)", "float[1,3,6,6] x",
                           {"w": _f(8, 3, 3, 3), "g": _f(8), "b": _f(8), "q": _f()},
                           ["Conv", "Transpose"]),
    "dense behind a reshape": ("p = MatMul(x, w) r = Reshape(p, s) h = Add(r, d) y = Mul(h, g)",
                               "float[6,5] x", {"w": _f(5, 8), "s": np.array([2, 3, 8]),
                                                "d": _f(8), "g": _f(8)},
                               ["MatMul", "Add", "Reshape"]),
    "constant on the left": ("c = Gemm(x, w) h = Sub(d, c) k = Neg(h) y = Mul(g, k)",
                             "float[2,5] x", {"w": _f(5, 8), "d": _f(8), "g": _f(1, 8)},
                             ["Gemm"]),
    "two bias additions": ("p = MatMul(x, w) q = Add(p, d) y = Add(b, q)", "float[2,5] x",
                           {"w": _f(5, 8), "d": _f(8), "b": _f(8)}, ["MatMul", "Add"]),
    "conv, add": ("c = Conv(x, w) y = Add(c, b)", "float[1,3,6,6] x",
                  {"w": _f(8, 3, 3, 3), "b": _f(8, 1, 1)}, ["Conv"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_folds(form: str) -> None:
    body, inputs, constants, expected = FORMS[form]
    model = _model(body, inputs, **constants)
    folded: dict[str, str] = {}
    assert check(FoldBatchNorm(folded), model).modified
    assert ops(model) == expected
    assert model.graph.outputs[0].name == "y"
    assert set(folded.values()) <= {node.name for node in model.graph}
    assert not FoldBatchNorm()(model).modified


def _codes(shape: tuple[int, ...], kind: str) -> Array:
    codes = RNG.integers(-1, 2, shape)
    return codes.astype(ml_dtypes.int2 if kind == "int2" else np.int8)


DEQUANTIZED = {
    "conv": ("c = Conv(x, q, d) y = BatchNormalization(c, g, b, m, v)", "float[1,3,6,6] x",
             (8, 3, 3, 3), 0, ["DequantizeLinear", "Conv"]),
    "matmul": ("c = MatMul(x, q) y = BatchNormalization(c, g, b, m, v)", "float[2,5] x",
               (5, 8), 1, ["DequantizeLinear", "MatMul", "Add"]),
    "gemm": ("c = Gemm<transB=1>(x, q, d) y = BatchNormalization(c, g, b, m, v)", "float[2,5] x",
             (8, 5), 0, ["DequantizeLinear", "Gemm"]),
    "transposed": ("c = ConvTranspose(x, q, d) y = BatchNormalization(c, g, b, m, v)",
                   "float[1,3,6,6] x", (3, 8, 3, 3), 1, ["DequantizeLinear", "ConvTranspose"]),
}


def _quantized(form: str, kind: str, scale: Array, zero: bool = False, axis: int | None = None
               ) -> ir.Model:
    body, inputs, shape, out_axis, _ = DEQUANTIZED[form]
    axis = out_axis if axis is None else axis
    codes = _codes(shape, kind)
    zeros: Constants = {"z": np.ones(scale.shape, codes.dtype)} if zero else {}
    model = _model(
        f"q = DequantizeLinear<axis={axis}>(w, s{', z' if zero else ''}) {body}", inputs,
        opset=25, w=codes, s=scale, d=_f(8), **_norm(8), **zeros)
    model.ir_version = 13
    return model


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("kind", ["int2", "int8"])
@pytest.mark.parametrize("scale", [_f(), _f(8)], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("form", DEQUANTIZED)
def test_scale_takes_the_factor_and_codes_stay(
    form: str, scale: Array, kind: str, zero: bool
) -> None:
    model = _quantized(form, kind, scale, zero)
    codes = model.graph.initializers["w"].const_value
    assert codes is not None
    before = codes.numpy().copy()
    assert check(FoldBatchNorm(), model).modified
    assert ops(model) == DEQUANTIZED[form][4]
    node = model.graph[0]
    after = node.inputs[0].const_value.numpy()  # type: ignore[union-attr]
    assert np.array_equal(before.astype(np.int8), after.astype(np.int8))
    assert node.attributes.get_int("axis") == DEQUANTIZED[form][3]


def test_scale_per_input_channel_is_refused() -> None:
    model = _quantized("matmul", "int8", _f(5), axis=0)
    assert not check(FoldBatchNorm(), model).modified


def test_blocked_scale_takes_the_factor() -> None:
    model = _model("q = DequantizeLinear<axis=1, block_size=4>(w, s) c = Gemm<transB=1>(x, q) "
                   "y = Mul(c, g)", "float[2,8] x", w=_codes((6, 8), "int8"), s=_f(6, 2), g=_f(6))
    assert check(FoldBatchNorm(), model).modified
    assert ops(model) == ["DequantizeLinear", "Gemm"]


def test_shared_weight_gets_its_own_scale() -> None:
    model = _model("q = DequantizeLinear(w, s) c = MatMul(x, q) y = Mul(c, g) z = MatMul(x, q)",
                   "float[2,5] x", "float y, float z", w=_codes((5, 8), "int8"), s=_f(), g=_f(8))
    assert check(FoldBatchNorm(), model).modified
    assert ops(model).count("DequantizeLinear") == 2


def test_shared_float_weight_is_copied() -> None:
    model = _model("c = MatMul(x, w) y = Mul(c, g) z = MatMul(x, w)",
                   "float[2,5] x", "float y, float z", w=_f(5, 8), g=_f(8))
    assert check(FoldBatchNorm(), model).modified


LEFT: dict[str, tuple[str, str, str, Constants]] = {
    "behind an activation": ("c = Conv(x, w) r = Relu(c) y = Mul(r, g)", "float[1,3,6,6] x",
                             "float y", {"w": _f(8, 3, 3, 3), "g": _f(8, 1, 1)}),
    "in front of a layer": ("r = Mul(x, g) y = Conv(r, w)", "float[1,3,6,6] x", "float y",
                            {"w": _f(8, 3, 3, 3), "g": _f(3, 1, 1)}),
    "read elsewhere": ("c = MatMul(x, w) k = Mul(c, g) y = Add(k, c)", "float[2,5] x", "float y",
                       {"w": _f(5, 8), "g": _f(8)}),
    "a graph output": ("c = MatMul(x, w) y = Mul(c, g)", "float[2,5] x", "float y, float c",
                       {"w": _f(5, 8), "g": _f(8)}),
    "per position": ("c = Conv(x, w) y = Mul(c, g)", "float[1,3,6,6] x", "float y",
                     {"w": _f(8, 3, 3, 3), "g": _f(1, 1, 4, 4)}),
    "growing the tensor": ("c = MatMul(x, w) y = Mul(c, g)", "float[2,5] x", "float y",
                           {"w": _f(5, 8), "g": _f(1, 1, 8)}),
    "constant divided": ("c = MatMul(x, w) y = Div(g, c)", "float[2,5] x", "float y",
                         {"w": _f(5, 8), "g": _f(8)}),
    "normal form": ("c = MatMul(x, w) y = Add(c, g)", "float[2,5] x", "float y",
                    {"w": _f(5, 8), "g": _f(8)}),
    "weights computed": ("c = MatMul(x, z) y = Mul(c, g)", "float[2,5] x, float[5,8] z",
                         "float y", {"g": _f(8)}),
    "behind QuantizeLinear": (
        "c = MatMul(x, w) q = QuantizeLinear(c, s) e = DequantizeLinear(q, s) y = Mul(e, g)",
        "float[2,5] x", "float y",
        {"w": _f(5, 8), "g": _f(8), "s": np.array(0.1, np.float32)}),
    "reshape that mixes channels": (
        "c = Conv(x, w) r = Reshape(c, k) y = Mul(r, g)", "float[1,3,6,6] x", "float y",
        {"w": _f(8, 3, 3, 3), "k": np.array([1, 16, 8]), "g": _f(1, 1, 8)}),
}


@pytest.mark.parametrize("case", LEFT)
def test_left_alone(case: str) -> None:
    body, inputs, outputs, constants = LEFT[case]
    model = _model(body, inputs, outputs, **constants)
    before = ops(model)
    assert not check(FoldBatchNorm(), model).modified
    assert ops(model) == before


def test_training_mode_is_refused() -> None:
    body = ("c = Conv(x, w) y, p, q = BatchNormalization<training_mode=1>(c, g, b, m, v)")
    model = _model(body, "float[1,3,6,6] x", w=_f(8, 3, 3, 3), **_norm(8))
    assert not FoldBatchNorm()(model).modified


def test_names_mean_the_same_numbers() -> None:
    """A tensor that keeps its name keeps its values; others are renamed and logged."""
    model = _model("p = MatMul(x, w) q = Add(p, d) k = Mul(q, g) y = Add(k, b)", "float[2,5] x",
                   w=_f(5, 8), d=_f(8), g=_f(8), b=_f(8))
    folded: dict[str, str] = {}
    FoldBatchNorm(folded)(model)
    assert not {"p", "q", "k"} & {value.name for node in model.graph for value in node.outputs}
    assert {"p", "q", "k"} <= folded.keys()
    assert folded["Mul2"] == "MatMul0"
