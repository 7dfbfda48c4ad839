"""Networks that accuracy.py trained keep their accuracy through the compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ternc

MODELS = Path(__file__).parents[1] / "models" / "trained"
DATA = Path(__file__).parents[3] / "shared" / "data"


def right(compiled: ternc.CompiledModel, x: Any, y: Any) -> int:
    """Samples whose largest score is at their label."""
    scores = [next(iter(compiled.run(sample[None]).values())) for sample in x]
    return sum(int(score.argmax()) == label for score, label in zip(scores, y, strict=True))


def test_mnist() -> None:
    if not (DATA / "mnist" / "mnist.npz").exists():
        pytest.skip(f"needs MNIST in {DATA}")
    with np.load(DATA / "mnist" / "mnist.npz") as data:
        x, calibration = (data[name][:1000, None].astype(np.float32) / 255 for name in
                          ("x_test", "x_train"))
        y = data["y_test"][:1000]
    compiled = ternc.compile(
        MODELS / "mnist_ternary.onnx", target="esp32", calibration_data=calibration[:256])
    weights = compiled.report()["weights"]
    assert weights["ternary"]["count"] == 31680
    assert weights["int8"]["count"] == 684
    assert weights["ternary"]["bytes"] + weights["int8"]["bytes"] <= 11_500
    assert right(compiled, x, y) >= 995


def test_spoken_digits() -> None:
    pytest.importorskip("torch", reason="the data is read into tensors (pip install torch)")
    if not (DATA / "fsdd" / "fsdd.npz").exists():
        pytest.skip(f"needs the spoken digits in {DATA}")
    from tests.examples.datasets import fsdd

    data = fsdd(DATA)
    compiled = ternc.compile(MODELS / "fsdd_gru_ternary.onnx", target="esp32",
                             calibration_data=data.x[:256].numpy())
    weights = compiled.report()["weights"]
    assert weights["ternary"]["count"] == 3 * 64 * (32 + 64)
    assert weights["int8"]["count"] == 640
    assert right(compiled, data.x_test.numpy(), data.y_test.tolist()) >= 294
