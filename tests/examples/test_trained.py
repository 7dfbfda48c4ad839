"""A network that accuracy.py trained keeps its accuracy through the compiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ternc

MODEL = Path(__file__).parents[1] / "models" / "trained" / "mnist_ternary.onnx"
DATA = Path(__file__).parents[3] / "shared" / "data" / "mnist" / "mnist.npz"


@pytest.fixture(scope="module")
def digits() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    if not DATA.exists():
        pytest.skip(f"needs MNIST at {DATA}")
    data = np.load(DATA)
    return {name: data[name] for name in ("x_train", "x_test", "y_test")}


def test_mnist(digits: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> None:
    x, calibration = (digits[name][:, None].astype(np.float32) / 255 for name in
                      ("x_test", "x_train"))
    compiled = ternc.compile(MODEL, target="esp32", calibration_data=calibration[:256])
    weights = compiled.report()["weights"]
    assert weights["ternary"]["count"] == 34560
    assert weights["int8"]["count"] == 784
    scores = [next(iter(compiled.run(image[None]).values())) for image in x[:1000]]
    right = sum(int(score.argmax()) == label
                for score, label in zip(scores, digits["y_test"][:1000], strict=True))
    assert right >= 990
