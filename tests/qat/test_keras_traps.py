"""What a Keras model has from training, and what its exporter would make of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.qat.keras_setup import Floats, keras, noise

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        f"Keras runs on {keras.backend.backend()}; the export tests need TensorFlow",
        allow_module_level=True)
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (pip install 'ternc[keras]')")

import ternc
import ternc.qat.keras as qat
from ternc.diagnostics import CompileError, UsageError

layers = keras.layers


def model_of(shape: tuple[int, ...], *stack: Any, batch: int | None = None) -> Any:
    return keras.Sequential([keras.Input(shape, batch_size=batch), *stack])


def check(model: Any, x: Floats, expected: Any = None, **options: Any) -> list[str]:
    """The instructions of the compiled model, which answers as Keras does."""
    if expected is None:
        expected = model.predict(x, verbose=0, batch_size=1)
    compiled = ternc.compile(model, **options)
    answers = compiled.run(x).values()
    for given, wanted in zip(answers, keras.tree.flatten(expected), strict=True):
        assert np.abs(given - wanted).max() <= 1e-5 * np.abs(wanted).max()
    return [item.opcode.name for item in compiled.program.instructions]


ARGUMENTS: dict[str, tuple[Callable[[], Any], tuple[int, ...], str]] = {
    "groups_1d": (lambda: qat.TernaryConv1D(12, 3, groups=3), (20, 6), "conv2d_f32_t2"),
    "groups_2d": (lambda: qat.TernaryConv2D(12, 3, groups=3), (8, 8, 6), "conv2d_f32_t2"),
    "plain_groups": (lambda: layers.Conv2D(12, 3, groups=2), (8, 8, 6), "conv2d_f32"),
    "dilated": (lambda: qat.TernaryConv2D(6, 3, dilation_rate=2, padding="same"), (12, 12, 4),
                "conv2d_f32_t2"),
    "channels_first": (lambda: qat.TernaryConv2D(
        6, 3, data_format="channels_first", padding="same"), (4, 8, 8), "conv2d_f32_t2"),
    "depthwise_dilated": (lambda: qat.TernaryDepthwiseConv2D(
        3, dilation_rate=2, padding="same"), (12, 12, 4), "conv2d_f32_t2"),
    "causal_stride": (lambda: qat.TernaryConv1D(
        12, 3, strides=2, padding="causal"), (20, 6), "conv2d_f32_t2"),
    "backwards": (lambda: qat.TernaryLSTM(8, go_backwards=True), (7, 10), "lstm_f32_t2"),
    "gru_backwards": (lambda: qat.TernaryGRU(
        8, go_backwards=True, return_sequences=True), (7, 10), "gru_f32_t2"),
    "no_bias": (lambda: qat.TernaryGRU(8, use_bias=False), (7, 10), "gru_f32_t2"),
    "dropout": (lambda: qat.TernaryLSTM(8, dropout=0.3, recurrent_dropout=0.3), (7, 10),
                "lstm_f32_t2"),
    "simple": (lambda: layers.SimpleRNN(8), (7, 10), "rnn_f32"),
    "summed": (lambda: layers.Bidirectional(qat.TernaryGRU(8), merge_mode="sum"), (7, 10),
               "gru_f32_t2"),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_arguments_of_layers(kind: str) -> None:
    keras.utils.set_random_seed(1)
    make, shape, kernel = ARGUMENTS[kind]
    assert kernel in check(model_of(shape, make()), noise(3, *shape))


@pytest.mark.parametrize("layer", [qat.TernaryLSTM, qat.TernaryGRU, layers.SimpleRNN])
def test_batch_of_one(layer: Any) -> None:
    """tf2onnx writes a loop for it."""
    used = check(model_of((7, 10), layer(8), batch=1), noise(3, 7, 10))
    assert sum("copy" not in name for name in used) == 1


def test_unrolled() -> None:
    check(model_of((3, 10), qat.TernaryLSTM(4, unroll=True)), noise(3, 3, 10))


def test_states_in_and_out() -> None:
    x, h, c = keras.Input((7, 10)), keras.Input((8,)), keras.Input((8,))
    model = keras.Model([x, h, c], qat.TernaryLSTM(8, return_state=True)(x, initial_state=[h, c]))
    feeds = [noise(1, 7, 10), noise(1, 8, seed=1), noise(1, 8, seed=2)]
    expected = model.predict(feeds, verbose=0)
    names = [port.name for port in model.inputs]
    answers = ternc.compile(model).run(dict(zip(names, feeds, strict=True))).values()
    for given, wanted in zip(answers, expected, strict=True):
        np.testing.assert_allclose(given, wanted, atol=1e-6)


class TestStateful:
    def model(self, **options: Any) -> Any:
        keras.utils.set_random_seed(1)
        return model_of(
            (4, 5), qat.TernaryLSTM(8, stateful=True, return_sequences=True),
            qat.TernaryGRU(3, **options), batch=1)

    def test_keeps_its_states(self) -> None:
        model, x = self.model(stateful=True), noise(3, 4, 5)
        expected = model.predict(x, verbose=0, batch_size=1)
        for layer in model.layers:
            layer.reset_state()
        compiled = ternc.compile(model)
        (given,) = compiled.run(x).values()
        np.testing.assert_allclose(given, expected, atol=1e-6)
        (again,) = compiled.run(x[:1]).values()
        assert np.abs(again - given[:1]).max() > 1e-4
        compiled.reset()
        (afresh,) = compiled.run(x[:1]).values()
        np.testing.assert_array_equal(afresh, given[:1])
        assert all(layer.stateful for layer in model.layers)

    def test_asked_not_to(self) -> None:
        model, x = self.model(stateful=True), noise(1, 4, 5)
        compiled = ternc.compile(model, stateful=False)
        (first,), (second,) = compiled.run(x).values(), compiled.run(x).values()
        np.testing.assert_array_equal(first, second)

    def test_only_some(self) -> None:
        with pytest.raises(CompileError, match=r"'ternary_lstm\w*' is stateful and") as caught:
            ternc.compile(self.model())
        assert caught.value.diagnostics[0].code == "TC0008"


class TestPrecision:
    def model(self, policy: str, last: Any) -> Any:
        keras.utils.set_random_seed(2)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            inner = model_of((6, 6, 6), qat.TernaryConv2D(6, 3), layers.BatchNormalization(),
                             layers.ReLU())
            return model_of((8, 8, 4), layers.Conv2D(6, 3), inner, layers.Reshape((4, 24)),
                            layers.Bidirectional(qat.TernaryGRU(4)), last())
        finally:
            keras.config.set_dtype_policy(before)

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_mixed(self, policy: str) -> None:
        """The program is that of the float32 weights, without casts; the model stays mixed."""
        def last() -> Any:
            return qat.TernaryDense(4)

        model, plain, x = self.model(policy, last), self.model("float32", last), noise(3, 8, 8, 4)
        plain.set_weights(model.get_weights())
        policies = [layer.dtype_policy.name for layer in model._flatten_layers()]
        check(model, x, plain.predict(x, verbose=0))
        assert [layer.dtype_policy.name for layer in model._flatten_layers()] == policies
        assert keras.backend.standardize_dtype(model(x).dtype) == policy.removeprefix("mixed_")

    def test_weights_in_half_precision(self) -> None:
        model = model_of((5,), qat.TernaryDense(4, dtype="float16", name="half"))
        with pytest.raises(CompileError, match="'half' has weights in float16") as caught:
            ternc.compile(model)
        assert caught.value.diagnostics[0].code == "TC0104"


@pytest.mark.parametrize("layer", [qat.TernaryLSTM, qat.TernaryGRU])
def test_mask(layer: Any) -> None:
    model = model_of((7, 10), layers.Masking(), layer(8, name="memory"))
    with pytest.raises(CompileError, match=r"'memory' .* gets a mask") as caught:
        ternc.compile(model)
    assert caught.value.diagnostics[0].code == "TC0008"
    assert "Masking" in caught.value.diagnostics[0].help


def test_dense_over_time_is_one_layer() -> None:
    keras.utils.set_random_seed(1)
    over = layers.TimeDistributed(qat.TernaryDense(8))
    model = model_of((7, 10), over)
    assert check(model, noise(3, 7, 10)) == ["dense_f32_t2"]
    assert "call" not in over.__dict__


def test_convolution_over_time() -> None:
    check(model_of((3, 8, 8, 2), layers.TimeDistributed(qat.TernaryConv2D(4, 3))),
          noise(2, 3, 8, 8, 2))


@pytest.mark.parametrize("name", [
    "elu", "selu", "softplus", "softsign", "mish", "silu", "log_sigmoid", "exponential",
    "tanh_shrink", "hard_silu", "hard_sigmoid", "squareplus", "celu", "hard_shrink",
    "soft_shrink",
])  # fmt: skip
def test_activation(name: str) -> None:
    check(model_of((9,), layers.Dense(8, activation=name), layers.Dense(4)), noise(3, 9))


class TestGelu:
    def test_is_one_instruction(self, capfd: pytest.CaptureFixture[str]) -> None:
        """tf2onnx writes it with TensorFlow's Erfc, and says so."""
        keras.utils.set_random_seed(1)
        used = check(model_of((9,), qat.TernaryDense(5, activation="gelu")), noise(3, 9))
        assert used == ["dense_f32_t2", "gelu_f32"]
        assert "Erfc" not in capfd.readouterr().err

    def test_in_a_file_of_keras(self, tmp_path: Path) -> None:
        model, x = model_of((9,), layers.Dense(5, activation="gelu")), noise(3, 9)
        expected = model.predict(x, verbose=0)
        model.export(str(tmp_path / "model.onnx"), format="onnx", verbose=False)
        compiled = ternc.compile(tmp_path / "model.onnx", activations="float32")
        (given,) = compiled.run(x).values()
        np.testing.assert_allclose(given, expected, atol=1e-6)
        assert "gelu_f32" in [item.opcode.name for item in compiled.program.instructions]

    def test_exported_file_is_valid(self, tmp_path: Path) -> None:
        model = model_of((9,), layers.Dense(5, activation="gelu"))
        ternc.export(model, tmp_path / "model.onnx")
        onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)


def test_attention() -> None:
    """A block of a transformer as Keras users write it."""
    keras.utils.set_random_seed(1)
    x = keras.Input((6, 16))
    y = layers.LayerNormalization()(x)
    y = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y)])
    z = qat.TernaryDense(32, activation="gelu")(layers.LayerNormalization()(y))
    model = keras.Model(x, layers.Add()([y, qat.TernaryDense(16)(z)]))
    assert check(model, noise(2, 6, 16)).count("dense_f32_t2") == 2


def test_masked_attention_in_integers() -> None:
    """Keras's mask is -1e9, which must not become a part of the scores' range."""
    keras.utils.set_random_seed(0)
    x = keras.Input((10, 16))
    model = keras.Model(x, layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True))
    data = noise(64, 10, 16)
    expected = model.predict(data, verbose=0)
    compiled = ternc.compile(model, calibration_data=data)
    given = np.concatenate([next(iter(compiled.run(sample[None]).values())) for sample in data])
    assert np.square(given - expected).mean() < 1e-2 * np.square(expected).mean()


class TestConstants:
    """Tensors that are no weights."""

    def test_normalization(self) -> None:
        adapted = layers.Normalization()
        adapted.adapt(3 * noise(50, 6) + 1)
        given = layers.Normalization(mean=np.arange(6.0), variance=np.arange(1.0, 7.0))
        for first in (adapted, given):
            model = model_of((6,), first, qat.TernaryDense(4))
            mean = first.mean
            assert "dense_f32_t2" in check(model, noise(2, 6))
            assert first.mean is mean

    def test_a_tensor_out_of_reach(self) -> None:
        class Scaled(keras.layers.Layer):  # type: ignore[misc, name-defined, unused-ignore]
            def __init__(self) -> None:
                super().__init__()
                self.constants = {"scale": keras.ops.convert_to_tensor([1.0, 2.0, 3.0])}

            def call(self, x: Any) -> Any:
                return x * self.constants["scale"]

        with pytest.raises(CompileError, match="has inputs that the model has not") as caught:
            ternc.compile(model_of((3,), Scaled(), qat.TernaryDense(4)))
        assert "numpy array or a weight" in str(caught.value)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_embedding(dtype: str) -> None:
    model = keras.Sequential([
        keras.Input((6,), dtype=dtype), layers.Embedding(10, 8), qat.TernaryLSTM(4)])
    codes = np.random.default_rng(0).integers(0, 10, (2, 6)).astype(dtype)
    assert "lstm_f32_t2" in check(model, codes)


def test_named_inputs_and_outputs() -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    both = layers.Concatenate()([left, right])
    model = keras.Model({"left": left, "right": right}, qat.TernaryDense(3)(both))
    feeds = {"left": noise(1, 4), "right": noise(1, 3)}
    (given,) = ternc.compile(model).run(feeds).values()
    np.testing.assert_allclose(given, model.predict(feeds, verbose=0), atol=1e-6)


def test_training_mode_is_left_out() -> None:
    """Dropout does nothing, normalization uses its moving statistics, and none of it changes."""
    model = model_of((6,), qat.TernaryDense(8), layers.BatchNormalization(), layers.Dropout(0.5),
                     layers.GaussianNoise(1.0), qat.TernaryDense(3))
    model.compile("sgd", "mse")
    model.fit(noise(32, 6), noise(32, 3), verbose=0)
    before = model.get_weights()
    assert check(model, noise(3, 6)) == ["dense_f32_t2", "dense_f32_t2"]
    for given, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(given, expected)


def test_example_inputs_that_do_not_fit() -> None:
    model = model_of((6,), qat.TernaryDense(8, name="entrance"))
    with pytest.raises(UsageError, match=r"example inputs of shape \(1, 5\)") as caught:
        ternc.compile(model, example_inputs=(noise(1, 5),))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "TC0403"
    assert "expected axis -1 of input shape to have value 6" in diagnostic.message
