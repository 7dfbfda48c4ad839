from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

import ternc
from ternc.diagnostics import Diagnostics
from ternc.oracle import Oracle
from ternc.passes.import_qoperators import ImportQOperators
from tests.passes.running import graph, ops, random_feeds, run

SHAPE = (1, 3, 12, 12)


def codes(*shape: int, dtype: type = np.int8) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-100, 100, shape).astype(dtype)


CONSTANTS: dict[str, Any] = {
    "s1": np.float32(0.02), "s2": np.float32(0.03), "s3": np.float32(0.05),
    "z1": np.uint8(120), "z2": np.int8(0), "z3": np.uint8(100),
    "wc": codes(4, 3, 3, 3), "wm": codes(5, 6), "wt": codes(6, 5),
    "bc": codes(4, dtype=np.int32) * 20, "bg": codes(6, dtype=np.int32) * 20,
    "sc": np.linspace(0.01, 0.04, 4, dtype=np.float32), "zc": np.zeros(4, np.int8),
    "sm": np.linspace(0.01, 0.04, 6, dtype=np.float32), "zm": np.zeros(6, np.int8),
    "other": np.random.default_rng(0).integers(0, 255, (2, 5)).astype(np.uint8),
    "mask": np.array([True, False, True, True, False])}
M = "com.microsoft."


@pytest.mark.parametrize(("node", "shape"), [
    ("y = QLinearConv<pads=[1,1,1,1]>(x, s1, z1, wc, s2, z2, s3, z3, bc)", "1,3,5,5"),
    ("y = QLinearConv<strides=[2,2]>(x, s1, z1, wc, sc, zc, s3, z3)", "1,3,5,5"),
    ("y = QLinearMatMul(x, s1, z1, wm, s2, z2, s3, z3)", "2,5"),
    (f"y = {M}QGemm<transB=1, alpha=0.5>(x, s1, z1, wt, sm, zm, bg, s3, z3)", "2,5"),
    (f"y = {M}QGemm(x, s1, z1, wm, s2, z2, bg, s3, z3)", "2,5"),
    (f"y = {M}QLinearAdd(x, s1, z1, other, s2, z3, s3, z3)", "2,5"),
    (f"y = {M}QLinearMul(x, s1, z1, other, s2, z3, s3, z3)", "2,5"),
    (f"y = {M}QLinearWhere(mask, x, s1, z1, other, s2, z3, s3, z3)", "2,5"),
    (f"y = {M}QLinearConcat<axis=0>(s3, z3, x, s1, z1, other, s2, z3)", "2,5"),
    (f"y = {M}QLinearLeakyRelu<alpha=0.1>(x, s1, z1, s3, z3)", "2,5"),
    (f"y = {M}QLinearSigmoid(x, s1, z1, s2, z1)", "2,5"),
    (f"y = {M}QLinearSoftmax<axis=1, opset=13>(x, s1, z1, s2, z1)", "2,5"),
    (f"y = {M}QLinearAveragePool<kernel_shape=[2,2]>(x, s1, z1, s3, z3)", "1,3,5,5"),
    (f"y = {M}QLinearGlobalAveragePool(x, s1, z1, s3, z3)", "1,3,5,5"),
])
def test_as_onnxruntime(node: str, shape: str) -> None:
    used = {name: value for name, value in CONSTANTS.items()
            if name in node.replace(")", "").replace("(", ", ").split(", ")}
    model = graph(node, f"uint8[{shape}] x", "uint8 y", **used)
    feeds = {name: np.random.default_rng(1).integers(0, 255, value.shape).astype(np.uint8)
             for name, value in random_feeds(model).items()}
    expected = run(model, feeds)["y"]
    assert len(np.unique(expected)) > 2
    assert ImportQOperators(Diagnostics())(model).modified
    assert not any("QLinear" in op or op == "QGemm" for op in ops(model))
    result = run(model, feeds)["y"]
    assert result.dtype == expected.dtype
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def test_channels_last_is_refused() -> None:
    model = graph(f"y = {M}QLinearGlobalAveragePool<channels_last=1>(x, s1, z1, s3, z3)",
                  "uint8[1,5,5,3] x", "uint8 y",
                  **{name: CONSTANTS[name] for name in ("s1", "z1", "s3", "z3")})
    diagnostics = Diagnostics()
    assert not ImportQOperators(diagnostics)(model).modified
    assert [item.code for item in diagnostics.errors] == ["TC0102"]


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.data: Iterator[dict[str, np.ndarray]] = ({"x": x} for x in samples(16))

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.data, None)


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *SHAPE)).astype(np.float32)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Most of the operators that onnxruntime's quantizer knows."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[1,3,12,12] x) => (float[1,5] y) {
          c = Conv<pads=[1,1,1,1]>(x, w1, b1)  r = Relu(c)
          p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)
          d = Conv<pads=[1,1,1,1]>(p, w2, b2)  l = LeakyRelu<alpha=0.1>(d)
          a = Add(l, p)  s = Sigmoid(a)  m = Mul(s, a)  k = Concat<axis=1>(m, p)
          q = AveragePool<kernel_shape=[2,2], strides=[2,2]>(k)
          h = GlobalAveragePool(q)  f = Flatten(h)  t = MatMul(f, w3)  y = Gemm(t, w4, b4) }""")
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (16, 6),
              "w4": (6, 5), "b4": (5,)}
    for name, shape in shapes.items():
        values = rng.normal(scale=0.4, size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
def test_statically_quantized_models(
    network: Path, per_channel: bool, activations: QuantType,
) -> None:
    path = network.with_name("quantized.onnx")
    quantize_static(network, path, Reader(), quant_format=QuantFormat.QOperator,
                    per_channel=per_channel, activation_type=activations,
                    weight_type=QuantType.QInt8)
    model = onnx.load(path)
    assert any(node.op_type == "QLinearConv" for node in model.graph.node)
    last = next(node for node in model.graph.node if node.output[0] == "y")
    step = next(float(onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer
                if tensor.name == last.input[1])
    compiled, oracle = ternc.compile(path), Oracle(model)
    assert not list(compiled.diagnostics)
    assert compiled.report()["weights"]["float32"]["count"] == 0
    given = np.concatenate([compiled.run(x)["y"] for x in samples(20)])
    expected = np.concatenate([oracle.run({"x": x}, ["y"])["y"] for x in samples(20)])
    assert expected.std(0).max() > 10 * step
    assert np.abs(given - expected).max() <= 1.01 * step


def test_dynamically_quantized_models(network: Path) -> None:
    path = network.with_name("quantized.onnx")
    quantize_dynamic(network, path, weight_type=QuantType.QInt8)
    compiled, oracle = ternc.compile(path), Oracle(onnx.load(path))
    assert {item.code for item in compiled.diagnostics} == {"TC0005"}
    assert compiled.report()["weights"]["int8"]["count"] == 918
    given = np.concatenate([compiled.run(x)["y"] for x in samples(20)])
    expected = np.concatenate([oracle.run({"x": x}, ["y"])["y"] for x in samples(20)])
    noise, signal = np.square(given - expected).mean(), np.square(expected).mean()
    assert 0 < noise < 1e-3 * signal
