"""Validation: what it checks, that it notices, and the layers it takes a model apart into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import ternc
from ternc.comparison import difference, sqnr_db
from ternc.compiled import CompiledModel
from ternc.diagnostics import CompileError, Diagnostics, UsageError
from ternc.layer_split import fed_name, split_layers
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from ternc.validation import Report, validate
from ternc.verify_passes import PassVerifier
from tests.making import MODELS, dense


def names(report: Report) -> list[str]:
    return [check.name for check in report.checks]


def check(report: Report, name: str) -> Any:
    return next(item for item in report.checks if item.name.startswith(name))


# --- reports -------------------------------------------------------------------------------------


def test_a_float_model_agrees_to_the_last_bits() -> None:
    report = validate(dense(batch="N"), "esp32c3")
    assert report.passed
    assert report.exit_code == 0
    assert names(report) == [
        "onnx", "operators", "compiles", "weights", "fits RAM", "fits flash", "program",
        "memory plan", "along the program", "agreement of y", "input range", "latency", "stack"]
    agreement = check(report, "agreement")
    assert agreement.value <= agreement.limit == 1e-5
    assert "32 samples of noise" in agreement.detail


def test_a_quantized_model_is_compared_layer_by_layer() -> None:
    report = validate(MODELS / "gesture_cnn_int8.onnx", data=MODELS / "gesture.npz")
    assert report.passed
    assert check(report, "layer by layer").value <= 1
    assert check(report, "top-1").value == pytest.approx(1.0, abs=0.05)
    assert check(report, "accuracy").value > 0.9


def test_a_calibrated_model_is_compared_with_its_float_source() -> None:
    data = MODELS / "shapes.npz"
    report = validate(MODELS / "shapes_cnn.onnx", data=data, calibration_data=data, samples=16)
    assert report.passed
    top1 = check(report, "top-1")
    assert top1.limit is None
    assert "with the float model" in top1.detail
    assert check(report, "accuracy").passed


def test_json_has_no_infinities() -> None:
    report = validate(MODELS / "gesture_cnn_int8.onnx", samples=4)
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["passed"] is True


def test_a_model_that_does_not_compile() -> None:
    report = validate(dense(op="RandomNormalLike"))
    assert not report.passed
    assert names(report) == ["onnx", "operators"]
    assert [item.name for item in report.checks if item.failed] == ["operators"]
    assert report.exit_code == 1
    assert report.diagnostics[-1].code == "TC0101"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no")
    report = validate(tmp_path / "bad.onnx")
    assert names(report) == ["onnx"]
    assert report.exit_code == 1


def test_a_model_that_does_not_fit_is_still_compared() -> None:
    report = validate(dense(), ram=8, flash=8)
    assert [c.name for c in report.checks if c.failed] == ["fits RAM", "fits flash"]
    assert report.exit_code == 3
    assert check(report, "agreement").passed


def test_usage_errors_are_raised() -> None:
    with pytest.raises(UsageError, match="unknown target"):
        validate(dense(), "esp99")
    with pytest.raises(CompileError, match="wrong shape"):
        validate(dense(), data=np.zeros((3, 9), np.float32))
    with pytest.raises(UsageError, match="2 labels for 3 samples"):
        validate(dense(), data=np.zeros((3, 8), np.float32), labels=[0, 1])


def test_labels_in_every_form(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    weight = np.asarray(numpy_helper.to_array(dense().graph.initializer[0]))
    classes = np.maximum(data @ weight, 0).argmax(axis=1)
    np.save(tmp_path / "y.npy", classes)
    np.savez(tmp_path / "y.npz", classes)
    np.savez(tmp_path / "all.npz", x=data, labels=classes)
    for labels in (classes, list(classes), np.eye(4)[classes], tmp_path / "y.npy",
                   tmp_path / "y.npz"):
        assert check(validate(dense(), data=data, labels=labels), "accuracy").value == 1.0
    assert check(validate(dense(), data=tmp_path / "all.npz"), "accuracy").value == 1.0
    assert not check(validate(dense(), data=data, labels=classes), "accuracy").value < 1


@pytest.mark.parametrize("layout", ["model", "nhwc"])
def test_image_layouts_compare_alike(layout: str) -> None:
    report = validate(MODELS / "shapes_cnn.onnx", samples=3, io_layout=layout)
    assert report.passed


def _spoil(monkeypatch: pytest.MonkeyPatch, amount: float, *, from_call: int = 0) -> None:
    """Makes the C runtime seem to answer wrongly."""
    real, calls = CompiledModel.run, iter(range(1_000_000))

    def wrong(self: CompiledModel, inputs: Any, **more: Any) -> dict[str, Any]:
        answers = real(self, inputs, **more)
        if next(calls) < from_call:
            return answers
        return {name: (value[..., ::-1] if value.dtype.kind in "iu"
                       else value.astype(np.float32) + amount)
                for name, value in answers.items()}

    monkeypatch.setattr(CompiledModel, "run", wrong)


def test_a_wrong_float_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    _spoil(monkeypatch, 1e-3, from_call=31)  # the last sample alone
    report = validate(dense())
    assert not report.passed
    assert report.exit_code == 4


def test_a_wrong_integer_layer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    _spoil(monkeypatch, 0.0)
    report = validate(MODELS / "gesture_cnn_int8.onnx", samples=4)
    failed = check(report, "layer by layer")
    assert not failed.passed
    assert "the first that is wrong: " in failed.detail
    assert failed.notes
    assert report.exit_code == 4


def test_ties_are_no_disagreement() -> None:
    from ternc.validation.whole import disagreements

    wanted = np.array([[1.0, 0.99, 0.0], [1.0, 0.5, 0.0]], np.float32)
    answer = np.array([[0.99, 1.0, 0.0], [0.5, 1.0, 0.0]], np.float32)
    assert disagreements(answer, wanted, tie=0.02) == (1, 1)


# --- layers --------------------------------------------------------------------------------------


def _residual() -> onnx.ModelProto:
    """Q -> DQ -> (Gemm+Relu -> Q -> DQ) + itself -> Q -> DQ, with a branch of integers out."""
    text = """
    <ir_version: 10, opset_import: ["" : 21]>
    net (float[1,8] x) => (float[1,8] y, int8[1,8] middle)
    <float s = {0.05}, int8 z = {3}, float t = {0.1}, int8 nought = {0},
     float ws = {0.02}>
    {
      q = QuantizeLinear(x, s, z)
      d = DequantizeLinear(q, s, z)
      w = DequantizeLinear(wq, ws)
      g = MatMul(d, w)
      r = Relu(g)
      middle = QuantizeLinear(r, t, nought)
      m = DequantizeLinear(middle, t, nought)
      a = Add(m, d)
      e = QuantizeLinear(a, t, z)
      y = DequantizeLinear(e, t, z)
    }
    """
    model = onnx.parser.parse_model(text)
    weights = np.random.default_rng(0).integers(-60, 61, (8, 8)).astype(np.int8)
    model.graph.initializer.append(numpy_helper.from_array(weights, "wq"))
    return model


def test_layers_are_cut_at_integers() -> None:
    layers = split_layers(_residual())
    ops = [[n.op_type for n in m.graph.node if n.op_type[-6:] != "Linear"] for m in layers]
    assert ops == [[], ["MatMul", "Relu"], ["Add"]]
    assert [value.name for value in layers[2].graph.input] == ["middle:fed", "q:fed"]
    assert [fed_name(value.name) for value in layers[1].graph.input] == ["q"]
    assert [value.name for value in layers[1].graph.output] == ["middle"]
    kinds = {v.type.tensor_type.elem_type for m in layers for v in m.graph.output}
    assert kinds == {TensorProto.INT8}


def test_each_layer_is_a_model_that_runs() -> None:
    """Chained in onnxruntime, the layers give what the whole gives."""
    model = _residual()
    x = np.random.default_rng(1).standard_normal((1, 8)).astype(np.float32)
    values: dict[str, Any] = {"x": x}
    for layer in split_layers(model):
        onnx.checker.check_model(layer)
        values.update(Oracle(layer).run(
            {v.name: values[fed_name(v.name)] for v in layer.graph.input}))
    whole = Oracle(model).run({"x": x}, ["middle", "e"])
    np.testing.assert_array_equal(values["middle"], whole["middle"])
    np.testing.assert_array_equal(values["e"], whole["e"])


def test_check_layers_compares_every_output() -> None:
    compiled = ternc.compile(_residual(), "host")
    generator = np.random.default_rng(2)
    feeds = [{"x": generator.standard_normal((1, 8)).astype(np.float32)} for _ in range(8)]
    results = check_layers(compiled.model, feeds)
    assert len(results) == 3
    assert all(result.passed and result.integer for result in results)
    assert all(result.count == 64 for result in results)


def test_a_float_tail_is_compared_as_floats() -> None:
    model = _residual()
    model.graph.node.append(helper.make_node("Softmax", ["y"], ["p"]))
    model.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, [1, 8]))
    layers = split_layers(model)
    assert [v.name for v in layers[-1].graph.output] == ["p"]
    compiled = ternc.compile(model, "host")
    results = check_layers(compiled.model, [{"x": np.ones((1, 8), np.float32)}])
    assert not results[-1].integer
    assert all(result.passed for result in results)


def test_a_float_model_has_one_layer() -> None:
    assert len(split_layers(onnx.shape_inference.infer_shapes(dense()))) == 1


def test_difference() -> None:
    one = np.array([1.0, np.inf, np.nan, -np.inf], np.float32)
    assert difference(one, one) == (0.0, 0)
    assert difference(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == (np.inf, 1)
    assert difference(np.array([1.0, 2.02]), np.array([1.0, 2.0]))[0] == pytest.approx(0.01)
    assert difference(np.array([3], np.int8), np.array([-128], np.int8)) == (131, 1)
    assert difference(np.array([1e-7]), np.array([0.0]))[0] == pytest.approx(0.1)
    assert difference(np.zeros(0), np.zeros(0)) == (0.0, 0)


# --- passes --------------------------------------------------------------------------------------


def _verified(name: str, before: onnx.ModelProto, after: onnx.ModelProto) -> Diagnostics:
    diagnostics = Diagnostics()
    PassVerifier(before, diagnostics)(name, ir.from_proto(after))
    return diagnostics


def test_a_pass_that_changes_nothing_is_quiet() -> None:
    assert not list(_verified("anything", dense(), dense()))


def test_a_pass_that_changes_the_answer_is_an_error() -> None:
    found = _verified("fold_nothing", dense(seed=0), dense(seed=1)).errors
    assert [item.code for item in found] == ["TC0206"]
    assert "'fold_nothing'" in found[0].message


def test_a_pass_that_breaks_the_model_is_an_error() -> None:
    broken = dense()
    broken.graph.node[0].input[1] = "nowhere"
    found = _verified("break", dense(), broken).errors
    assert "refuses the model after pass 'break'" in found[0].message


def test_a_lossy_pass_is_a_note() -> None:
    found = list(_verified("quantize", dense(seed=0), dense(seed=1)))
    assert [item.severity.value for item in found] == ["note"]
    assert "dB" in found[0].message


def test_the_first_form_that_runs_is_the_reference() -> None:
    unknown = dense()
    unknown.graph.node[1].domain = "onnx.brevitas"
    diagnostics = Diagnostics()
    verifier = PassVerifier(unknown, diagnostics)
    verifier("import", ir.from_proto(dense()))
    assert not list(diagnostics)
    verifier("next", ir.from_proto(dense(seed=1)))
    assert len(diagnostics.errors) == 1


def test_compile_verifies_its_passes() -> None:
    for name in ("gesture_cnn", "shapes_cnn", "gesture_cnn_int8"):
        compiled = ternc.compile(MODELS / f"{name}.onnx", verify_passes=True)
        assert not [d for d in compiled.diagnostics if d.code == "TC0206"]


def test_compile_reports_the_loss_of_quantize() -> None:
    compiled = ternc.compile(MODELS / "gesture_cnn.onnx", verify_passes=True,
                             calibration_data=MODELS / "gesture.npz")
    assert [d.severity.value for d in compiled.diagnostics if d.code == "TC0206"] == ["note"]


def test_sqnr() -> None:
    wanted = np.array([3.0, 4.0])
    assert sqnr_db(wanted, wanted) == np.inf
    assert sqnr_db(wanted + 0.5, wanted) == pytest.approx(10 * np.log10(25 / 0.5))
    assert sqnr_db(np.ones(2), np.zeros(2)) == -np.inf
