"""Every layer goes through tf2onnx and the compiler, stays ternary, and answers as predict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ternc.quantize import SCHEMES
from tests.qat.keras_setup import Floats, keras, noise

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        f"Keras runs on {keras.backend.backend()}; the export tests need TensorFlow",
        allow_module_level=True)
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (pip install 'ternc[keras]')")

import ternc
import ternc.qat.keras as qat

layers = keras.layers

# 200 · 100 and 160 · 90 weights are more than 100 kB in float64, which TensorFlow does not fold
MODELS: dict[str, tuple[Callable[..., list[Any]], tuple[int, ...]]] = {
    "dense": (lambda **k: [qat.TernaryDense(24, activation="relu", **k)], (40,)),
    "large_dense": (lambda **k: [
        qat.TernaryDense(100, **k), layers.BatchNormalization(), layers.ReLU(),
        qat.TernaryDense(10, **k)], (200,)),
    "tokens": (lambda **k: [qat.TernaryDense(24, **k)], (5, 40)),
    "conv1d": (lambda **k: [
        qat.TernaryConv1D(12, 3, padding="same", use_bias=False, **k),
        layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling1D(),
        qat.TernaryDense(3, **k)], (20, 6)),
    "causal": (lambda **k: [
        qat.TernaryConv1D(12, 3, padding="causal", dilation_rate=2, **k)], (20, 6)),
    "conv2d": (lambda **k: [
        qat.TernaryConv2D(90, 4, strides=2, padding="same", **k), layers.BatchNormalization(),
        layers.ReLU(), layers.MaxPooling2D(), layers.Flatten(), qat.TernaryDense(5, **k)],
        (8, 8, 10)),
    "separable": (lambda **k: [
        qat.TernaryDepthwiseConv2D(3, padding="same", **k), layers.BatchNormalization(),
        layers.ReLU(), qat.TernaryConv2D(8, 1, **k), layers.BatchNormalization(),
        layers.ReLU(), layers.GlobalAveragePooling2D(), qat.TernaryDense(4, **k)], (8, 8, 6)),
    "multiplied": (lambda **k: [
        qat.TernaryDepthwiseConv2D(3, depth_multiplier=2, **k)], (8, 8, 4)),
    "lstm": (lambda **k: [qat.TernaryLSTM(16, **k)], (7, 10)),
    "lstm_sequence": (lambda **k: [
        qat.TernaryLSTM(16, return_sequences=True, **k), qat.TernaryLSTM(8, **k)], (7, 10)),
    "gru": (lambda **k: [qat.TernaryGRU(16, **k)], (7, 10)),
    "gru_before": (lambda **k: [
        qat.TernaryGRU(16, reset_after=False, return_sequences=True, **k)], (7, 10)),
    "both_ways": (lambda **k: [layers.Bidirectional(qat.TernaryLSTM(8, **k))], (7, 10)),
    "both_ways_gru": (lambda **k: [
        layers.Bidirectional(qat.TernaryGRU(8, return_sequences=True, **k))], (7, 10)),
}
RECURRENT = {name for name in MODELS if "lstm" in name or "gru" in name or "ways" in name}
HEAVY = ("dense", "conv", "matmul", "lstm", "gru", "rnn")


def trained(kind: str, **options: Any) -> tuple[Any, Floats]:
    """A model after two steps of training, with statistics of normalization of its own."""
    keras.utils.set_random_seed(3)
    build, shape = MODELS[kind]
    model = keras.Sequential([keras.Input(shape), *build(**options)])
    optimizer = keras.optimizers.SGD(0.01)
    import tensorflow

    for step in range(2):
        with tensorflow.GradientTape() as tape:
            loss = keras.ops.mean(keras.ops.square(model(noise(8, *shape, seed=step),
                                                         training=True)))
        optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]),
                        model.trainable_variables)
    return model, noise(3, *shape, seed=5)


# Between two quantized layers a sum that lies at the border of two codes may fall to either.
ONE_CODE = 0.02


def check(
    model: Any, x: Floats, source: Any = None, *, tolerance: float = 1e-5,
) -> list[str]:
    """The instructions of the compiled model, which answers as the model does."""
    expected = model.predict(x, verbose=0)
    compiled = ternc.compile(model if source is None else source, target="esp32")
    (result,) = compiled.run(x).values()
    assert np.abs(result - expected).max() <= tolerance * np.abs(expected).max()
    used = [item.opcode.name for item in compiled.program.instructions]
    heavy = [name for name in used if name.startswith(HEAVY)]
    assert heavy
    assert all("_t2" in name for name in heavy), used
    kernels = sum(
        int(np.prod(getattr(layer.holder(), name).shape))
        for layer in model._flatten_layers() if isinstance(layer, qat.TernaryLayer)
        for name in layer.kernel_names)
    assert compiled.report()["weights"]["ternary"]["count"] == kernels
    return used


class TestCompiles:
    @pytest.mark.parametrize("kind", MODELS)
    def test_default(self, kind: str) -> None:
        check(*trained(kind))

    @pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"bitnet"}))
    @pytest.mark.parametrize("kind", ["large_dense", "conv2d", "gru"])
    def test_schemes(self, kind: str, scheme: str) -> None:
        check(*trained(kind, scheme=scheme))

    @pytest.mark.parametrize("kind", ["separable", "lstm"])
    def test_learned_scale(self, kind: str) -> None:
        check(*trained(kind, scheme="twn", learn_scale=True))

    @pytest.mark.parametrize("kind", ["large_dense", "conv2d", "lstm"])
    def test_static_activations(self, kind: str) -> None:
        check(*trained(kind, activations="static"), tolerance=ONE_CODE)

    @pytest.mark.parametrize("kind", ["dense", "large_dense"])
    def test_dynamic_activations(self, kind: str) -> None:
        assert "absmax_i8" in check(*trained(kind, activations="dynamic"))

    @pytest.mark.parametrize("options", [{}, {"scheme": "optimal"}], ids=["default", "optimal"])
    @pytest.mark.parametrize("kind", ["large_dense", "separable"])
    def test_the_export_of_keras_itself(
        self, kind: str, options: dict[str, Any], tmp_path: Path
    ) -> None:
        """The file that model.export writes compiles as the model does."""
        model, x = trained(kind, **options)
        path = tmp_path / "model.onnx"
        model.export(str(path), format="onnx", verbose=False)
        compiled = ternc.compile(path, target="esp32")
        (result,) = compiled.run(x).values()
        expected = model.predict(x, verbose=0)
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()
        assert compiled.report()["weights"]["float32"]["count"] == 0

    def test_converted_model(self) -> None:
        """Pretrained, converted with its first and last layer left, compiled."""
        keras.utils.set_random_seed(1)
        x = keras.Input((12, 12, 1))
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, name="first")(x)))
        z = layers.Conv2D(8, 3, padding="same", name="second")(y)
        z = layers.Add()([layers.BatchNormalization()(z), y])
        z = layers.Dense(4, name="last")(layers.GlobalAveragePooling2D()(z))
        model = qat.convert(keras.Model(x, z), "twn", skip=["first", "last"], verbose=False)
        images = noise(2, 12, 12, 1)
        (result,) = (compiled := ternc.compile(model, target="esp32c3")).run(images).values()
        expected = model.predict(images, verbose=0)
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()
        weights = compiled.report()["weights"]
        assert weights["ternary"]["count"] == 8 * 8 * 9
        assert weights["float32"]["count"] == 9 * 8 + 8 * 4

    def test_during_a_warm_up(self) -> None:
        """The export is ternary, whatever the share in training is."""
        model, x = trained("dense")
        model.layers[-1].blend.assign(0.5)
        check(model, x)


class TestIntegers:
    """Activations of 8 bits reach the integer kernels through tf2onnx."""

    def test_static(self) -> None:
        assert any(name.startswith("dense_i8") for name in
                   check(*trained("dense", activations="static")))

    @pytest.mark.parametrize("kind", ["conv1d", "conv2d", "separable"])
    def test_static_convolutions(self, kind: str) -> None:
        used = check(*trained(kind, activations="static"), tolerance=ONE_CODE)
        assert all(name.startswith(("dense_i8", "conv2d_i8")) for name in used
                   if name.startswith(HEAVY))

    @pytest.mark.parametrize("kind", ["tokens", "conv1d", "conv2d", "separable"])
    def test_dynamic(self, kind: str) -> None:
        tolerance = 1e-5 if kind == "tokens" else ONE_CODE
        used = check(*trained(kind, activations="dynamic"), tolerance=tolerance)
        assert "absmax_i8" in used
        assert all(name.startswith(("dense_i8f", "conv2d_i8f")) for name in used
                   if name.startswith(HEAVY))
