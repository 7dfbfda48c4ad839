"""Every layer is Keras's own with ternary kernels in it: forward, saved, loaded, cloned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.qat.keras_setup import Floats, answer, gradients, keras, noise, numpy

import ternc.qat.keras as qat  # isort: skip

ROOT = Path(__file__).resolve().parents[2]

LAYERS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "dense": ("Dense", {"units": 6, "activation": "relu"}, (10,)),
    "tokens": ("Dense", {"units": 6, "use_bias": False}, (5, 10)),
    "conv1d": ("Conv1D", {"filters": 6, "kernel_size": 3, "strides": 2}, (12, 4)),
    "causal": ("Conv1D", {"filters": 6, "kernel_size": 3, "padding": "causal",
                          "dilation_rate": 2}, (12, 4)),
    "conv2d": ("Conv2D", {"filters": 6, "kernel_size": (3, 2), "padding": "same",
                          "activation": "tanh"}, (7, 7, 3)),
    "dilated": ("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2}, (9, 9, 3)),
    "depthwise": ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2}, (9, 9, 4)),
    "multiplied": ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2,
                                       "use_bias": False}, (9, 9, 4)),
    "lstm": ("LSTM", {"units": 5}, (6, 3)),
    "lstm_sequence": ("LSTM", {"units": 5, "return_sequences": True, "go_backwards": True,
                               "activation": "relu"}, (6, 3)),
    "lstm_split": ("LSTM", {"units": 5, "implementation": 1, "use_bias": False}, (6, 3)),
    "lstm_unrolled": ("LSTM", {"units": 5, "unroll": True}, (6, 3)),
    "gru": ("GRU", {"units": 5}, (6, 3)),
    "gru_before": ("GRU", {"units": 5, "reset_after": False, "return_sequences": True}, (6, 3)),
}


def built(kind: str, **options: Any) -> tuple[Any, Any, Floats]:
    """A float layer with random biases, its ternary form, and an input."""
    keras.utils.set_random_seed(4)
    name, arguments, shape = LAYERS[kind]
    layer = getattr(keras.layers, name)(**arguments)
    x = noise(2, *shape)
    layer(x)
    for index, variable in enumerate(layer.weights):
        if variable.name == "bias":
            variable.assign(noise(*variable.shape, seed=index))
    return layer, getattr(qat, f"Ternary{name}").from_float(layer, **options), x


def model_of(kind: str, **options: Any) -> tuple[Any, Floats]:
    _, ternary, x = built(kind, **options)
    return keras.Sequential([keras.Input(x.shape[1:]), ternary]), x


class Holder(keras.Model):  # type: ignore[misc, unused-ignore]
    """A model of the user's own class, with one layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def call(self, x: Any) -> Any:
        return self.layer(x)


class TestForward:
    @pytest.mark.parametrize("kind", LAYERS)
    @pytest.mark.parametrize("scheme", ["bitnet", "twn"])
    def test_is_that_of_keras_with_the_ternary_kernels(self, kind: str, scheme: str) -> None:
        layer, ternary, x = built(kind, scheme=scheme)
        owner = ternary.holder()
        for name in ternary.kernel_names:
            np.testing.assert_array_equal(
                numpy(getattr(owner, name)), numpy(getattr(getattr(layer, "cell", layer), name)))
        float_answer = answer(layer, x)
        for name in ternary.kernel_names:
            getattr(getattr(layer, "cell", layer), name).assign(ternary.used(name))
        given = answer(ternary, x)
        np.testing.assert_allclose(given, answer(layer, x), atol=1e-6)
        assert np.abs(given - float_answer).max() > 1e-3
        np.testing.assert_allclose(numpy(ternary(x, training=True)), given, atol=1e-6)

    @pytest.mark.parametrize("kind", LAYERS)
    def test_kernels_stay_float_variables(self, kind: str) -> None:
        _, ternary, x = built(kind)
        before = [numpy(v) for v in ternary.weights]
        answer(ternary, x)
        owner = ternary.holder()
        for name in ternary.kernel_names:
            assert isinstance(getattr(owner, name), keras.Variable)
        for given, expected in zip(ternary.weights, before, strict=True):
            np.testing.assert_array_equal(numpy(given), expected)

    def test_kernels_stay_variables_after_a_failure(self) -> None:
        _, ternary, _ = built("conv2d")
        with pytest.raises(ValueError, match=r"(?i)incompatible|shape|rank"):
            ternary(noise(2, 7, 7, 5))
        assert isinstance(ternary.kernel, keras.Variable)

    def test_initial_state_and_returned_states(self) -> None:
        layer = qat.TernaryLSTM(4, return_state=True)
        x, states = noise(2, 5, 3), [noise(2, 4, seed=1), noise(2, 4, seed=2)]
        y, h, c = layer(x, initial_state=[keras.ops.convert_to_tensor(s) for s in states])
        assert y.shape == h.shape == c.shape == (2, 4)
        assert np.abs(numpy(y) - numpy(layer(x)[0])).max() > 1e-3

    def test_stateful(self) -> None:
        layer = qat.TernaryGRU(4, stateful=True)
        x = keras.ops.convert_to_tensor(noise(2, 5, 3))
        first, second = numpy(layer(x)), numpy(layer(x))
        assert np.abs(first - second).max() > 1e-4
        layer.reset_state()
        np.testing.assert_allclose(numpy(layer(x)), first, atol=1e-6)

    def test_masking(self) -> None:
        keras.utils.set_random_seed(4)
        model = keras.Sequential([
            keras.Input((6, 3)), keras.layers.Masking(), qat.TernaryLSTM(4)])
        x = noise(1, 6, 3)
        x[:, 4:] = 0
        shorter = answer(model, x[:, :4])
        np.testing.assert_allclose(answer(model, x), shorter, atol=1e-6)

    def test_mixed_precision(self) -> None:
        """Codes are those of the float32 kernel, whatever the layer computes in."""
        plain, x = model_of("dense", scheme="lsq")
        half = qat.TernaryDense.from_config(
            {**plain.layers[-1].get_config(), "dtype": "mixed_float16"})
        half.build(x.shape)
        half.set_weights(plain.layers[-1].get_weights())
        given = half(x)
        assert keras.backend.standardize_dtype(given.dtype) == "float16"
        np.testing.assert_array_equal(half.ternary()[0], plain.layers[-1].ternary()[0])
        np.testing.assert_allclose(numpy(given), answer(plain, x), atol=2e-2)


class TestActivations:
    def test_dynamic_is_per_token(self) -> None:
        layer = qat.TernaryDense(3, activations="dynamic")
        assert layer.activations == "int8_dynamic"
        x = np.array([[[1.0, -2.0, 0.3, 0.0], [100.0, 7.0, -3.0, 1.0]]], np.float32)
        step = np.abs(x).max(-1, keepdims=True) / 127
        np.testing.assert_allclose(
            numpy(layer.quantized_input(x)), np.round(x / step) * step, rtol=1e-5)

    def test_dynamic_is_per_sample_in_convolutions(self) -> None:
        layer = qat.TernaryConv1D(3, 1, activations="int8_dynamic")
        x = noise(2, 5, 3)
        step = np.abs(x).max((1, 2), keepdims=True) / 127
        np.testing.assert_allclose(
            numpy(layer.quantized_input(x)), np.round(x / step) * step, rtol=1e-5, atol=1e-7)

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_dynamic_of_zeros(self, dtype: str) -> None:
        layer = qat.TernaryDense(3, use_bias=False, activations="dynamic")
        assert not numpy(layer.quantized_input(np.zeros((2, 4), dtype))).any()

    def gradient(self, layer: Any, x: Floats, upstream: Floats, *variables: Any) -> list[Floats]:
        """For the input, and for variables of the layer."""
        given = keras.Variable(x)
        factor = keras.ops.convert_to_tensor(upstream)
        return gradients(
            lambda: keras.ops.sum(
                layer.quantized_input(keras.ops.convert_to_tensor(given), training=True)
                * factor), [given, *variables])

    def test_dynamic_gradient_is_straight_through(self) -> None:
        layer = qat.TernaryDense(3, activations="dynamic")
        upstream = noise(2, 4, seed=1)
        np.testing.assert_array_equal(
            self.gradient(layer, noise(2, 4), upstream)[0], upstream)

    def test_static_step_starts_from_the_first_batch_in_training(self) -> None:
        layer = qat.TernaryDense(3, activations="static")
        x = noise(8, 4)
        layer(x)
        assert float(layer.activation_start) < 0  # inference leaves it
        layer(x, training=True)
        first = float(layer.activation_start)
        assert first == pytest.approx(2 * np.abs(x).mean() / 127**0.5, rel=1e-6)
        layer(x * 5, training=True)
        assert float(layer.activation_start) == first

    def test_static_before_any_training_still_computes(self) -> None:
        layer = qat.TernaryDense(3, activations="static")
        layer.build((None, 4))
        x = np.array([[1.0, -20.0, 0.04, 0.0]], np.float32)
        np.testing.assert_allclose(
            numpy(layer.quantized_input(x)), [[1.0, -8.0, 0.0625, 0.0]], rtol=1e-6)

    def test_static_gradients_are_those_of_lsq(self) -> None:
        layer = qat.TernaryDense(3, activations="static")
        layer.build((None, 4))
        layer.activation_start.assign(0.01)
        x = np.array([[0.5, -3.0, 0.004, 2.0]], np.float32)
        np.testing.assert_allclose(
            numpy(layer.quantized_input(x)), np.clip(np.round(x / 0.01), -128, 127) * 0.01,
            rtol=1e-5)
        upstream = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
        to_x, to_step = self.gradient(layer, x, upstream, layer.activation_offset)
        assert to_x.tolist() == [[1.0, 0.0, 3.0, 0.0]]
        slope = np.array([0.0, -128.0, 0 - 0.4, 127.0])
        assert to_step == pytest.approx((slope * upstream).sum() / (127 * 4) ** 0.5, rel=1e-4)

    def test_a_static_step_that_overshot_finds_back(self) -> None:
        """It counts as eps, and its gradient still reaches it."""
        layer = qat.TernaryDense(3, activations="static")
        layer.build((None, 4))
        layer.activation_offset.assign(-1.0)
        x = noise(2, 4)
        assert np.abs(numpy(layer.quantized_input(x))).max() <= 128 * 1.001e-6
        _, to_step = self.gradient(layer, x, x, layer.activation_offset)
        assert to_step > 0

    @pytest.mark.parametrize("kind", ["conv2d", "depthwise", "lstm"])
    @pytest.mark.parametrize("activations", ["int8_dynamic", "int8_static"])
    def test_in_every_kind_of_layer(self, kind: str, activations: str) -> None:
        layer, ternary, x = built(kind, activations=activations)
        ternary(x, training=True)
        for name in ternary.kernel_names:
            getattr(getattr(layer, "cell", layer), name).assign(ternary.used(name))
        expected = answer(layer, numpy(ternary.quantized_input(x)))
        np.testing.assert_allclose(answer(ternary, x), expected, atol=1e-6)


class TestSaving:
    @pytest.mark.parametrize("kind", ["dense", "causal", "conv2d", "multiplied", "lstm", "gru"])
    @pytest.mark.parametrize("options", [
        {}, {"scheme": "twn", "learn_scale": True}, {"scheme": "lsq", "activations": "static"}],
        ids=["default", "learned", "static"])
    def test_a_file_and_back(self, kind: str, options: dict[str, Any], tmp_path: Path) -> None:
        model, x = model_of(kind, **options)
        model.layers[-1](x, training=True)  # a static step
        for variable in model.trainable_variables:
            variable.assign(noise(*variable.shape, seed=9, scale=0.3) + 0.5)
        path = tmp_path / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        assert type(loaded.layers[-1]) is type(model.layers[-1])
        assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
        for given, expected in zip(loaded.weights, model.weights, strict=True):
            np.testing.assert_array_equal(numpy(given), numpy(expected))
        np.testing.assert_array_equal(answer(loaded, x), answer(model, x))

    def test_loads_in_a_new_process_without_custom_objects(self, tmp_path: Path) -> None:
        model, x = model_of("gru", scheme="paretoq")
        model.save(tmp_path / "model.keras")
        code = ("import numpy, keras, ternc.qat.keras\n"
                f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r})\n"
                f"x = numpy.load({str(tmp_path / 'x.npy')!r})\n"
                "y = keras.ops.convert_to_numpy(model(x))\n"
                f"numpy.save({str(tmp_path / 'y.npy')!r}, y)")
        np.save(tmp_path / "x.npy", x)
        subprocess.run(
            [sys.executable, "-c", code], check=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), answer(model, x), atol=1e-6)

    def test_a_warm_up_is_not_saved(self, tmp_path: Path) -> None:
        model, _ = model_of("dense")
        model.layers[-1].blend.assign(0.25)
        model.save(tmp_path / "model.keras")
        assert float(keras.saving.load_model(tmp_path / "model.keras").layers[-1].blend) == 1.0

    @pytest.mark.parametrize("kind", ["dense", "conv1d"])
    def test_weights_of_the_float_model_load(self, kind: str, tmp_path: Path) -> None:
        """Where Keras looks for them by attribute; a learned scale starts from the kernel."""
        layer, _, x = built(kind)
        plain, other = Holder(layer), Holder(built(kind, scheme="twn", learn_scale=True)[1])
        for model in (plain, other):
            model(x)
        plain.save_weights(tmp_path / "float.weights.h5")
        for variable in other.trainable_variables:
            variable.assign(variable * 0 + 7)
        other.load_weights(tmp_path / "float.weights.h5")
        expected = type(other.layer).from_float(layer, "twn", learn_scale=True)
        np.testing.assert_allclose(answer(other, x), answer(expected, x), atol=1e-6)

    def test_recurrent_weights_of_the_float_model(self, tmp_path: Path) -> None:
        layer, ternary, x = built("lstm", scheme="twn")
        plain, other = Holder(layer), Holder(ternary)
        learned = Holder(qat.TernaryLSTM.from_float(layer, learn_scale=True))
        for model in (plain, other, learned):
            model(x)
        expected = answer(other, x)
        plain.save_weights(tmp_path / "float.weights.h5")
        ternary.cell.kernel.assign(ternary.cell.kernel * 0)
        other.load_weights(tmp_path / "float.weights.h5")
        np.testing.assert_allclose(answer(other, x), expected, atol=1e-6)
        with pytest.raises(ValueError, match="no scales for layer"):
            learned.load_weights(tmp_path / "float.weights.h5")

    def test_weights_that_do_not_fit(self, tmp_path: Path) -> None:
        model, _ = model_of("tokens")
        model.save_weights(tmp_path / "some.weights.h5")
        other = keras.Sequential([keras.Input((5, 10)), qat.TernaryDense(6)])
        with pytest.raises(ValueError, match="2 variables and its checkpoint 1"):
            other.load_weights(tmp_path / "some.weights.h5")

    @pytest.mark.parametrize("kind", ["dense", "conv2d", "lstm"])
    def test_clone(self, kind: str) -> None:
        model, x = model_of(kind, scheme="median", learn_scale=True)
        clone = keras.models.clone_model(model)
        assert clone.layers[-1] is not model.layers[-1]
        clone.set_weights(model.get_weights())
        np.testing.assert_array_equal(answer(clone, x), answer(model, x))

    def test_json(self) -> None:
        model, _ = model_of("conv1d", scheme="twn", activations="dynamic")
        layer = keras.models.model_from_json(model.to_json()).layers[-1]
        assert (layer.scheme, layer.activations, layer.kernel_size) == (
            "twn", "int8_dynamic", (3,))

    def test_bidirectional(self, tmp_path: Path) -> None:
        model = keras.Sequential([
            keras.Input((6, 3)), keras.layers.Bidirectional(qat.TernaryGRU(4, scheme="twn"))])
        x = noise(2, 6, 3)
        assert type(model.layers[-1].backward_layer) is qat.TernaryGRU
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(answer(loaded, x), answer(model, x))


def test_reset_scales() -> None:
    layer = qat.TernaryLSTM(4, scheme="twn", learn_scale=True)
    layer.build((None, 5, 3))
    before = numpy(layer.recurrent_kernel_scale)
    layer.cell.recurrent_kernel.assign(layer.cell.recurrent_kernel * 2)
    layer.reset_scales()
    np.testing.assert_allclose(numpy(layer.recurrent_kernel_scale), 2 * before, rtol=1e-6)


def test_keras_quantization_leaves_ternary_layers() -> None:
    layer = qat.TernaryDense(4)
    layer.build((None, 3))
    with pytest.raises(NotImplementedError):
        layer.quantize("int8")
