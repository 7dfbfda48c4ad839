"""Ternary weights in real exports, from the file through the whole front and to a program.

The files of tests/models/detection were written by the scripts beside them: torch's dynamo
exporter below and above its folding limit, Keras with tf2onnx, and Brevitas in its three forms.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import ternc
from ternc.compiler import prepare
from ternc.oracle import Oracle
from ternc.passes._graph import constant

FOLDER = Path(__file__).parent.parent / "models" / "detection"
# file: operators that must be in it as exported, layers with ternary weights, and their number
EXPORTS = {
    "torch_folded": ({"Conv", "Gemm"}, 2, 3 * 6 * 9 + 150 * 10),
    "torch_unfolded": ({"Abs", "Round", "Clip", "Gemm"}, 1, 130 * 64),
    "keras_folded": ({"Conv", "MatMul", "Transpose"}, 2, 3 * 5 * 9 + 80 * 7),
    "brevitas_qcdq": ({"Clip", "DequantizeLinear", "Conv"}, 2, 3 * 6 * 9 + 54 * 10),
    "brevitas_qcdq_dynamo": (
        {"QuantizeLinear", "Clip", "DequantizeLinear"}, 2, 3 * 6 * 9 + 54 * 10),
    "brevitas_qonnx": ({"Quant", "Conv"}, 2, 3 * 6 * 9 + 54 * 10),
}


def _feed(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    constants = {item.name for item in model.graph.initializer}
    (given,) = [item for item in model.graph.input if item.name not in constants]
    shape = [d.dim_value or 1 for d in given.type.tensor_type.shape.dim]
    return {given.name: np.random.default_rng(0).standard_normal(shape).astype(np.float32)}


def _codes(node: ir.Node) -> np.ndarray:
    codes = constant(node.inputs[0])
    assert codes is not None
    return codes.astype(np.int8).reshape(-1)


def test_every_export_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.onnx")} == set(EXPORTS)


@pytest.mark.parametrize("name", EXPORTS)
class TestExports:
    def test_holds_what_it_is_for(self, name: str) -> None:
        model = onnx.load(FOLDER / f"{name}.onnx")
        assert EXPORTS[name][0] <= {node.op_type for node in model.graph.node}
        largest = max(np.unique(np.abs(onnx.numpy_helper.to_array(item))).size
                      for item in model.graph.initializer if np.prod(item.dims) > 100)
        latent = name in ("torch_unfolded", "brevitas_qcdq_dynamo", "brevitas_qonnx")
        assert (largest > 100) == latent  # the weights as trained, or their few levels

    def test_becomes_canonical(self, name: str) -> None:
        """INT2 codes with one scale per output channel, and onnxruntime's answer as before."""
        model = onnx.load(FOLDER / f"{name}.onnx")
        prepared = prepare(model)
        found = [node for node in prepared.model.graph if node.op_type == "DequantizeLinear"
                 and node.inputs[0] is not None and node.inputs[0].dtype is ir.DataType.INT2]
        assert len(found) == EXPORTS[name][1]
        assert sum(len(_codes(node)) for node in found) == EXPORTS[name][2]
        if name == "brevitas_qonnx":
            return  # onnxruntime has no Quant; the numbers are those of brevitas_qcdq, see below
        feed = _feed(model)
        wanted, got = Oracle(model).run(feed), Oracle(prepared.model).run(feed)
        for one, other in zip(wanted.values(), got.values(), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)

    def test_compiles_to_ternary_kernels(self, name: str) -> None:
        compiled = ternc.compile(FOLDER / f"{name}.onnx", "host")
        weights = compiled.report()["weights"]
        assert weights["ternary"]["count"] == EXPORTS[name][2]
        assert weights["float32"]["count"] == weights["int8"]["count"] == 0
        assert not [item for item in compiled.diagnostics if item.code in ("TC0201", "TC0207")]


def test_three_forms_of_one_brevitas_model_agree() -> None:
    """The same trained weights by two exporters and as QONNX: the same codes and scales."""
    answers, codes = [], []
    for name in ("brevitas_qcdq", "brevitas_qcdq_dynamo", "brevitas_qonnx"):
        model = onnx.load(FOLDER / f"{name}.onnx")
        compiled = ternc.compile(model, "host")
        answers.append(next(iter(compiled.run(next(iter(_feed(model).values()))).values())))
        codes.append([_codes(node) for node in prepare(model).model.graph
                      if node.op_type == "DequantizeLinear"])
    for other in (1, 2):
        np.testing.assert_allclose(answers[other], answers[0], rtol=1e-5, atol=1e-6)
        for one, same in zip(codes[0], codes[other], strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.onnx")), ids=lambda path: path.stem)
def test_files_are_small_and_name_no_machine(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) < 50_000
    assert not any(part in data for part in (b"/work/", b"/root/", b"/home/", b"site-packages"))
