"""Data that does not fit, on the command line: a clear message, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import ternc
from ternc.cli import main
from tests.test_calibrate import model

RNG = np.random.default_rng(0)
X = RNG.standard_normal((48, 16)).astype(np.float32)
_NAN = X.copy()
_NAN[7, 3] = np.nan
_LABELS = np.arange(48) % 8

# what is wrong: the arrays of the .npz, options, exit code, and what the message says
CASES: dict[str, tuple[dict[str, np.ndarray], list[str], int, tuple[str, ...]]] = {
    "shape": ({"x": X[:, :9]}, [], 1, ("TC0301", "wrong shape", "(N, 1, 16)", "(48, 9)")),
    "type": ({"x": np.full((4, 16), "a")}, [], 1, ("TC0301", "wrong type", "<U1")),
    "name": ({"sound": X}, [], 1, ("TC0301", "'sound'", "expected: 'x'")),
    "not a number": ({"x": _NAN}, [], 1, ("TC0301", "sample 7", "not a number")),
    "no samples": ({"x": X[:0]}, [], 1, ("TC0301", "no samples")),
    "blank": ({"x": 0 * X}, [], 1, ("TC0301", "0 throughout")),
    "labels of another length": ({"x": X, "labels": _LABELS[:5]}, ["--max-drop", "1"], 1,
                                 ("TC0301", "'labels': 5")),
    "labels that are no classes": ({"x": X, "labels": _LABELS + 0.5}, ["--max-drop", "1"], 2,
                                   ("TC0301", "class numbers")),
    "labels file of another length": ({"x": X}, ["--max-drop", "1", "--labels", "labels.npy"], 1,
                                      ("TC0301", "48 samples", "(5,)")),
    "limit that cannot be held": (
        {"x": X, "labels": _LABELS}, ["--max-drop", "0", "--keep", "ternary:h", "--keep",
                                      "ternary:y", "--labels", "model"], 1,
        ("TC0208", "nearest", "too much", "--max-drop")),
    "limit without data": ({}, ["--max-drop", "1"], 2, ("TC0403", "--calibration")),
    "int8 without data": ({}, ["--activations", "int8"], 2, ("TC0403", "--calibration")),
    "reconstruction without data": ({}, ["--ternarize=reconstruct"], 2,
                                    ("TC0403", "--calibration")),
}


@pytest.mark.parametrize("case", CASES)
def test_is_refused_and_nothing_is_written(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, options, code, texts = CASES[case]
    monkeypatch.chdir(tmp_path)
    np.save("labels.npy", _LABELS[:5])
    named = model()
    for node in named.graph.node:
        node.name = node.output[0]
    onnx.save(named, "model.onnx")
    if arrays:
        np.savez("data.npz", **arrays)  # type: ignore[arg-type]
        options = ["--calibration", "data.npz", *options]
    before = sorted(tmp_path.iterdir())
    assert main(["model.onnx", "-o", "out.h", "--target", "esp32c3", *options]) == code
    assert sorted(tmp_path.iterdir()) == before
    message = capsys.readouterr().err
    for text in texts:
        assert text in message, message
    assert "Traceback" not in message


def test_a_tensor_that_is_always_zero_is_named() -> None:
    """A range that follows from no value: a warning with the tensor and its node."""
    built = model()
    bias = onnx.numpy_helper.from_array(np.full(32, -1e6, np.float32), "b")
    built.graph.initializer.append(bias)
    built.graph.node[0].input.append("b")
    compiled = ternc.compile(built, "host", calibration_data=X)
    warnings = [d for d in compiled.diagnostics if d.code == "TC0202"]
    assert [d.op_type for d in warnings] == ["Relu", "Gemm"]  # and what is made of it
    assert all("is 0 in every calibration sample" in d.message and d.help for d in warnings)


def test_long_iterators_are_cut_with_a_note() -> None:
    data = (X[i % 48][None] for i in range(1100))
    compiled = ternc.compile(model(), "host", calibration_data=data, ternarize=True)
    assert [d.code for d in compiled.diagnostics if d.code == "TC0302"] == ["TC0302"]
