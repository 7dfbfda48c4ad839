"""compile() and CompiledModel: options, what run takes and gives, what is saved and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ternc import compiler as ternc
from ternc.compiled import CompiledModel
from ternc.diagnostics import CompileError, DoesNotFit, Severity, UsageError
from ternc.oracle import Oracle
from tests.agreement import bytes_, feeds, floats, instructions, model
from tests.quantized import IN, OUT1, SHARED

DENSE = model("g (float[1,6] x) => (float[1,3] y) {t=MatMul(x,w) y=Relu(t)}", w=floats(6, 3))


def batched() -> onnx.ModelProto:
    """A model whose batch is dynamic, with an output of indices."""
    proto = model("g (float[1,6] x) => (float[1,3] y, int64[1] k) "
                  "{t=MatMul(x,w) y=Softmax(t) k=ArgMax<axis=1,keepdims=0>(y)}", w=floats(6, 3))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    return proto


def answers(
    runner: CompiledModel | Oracle, inputs: Any, intermediates: bool = False
) -> dict[str, Any]:
    """The answers, of a type that numpy's functions take."""
    return dict(runner.run(inputs, intermediates=intermediates))


def refused(proto: onnx.ModelProto, **options: Any) -> CompileError:
    with pytest.raises(CompileError) as caught:
        ternc.compile(proto, "host", **options)
    return caught.value


def misused(**options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        ternc.compile(DENSE, **{"target": "host", **options})
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize("count", [1, 2, 7])
def test_dynamic_batch_runs_sample_by_sample(count: int) -> None:
    proto = batched()
    x = floats(count, 6)
    compiled = ternc.compile(proto, "host")
    wanted, found = answers(Oracle(proto), {"x": x}), answers(compiled, x)
    np.testing.assert_allclose(found["y"], wanted["y"], rtol=1e-5)
    np.testing.assert_array_equal(found["k"], wanted["k"])
    assert found["k"].dtype == np.int64


def test_no_samples_give_no_answers() -> None:
    found = ternc.compile(batched(), "host").run(np.zeros((0, 6), np.float32))
    assert found["y"].shape == (0, 3)
    assert found["k"].shape == (0,)
    assert found["k"].dtype == np.int64


def test_samples_of_a_scalar_output() -> None:
    """Answers without a batch axis are lined up."""
    proto = model("g (float[1,6] x) => (float y) {y=ReduceMean<keepdims=0>(x)}")
    x = floats(4, 6)
    found = answers(ternc.compile(proto, "host"), x)["y"]
    np.testing.assert_allclose(found, x.mean(axis=1), rtol=1e-5)


def test_inputs_by_name_and_in_any_float() -> None:
    compiled = ternc.compile(DENSE, "host")
    x = floats(1, 6)
    wanted = compiled.run(x)["y"]
    for same in ({"x": x}, x.astype(np.float64), x.tolist(), {"x": x[:, ::-1][:, ::-1]}):
        np.testing.assert_array_equal(compiled.run(same)["y"], wanted)


@pytest.mark.parametrize("wrong", [
    np.zeros((1, 5), np.float32), np.zeros(6, np.float32), np.zeros((1, 6), np.complex64),
    {"z": np.zeros((1, 6), np.float32)}, {}, np.array([["a"] * 6]),
])
def test_wrong_inputs(wrong: Any) -> None:
    with pytest.raises(UsageError) as caught:
        ternc.compile(DENSE, "host").run(wrong)
    assert caught.value.diagnostics[0].code == "TC0301"


def test_two_inputs() -> None:
    proto = model("g (float[1,4] a, float[1,4] b) => (float[1,4] y) {y=Sub(a,b)}")
    compiled = ternc.compile(proto, "host")
    a, b = floats(3, 4), floats(3, 4, low=0)
    np.testing.assert_array_equal(compiled.run({"b": b, "a": a})["y"], a - b)
    for wrong in (a, {"a": a}, {"a": a, "b": b[:2]}, {"a": a, "b": b[:1]}):
        with pytest.raises(UsageError):
            compiled.run(wrong)


def test_intermediates_are_the_models_tensors() -> None:
    proto = model("g (float[1,6] x) => (float[1,3] y) {t=MatMul(x,w) e=Exp(t) y=Softmax(e)}",
                  w=floats(6, 3))
    compiled, feed = ternc.compile(proto, "host"), feeds(proto)
    found = answers(compiled, feed, intermediates=True)
    wanted = answers(Oracle(proto), feed, intermediates=True)
    assert {"t", "e", "y"} <= set(found)
    for name in ("t", "e", "y"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)


def test_fuse_keeps_every_tensor() -> None:
    fused, kept = (ternc.compile(DENSE, "host", fuse=fuse) for fuse in (True, False))
    assert instructions(fused) == ["dense_f32"]
    assert instructions(kept) == ["dense_f32", "unary_f32"]
    assert fused.folded["t"] == "t"
    assert "t" in kept.run(floats(1, 6), intermediates=True)


@pytest.mark.parametrize("options", [
    {"target": "esp9000"}, {"activations": "int7"}, {"weights": "binary"}, {"optimize": "more"},
    {"name": "2nd"}, {"name": "a b"}, {"activations": "int8"}, {"ternarize": "best"},
    {"calibration_method": "guess", "calibration_data": floats(4, 6)},
    {"keep": {"nothing": "float32"}, "calibration_data": floats(4, 6)},
])
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises((UsageError, CompileError)) as caught:
        ternc.compile(DENSE, **{"target": "host", **options})
    assert caught.value.diagnostics[0].code in ("TC0401", "TC0403")


def test_a_quantized_model_is_not_made_float() -> None:
    proto = model(f"g (float[1,3] x) => (int8[1,3] qy) {{{IN}t=Relu(d) {OUT1}}}",
                  **{name: SHARED[name] for name in ("s1", "z1")})
    with pytest.raises(UsageError):
        ternc.compile(proto, "host", activations="float32")


def test_calibration_makes_integers_and_calls_back() -> None:
    seen: list[tuple[int, int | None]] = []
    compiled = ternc.compile(DENSE, "host", calibration_data=floats(16, 6),
                             progress=lambda done, total: seen.append((done, total)))
    assert compiled.float_instructions() == 0
    assert compiled.program.inputs[0].scale is not None
    assert seen[-1][0] == 16
    x = floats(1, 6)
    wanted = answers(Oracle(compiled.model), {"x": x})["y"]
    step = compiled.program.outputs[0].scale
    assert step is not None
    assert np.abs(answers(compiled, x)["y"] - wanted).max() <= 1.01 * step


def test_kept_layers_stay_float() -> None:
    proto = model("g (float[1,6] x) => (float[1,3] y) {t=MatMul(x,w) u=Relu(t) y=MatMul(u,v)}",
                  w=floats(6, 4), v=floats(4, 3))
    node = proto.graph.node[2]
    node.name = "last"
    compiled = ternc.compile(proto, "host", calibration_data=floats(16, 6),
                             keep={"last": "float32"})
    assert any(item.layer == "last" and item.opcode.name.startswith("dense_f32")
               for item in compiled.program.instructions)
    assert any("_i8" in name for name in instructions(compiled))


def test_bad_calibration_data() -> None:
    assert refused(DENSE, calibration_data=floats(4, 7)).diagnostics[0].code == "TC0301"


def test_every_problem_is_reported_at_once() -> None:
    proto = model("g (float[2] x) => (float[2] y, float[2] z) "
                  "{y=RandomNormalLike(x) z=Bernoulli(x)}")
    errors = [d for d in refused(proto).diagnostics if d.severity is Severity.ERROR]
    assert [d.op_type for d in errors] == ["RandomNormalLike", "Bernoulli"]
    assert all(d.code == "TC0101" and d.node and d.help for d in errors)


def test_problems_of_shapes_and_operators_have_their_own_codes() -> None:
    proto = model("g (float[1,6] x) => (float[1,3] y) {y=MatMul(x,w)}", w=floats(6, 3))
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "width"
    assert refused(proto).diagnostics[0].code == "TC0103"
    assert ternc.compile(proto, "host", shapes={"x": (1, 6)}).program.inputs[0].shape == (1, 6)


def test_a_model_without_outputs() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])], [])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    assert refused(proto).diagnostics[0].code in ("TC0107", "TC0003")


def test_weights_that_are_not_finite() -> None:
    bad = floats(6, 3).copy()
    bad[2, 1] = np.nan
    proto = model("g (float[1,6] x) => (float[1,3] y) {y=MatMul(x,w)}", w=bad)
    assert refused(proto).diagnostics[0].code == "TC0006"


def test_a_model_that_does_not_fit() -> None:
    with pytest.raises(DoesNotFit) as caught:
        ternc.compile(DENSE, "esp32c3", ram=8, flash=16)
    problems = [d for d in caught.value.diagnostics if d.code == "TC0402"]
    assert len(problems) == 2  # RAM and flash, both at once
    assert "alive at the peak" in problems[0].notes[0]
    ternc.compile(DENSE, "esp32c3", ram=8, flash=16, check_fit=False)


def test_floats_without_a_floating_point_unit_are_told_of() -> None:
    def codes(target: str) -> set[str]:
        return {d.code for d in ternc.compile(DENSE, target).diagnostics}

    assert "TC0204" in codes("esp32c3")
    assert "TC0204" not in codes("esp32s3")


@pytest.mark.parametrize(("file", "symbol"), [
    ("model.onnx", "model"), ("my-net v2.onnx", "my_net_v2"), ("2fast.onnx", "model_2fast")])
def test_the_prefix_in_c(file: str, symbol: str, tmp_path: Path) -> None:
    onnx.save(DENSE, tmp_path / file)
    assert ternc.compile(tmp_path / file, "host").name == symbol
    assert ternc.compile(DENSE, "host", name="other").name == "other"


def test_saving(tmp_path: Path) -> None:
    compiled = ternc.compile(DENSE, "host")
    for suffix in (".h", ".tern", ".onnx"):
        compiled.save(tmp_path / f"model{suffix}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.h", "model.onnx", "model.tern"]
    again = ternc.compile(tmp_path / "model.onnx", "host")
    np.testing.assert_array_equal(again.run(floats(1, 6))["y"], compiled.run(floats(1, 6))["y"])


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    compiled = ternc.compile(DENSE, "host")
    with pytest.raises(UsageError):
        compiled.save(tmp_path / "model.bin")
    with pytest.raises(UsageError):
        compiled.save(tmp_path / "nowhere" / "model.h")
    (tmp_path / "folder.h").mkdir()
    with pytest.raises(UsageError):
        compiled.save(tmp_path / "folder.h")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.h"]  # no half-written file either


def test_the_source_is_not_changed() -> None:
    before = DENSE.SerializeToString(deterministic=True)
    ternc.compile(DENSE, "host", calibration_data=floats(8, 6))
    assert DENSE.SerializeToString(deterministic=True) == before


def test_verify_passes() -> None:
    compiled = ternc.compile(DENSE, "host", verify_passes=True)
    assert "TC0206" not in {d.code for d in compiled.diagnostics}


def test_ternary_weights_are_kept_whatever_the_activations() -> None:
    codes = np.sign(bytes_(6, 3)).astype(np.float32)
    proto = model("g (float[1,6] x) => (float[1,3] y) {y=MatMul(x,w)}",
                  w=codes * np.float32(0.25))
    for data in (None, floats(8, 6)):
        compiled = ternc.compile(proto, "host", calibration_data=data)
        assert "_t2" in instructions(compiled)[0]
