"""Ternary weights as Keras 3 and tf2onnx leave them: always folded, kernels transposed.

    python -m tests.models.detection.export_keras
    python -m tests.models.detection.strip tests/models/detection/keras_*.onnx
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

HERE = Path(__file__).parent


def ternary(weight: Any, axes: tuple[int, ...]) -> Any:
    """Absmean over `axes`, with a straight-through estimator."""
    scale = ops.mean(ops.abs(weight), axis=axes, keepdims=True)
    quantized = ops.clip(ops.round(weight / scale), -1, 1) * scale
    return weight + ops.stop_gradient(quantized - weight)


class TernaryDense(keras.layers.Dense):  # type: ignore[misc, unused-ignore]
    """One scale for the tensor."""

    def call(self, inputs: Any) -> Any:
        """x W + b."""
        return ops.add(ops.matmul(inputs, ternary(self.kernel, (0, 1))), self.bias)


class TernaryConv2D(keras.layers.Conv2D):  # type: ignore[misc, unused-ignore]
    """One scale per output channel."""

    def call(self, inputs: Any) -> Any:
        """Convolution and bias."""
        kernel = ternary(self.kernel, (0, 1, 2))
        return ops.add(ops.conv(inputs, kernel, padding="valid"), self.bias)


def main() -> None:
    """Writes keras_folded.onnx."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((6, 6, 3)), TernaryConv2D(5, 3), keras.layers.BatchNormalization(),
        keras.layers.ReLU(), keras.layers.Flatten(), TernaryDense(7)])
    norm = model.layers[1]
    generator = np.random.default_rng(0)
    norm.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in norm.get_weights()])
    model(np.zeros((1, 6, 6, 3), np.float32))
    model.export(HERE / "keras_folded.onnx", format="onnx", verbose=False)


if __name__ == "__main__":
    main()
