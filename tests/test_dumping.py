"""What a compilation leaves for looking at: the model after each pass, and the program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from ternc.cli import main
from ternc.diagnostics import Diagnostics
from ternc.dumping import QUANTIZE, model_text, pass_names
from ternc.oracle import Oracle
from ternc.verify_passes import PassVerifier
from tests.making import MODELS, dense, saved

GESTURE = MODELS / "gesture_cnn.onnx"


def test_dump_after_a_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(dense(), tmp_path)
    assert main([str(model), "-o", str(tmp_path / "m.h"), "-q", "--dump-after", "simplify"]) == 0
    text = capsys.readouterr().err
    assert text.startswith("--- after simplify\n")
    assert text.count("--- after") == 1
    assert "y = Relu(h)" in text


def test_dump_after_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = [str(GESTURE), "-o", str(tmp_path / "m.h"), "-q", "--dump-after=all",
                 "--calibration", str(MODELS / "gesture.npz")]
    assert main(arguments) == 0
    found = [line.removeprefix("--- after ") for line in capsys.readouterr().err.splitlines()
             if line.startswith("--- after ")]
    assert list(dict.fromkeys(found)) == pass_names()
    assert found[-1] == QUANTIZE


def test_save_temps(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "temps"
    arguments = [str(GESTURE), "-o", str(tmp_path / "m.tern"), "-q", "--save-temps", str(folder),
                 "--calibration", str(MODELS / "gesture.npz")]
    assert main(arguments) == 0
    names = sorted(path.name for path in folder.iterdir())
    models = [name for name in names if name.endswith(".onnx")]
    assert models == sorted(models)
    assert models[0] == "01-repair.onnx"
    assert models[-1].endswith("-quantize.onnx")
    assert (folder / "program.tern").read_bytes() == (tmp_path / "m.tern").read_bytes()
    assert "conv2d" in (folder / "program.txt").read_text()
    assert "peak:" in (folder / "plan.txt").read_text()
    assert (folder / "plan.svg").read_text().startswith("<svg")
    sample = {"motion": np.zeros((1, 3, 64), np.float32)}
    float_model = Oracle(onnx.load(folder / models[-2])).run(sample)["scores"]
    np.testing.assert_allclose(float_model, Oracle(onnx.load(GESTURE)).run(sample)["scores"],
                               atol=1e-5)


def test_what_cannot_be_dumped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(dense(), tmp_path)
    output = str(tmp_path / "m.h")
    assert main([str(model), "-o", output, "--dump-after=simplifi"]) == 2
    text = capsys.readouterr().err
    assert "TC0403" in text
    assert "did you mean 'simplify'" in text
    assert main([str(model), "-o", output, "--save-temps", str(model)]) == 2
    assert "[TC0007]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_other_commands_dump_too(tmp_path: Path) -> None:
    model = saved(dense(), tmp_path)
    for command in ("validate", "inspect"):
        folder = tmp_path / command
        assert main([command, str(model), "-q", "--save-temps", str(folder)]) == 0
        assert (folder / "program.txt").exists()


def test_long_weights_are_left_out() -> None:
    model = dense(inputs=64, outputs=64)
    text = model_text(ir.from_proto(model))
    assert "FLOAT 64x64\n" in text
    assert len(text) < 1000


def test_the_verifier_names_the_first_node() -> None:
    before = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        net (float[1,4] x) => (float[1,4] y) {
          [a] p = Tanh(x)
          [b] q = Sigmoid(p)
          [c] r = Neg(q)
          [d] y = Exp(r)
        }""")
    after = onnx.ModelProto()
    after.CopyFrom(before)
    after.graph.node[1].op_type = "Relu"
    diagnostics = Diagnostics()
    PassVerifier(before, diagnostics)("breaks", ir.from_proto(after))
    (found,) = diagnostics.errors
    assert (found.code, found.node, found.op_type) == ("TC0206", "b", "Relu")
    assert "'breaks'" in found.message
