"""A saved program loads and answers as the compiled model does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ternc
from ternc.running import Array

MODELS = Path(__file__).parent / "models"


@pytest.mark.parametrize("name", ["gesture_cnn", "gesture_cnn_int8", "digits_mlp"])
def test_same_answers(name: str, tmp_path: Path) -> None:
    """One sample, several samples, by position and by name."""
    compiled = ternc.compile(MODELS / f"{name}.onnx", target="esp32c3")
    compiled.save(tmp_path / "model.tern")
    loaded = ternc.load(tmp_path / "model.tern")
    port = compiled.program.inputs[0]
    generator = np.random.default_rng(0)
    samples: Array = generator.normal(0, 1, (3, *port.shape[1:])).astype(np.float32)
    for inputs in (samples[:1], samples, {port.name: samples}):
        expected, got = compiled.run(inputs), loaded.run(inputs)
        assert {n: a.tobytes() for n, a in got.items()} == {
            n: a.tobytes() for n, a in expected.items()}
    loaded.reset()
    assert loaded.report()["arena_bytes"] == compiled.report()["arena_bytes"]


def test_wrong_inputs_are_told(tmp_path: Path) -> None:
    ternc.compile(MODELS / "gesture_cnn.onnx").save(tmp_path / "model.tern")
    with pytest.raises(ternc.UsageError, match="shape"):
        ternc.load(tmp_path / "model.tern").run(np.zeros((1, 2), np.float32))


def test_bad_files_are_told(tmp_path: Path) -> None:
    """Missing, foreign, and damaged in one byte."""
    with pytest.raises(ternc.CompileError, match="TC0001"):
        ternc.load(tmp_path / "absent.tern")
    (tmp_path / "other.tern").write_bytes(b"not a program")
    with pytest.raises(ternc.CompileError, match="TC0002"):
        ternc.load(tmp_path / "other.tern")
    ternc.compile(MODELS / "gesture_cnn.onnx").save(tmp_path / "model.tern")
    data = bytearray((tmp_path / "model.tern").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.tern").write_bytes(data)
    with pytest.raises(ternc.CompileError, match="TC0002"):
        ternc.load(tmp_path / "bad.tern")
