"""int16 activations in a few layers, where int8 ones lose more than the limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import ternc
from ternc.cli import main
from ternc.diagnostics import CompileError
from ternc.oracle import Oracle
from tests.passes.running import named_graph

F = np.float32


def _wide_input() -> tuple[ir.Model, Any]:
    """A classifier that ignores the input with the widest range, and samples of its inputs."""
    rng = np.random.default_rng(3)
    weights = (rng.standard_normal((16, 48)) / 4).astype(F)
    weights[15] = 0.0
    model = named_graph(
        "a = MatMul (x, w1)\nb = Relu (a)\nc = MatMul (b, w2)\nd = Relu (c)\ny = MatMul (d, w3)",
        "float[1,16] x", "float[1,4] y", w1=weights,
        w2=(rng.standard_normal((48, 32)) / 7).astype(F),
        w3=(rng.standard_normal((32, 4)) / 5).astype(F))
    samples = rng.standard_normal((192, 16)).astype(F)
    samples[:, 15] *= 100.0
    return model, samples


def test_int16_where_int8_activations_lose_too_much() -> None:
    """In one layer, as `--keep int16` would; what it takes is what the programs take."""
    model, samples = _wide_input()
    compiled = ternc.compile(model, calibration_data=samples, labels="model", max_drop=10.0,
                             keep={"c": "int8", "y": "int8"})
    mixed = compiled.mixed
    assert mixed is not None
    assert (mixed.chosen.int16, mixed.chosen.ternary) == (("a",), ())
    assert mixed.reference == 100.0
    assert all(p.drop > 10.0 for p in mixed.frontier if not p.int16)
    assert (mixed.confirmed.value <= 10.0) or not mixed.sure
    (only,) = mixed.widened
    assert only.gain > 10.0
    int8 = ternc.compile(model, calibration_data=samples[::2])
    same = ternc.compile(model, calibration_data=samples[::2], keep={"a": "int16"})
    assert only.arena_bytes == same.plan.arena_bytes - int8.plan.arena_bytes > 0
    assert only.flash_bytes == len(same.blob) - len(int8.blob)
    wide = [i.opcode.name for i in compiled.program.instructions if "i16" in i.opcode.name]
    assert wide == [i.opcode.name for i in same.program.instructions if "i16" in i.opcode.name]
    assert compiled.report()["mixed_precision"]["widened"] == [only.to_dict()]
    assert compiled.report()["mixed_precision"]["chosen"]["int16"] == ["a"]


def test_no_int16_where_int8_holds_or_a_layer_is_fixed() -> None:
    model, samples = _wide_input()
    held = ternc.compile(model, calibration_data=samples, labels="model", max_drop=90.0)
    assert held.mixed is not None
    assert held.mixed.widened == ()
    assert all(point.int16 == () for point in held.mixed.frontier)
    fixed: list[dict[str, Any]] = [{"keep": {"a": "int8"}}, {"activations": "int8"}]
    for options, advice in zip(fixed, ("", "--activations int16"), strict=True):
        with pytest.raises(CompileError, match="TC0208") as caught:
            ternc.compile(
                model, calibration_data=samples, labels="model", max_drop=10.0, **options)
        assert advice in caught.value.diagnostics[-1].help


def test_int16_beside_ternary_layers() -> None:
    """What the user fixed stays; and what int16 gains, ternary layers may take."""
    model, samples = _wide_input()
    data: dict[str, Any] = {"calibration_data": samples, "labels": "model"}
    forced = ternc.compile(model, **data, max_drop=20.0, keep={"y": "ternary"})
    assert forced.mixed is not None
    assert "a" in forced.mixed.chosen.int16
    assert "y" in forced.mixed.chosen.ternary
    loose = ternc.compile(model, **data, max_drop=20.0)
    assert loose.mixed is not None
    strict = ternc.compile(model, **data, max_drop=10.0)
    assert loose.mixed.chosen.ternary != ()
    assert loose.mixed.chosen.int16 == ("a",)
    assert loose.flash_bytes < strict.flash_bytes
    assert ternc.compile(model, **data, max_drop=20.0).blob == loose.blob


def test_the_quantized_model_that_is_written(tmp_path: Path) -> None:
    """It has the 16-bit tensors, and onnxruntime answers as the program does."""
    model, samples = _wide_input()
    compiled = ternc.compile(model, calibration_data=samples, labels="model", max_drop=20.0)
    assert compiled.mixed is not None
    assert compiled.mixed.chosen.ternary != ()
    assert compiled.mixed.chosen.int16 != ()
    path = tmp_path / "m.quant.onnx"
    compiled.save(path)
    written = onnx.load(path)
    types = {i.data_type for i in written.graph.initializer}
    assert {onnx.TensorProto.INT16, onnx.TensorProto.INT2} <= types
    oracle = Oracle(written)
    wanted = np.stack([oracle.run({"x": x[None]})["y"] for x in samples])
    got = np.stack([compiled.run(x[None])["y"] for x in samples])
    step = np.unique(np.abs(wanted[wanted != 0])).min()
    assert np.abs(wanted - got).max() <= 2 * step


def test_int16_on_the_command_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model, samples = _wide_input()
    path, data = tmp_path / "m.onnx", tmp_path / "d.npz"
    onnx.save(ir.to_proto(model), path)
    np.savez(data, x=samples)
    assert main([str(path), "-o", str(tmp_path / "m.h"), "--calibration", str(data),
                 "--labels", "model", "--max-drop", "10"]) == 0
    printed = capsys.readouterr().err
    assert "int16 in a alone: drop -" in printed
    assert "0 ternary; int16: a" in printed
