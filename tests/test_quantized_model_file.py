"""`ternc model.onnx -o model.quant.onnx`: plain ONNX that onnxruntime opens, integers and all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

import ternc
from ternc.oracle import Oracle
from tests.models.synthetic import gestures
from tests.passes.running import graph

MODELS = Path(__file__).parent / "models"
RNG = np.random.default_rng(0)
MOTION = gestures(48, seed=9)[0]


def _convolutions() -> ir.Model:
    weights = {name: RNG.standard_normal(shape).astype(np.float32) / 3 for name, shape in (
        ("k", (6, 3, 3, 3)), ("d", (6, 1, 3, 3)), ("t", (6, 4, 2, 2)), ("w", (5, 196)),
        ("m", (5, 7)))}
    model = graph(
        "a = Conv<pads=[1,1,1,1]>(x, k) b = Relu(a) c = Conv<group=6>(b, d) "
        "e = ConvTranspose<strides=[2,2]>(c, t) f = MaxPool<kernel_shape=[2,2], strides=[1,1]>(e) "
        "g = Flatten(f) h = Gemm<transB=1>(g, w) y = MatMul(h, m)",
        "float[1,3,6,6] x", "float[1,7] y", **weights)  # type: ignore[arg-type]
    common.ShapeInferencePass()(model)
    return model


# the model, its samples, and which operators get ternary weights
CASES: dict[str, tuple[Any, np.ndarray, set[str]]] = {
    "conv, gemm, matmul": (_convolutions(), RNG.standard_normal((32, 3, 6, 6)).astype(np.float32),
                           {"Conv", "ConvTranspose", "Gemm", "MatMul"}),
    "conv1d": (MODELS / "gesture_cnn.onnx", MOTION, {"Conv", "Gemm"}),
    "lstm": (MODELS / "sequence_lstm.onnx", MOTION[:, :, ::2].transpose(0, 2, 1).copy(),
             {"LSTM", "Gemm"}),
    "gru": (MODELS / "sequence_gru.onnx", MOTION[:, :, ::2].transpose(0, 2, 1).copy(),
            {"GRU", "Gemm"}),
    "rnn": (MODELS / "sequence_rnn.onnx", MOTION[:, :, ::2].transpose(0, 2, 1).copy(),
            {"RNN", "Gemm"}),
}


@pytest.mark.parametrize("case", CASES)
def test_onnxruntime_gives_the_same_integers(case: str, tmp_path: Path) -> None:
    source, data, ternary = CASES[case]
    compiled = ternc.compile(source, "host", calibration_data=data[:24], ternarize="bitnet")
    path = tmp_path / "model.quant.onnx"
    compiled.save(path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [item.version for item in model.opset_import if not item.domain] == [25]
    assert {item.domain for item in model.opset_import} <= {"", "ai.onnx"}
    assert _ternary_readers(model) >= ternary
    oracle = Oracle(model)
    (port,) = compiled.program.outputs
    assert port.scale is not None
    name = model.graph.input[0].name
    for sample in data[24:]:
        wanted = oracle.run({name: sample[None]})[port.name] / port.scale
        got = compiled.run(sample[None])[port.name] / port.scale
        assert np.abs(np.rint(got) - np.rint(wanted)).max() <= 1


@pytest.mark.parametrize("case", CASES)
def test_compiling_it_again_gives_the_same_answers(case: str, tmp_path: Path) -> None:
    """The file runs as it says: nothing is decided anew."""
    source, data, _ = CASES[case]
    compiled = ternc.compile(source, "host", calibration_data=data[:24], ternarize="bitnet")
    compiled.save(tmp_path / "model.quant.onnx")
    again = ternc.compile(tmp_path / "model.quant.onnx", "host")
    assert again.report()["weights"] == compiled.report()["weights"]
    for sample in data[24:30]:
        for name, value in compiled.run(sample[None]).items():
            np.testing.assert_array_equal(again.run(sample[None])[name], value)


def _ternary_readers(model: onnx.ModelProto) -> set[str]:
    """The operators whose weight is a DequantizeLinear of INT2 codes, through layout operators."""
    codes = {item.name for item in model.graph.initializer
             if item.data_type == onnx.TensorProto.INT2}
    found = {node.output[0] for node in model.graph.node
             if node.op_type == "DequantizeLinear" and node.input[0] in codes}
    return {node.op_type for node in model.graph.node if found.intersection(node.input)}
