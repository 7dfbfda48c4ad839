"""Conversion of whole models, the warm-up, the distillation loss, training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.qat.keras_setup import answer, gradients, keras, noise, numpy

import ternc.qat.keras as qat  # isort: skip
from ternc.quantize import ternarize as reference

layers = keras.layers


def sequential() -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([
        keras.Input((8, 8, 1)), layers.Conv2D(4, 3, name="stem"), layers.BatchNormalization(),
        layers.ReLU(), layers.DepthwiseConv2D(3, name="depth"), layers.Conv2DTranspose(4, 2),
        layers.Flatten(), layers.Dense(16, activation="relu", name="hidden"),
        layers.Dense(10, name="head")], name="net")


def functional() -> Any:
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 3))
    shared = layers.Dense(3, name="shared")
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="last")], name="inner")
    y = layers.Add()([shared(x), shared(shared(x))])
    y = layers.Conv1D(4, 3, name="conv")(y)
    y = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both")(y)
    y = layers.TimeDistributed(layers.Dense(3), name="each")(y)
    y = layers.GRU(3, name="gru")(y)
    return keras.Model(x, inner(y))


class TestConvert:
    def test_says_what_it_did(self, capsys: pytest.CaptureFixture[str]) -> None:
        model = qat.convert(sequential(), "twn", skip=["stem", "head"])
        done = model.conversion
        assert dict(done.converted) == {
            "depth": "TernaryDepthwiseConv2D", "hidden": "TernaryDense"}
        assert dict(done.skipped) == {"stem": "skip='stem'", "head": "skip='head'"}
        assert list(done.unsupported.values()) == ["Conv2DTranspose"]
        printed = capsys.readouterr().out
        assert printed == f"{done}\n"
        assert "hidden: ternary (TernaryDense)" in printed
        assert ": left as it was (Conv2DTranspose)" in printed
        assert model.get_layer("hidden").scheme == "twn"

    def test_quietly(self, capsys: pytest.CaptureFixture[str]) -> None:
        qat.convert(sequential(), verbose=False)
        assert not capsys.readouterr().out

    def test_weights_are_copied(self) -> None:
        """The copy answers as the model whose kernels were ternarized by hand."""
        model = sequential()
        x = noise(3, 8, 8, 1)
        model(x, training=True)  # moves the statistics of the normalization
        model.get_layer("stem").bias.assign(noise(4))
        plain = answer(model, x)
        made = qat.convert(model, "bitnet_channel", verbose=False)
        np.testing.assert_array_equal(answer(model, x), plain)
        for name, shape in (("stem", (9, 4)), ("depth", (9, 4)), ("hidden", (-1, 16)),
                            ("head", (16, 10))):
            kernel = model.get_layer(name).kernel
            ternary = reference(numpy(kernel).reshape(shape), "bitnet_channel", axis=1)
            kernel.assign(ternary.dequantize().reshape(kernel.shape))
        np.testing.assert_allclose(answer(made, x), answer(model, x), atol=1e-5)
        assert np.abs(plain - answer(model, x)).max() > 1e-3

    def test_training_the_copy_leaves_the_model(self) -> None:
        model, x = sequential(), noise(4, 8, 8, 1)
        before = answer(model, x)
        made = qat.convert(model, verbose=False)
        made.compile("sgd", "mse")
        made.fit(x, noise(4, 10), verbose=0)
        np.testing.assert_array_equal(answer(model, x), before)

    def test_functional_nested_shared_and_wrapped(self) -> None:
        model = functional()
        x = noise(2, 6, 3)
        made = qat.convert(model, "twn", verbose=False)
        assert dict(made.conversion.converted) == {
            "shared": "TernaryDense", "conv": "TernaryConv1D", "both": "TernaryLSTM",
            "each": "TernaryDense", "gru": "TernaryGRU", "inner/last": "TernaryDense"}
        assert not made.conversion.unsupported
        assert len([item for item in made.layers if item.name == "shared"]) == 1
        both, expected = made.get_layer("both"), model.get_layer("both")
        for direction in ("forward_layer", "backward_layer"):
            given = getattr(both, direction)
            assert type(given) is qat.TernaryLSTM
            np.testing.assert_array_equal(
                numpy(given.cell.kernel), numpy(getattr(expected, direction).cell.kernel))
        assert answer(made, x).shape == (2, 4)
        for layer in made._flatten_layers():
            if isinstance(layer, qat.TernaryLayer):
                for name in layer.kernel_names:
                    variable = getattr(layer.holder(), name)
                    variable.assign(layer.used(name))
                    original = next(
                        v for v in model.weights if v.path.split("/")[-3:] ==
                        variable.path.split("/")[-3:] and v.shape == variable.shape)
                    original.assign(variable)
        np.testing.assert_allclose(answer(made, x), answer(model, x), atol=1e-5)

    def test_operations_between_layers(self) -> None:
        """keras.ops in a functional model, an index among them, are no layers."""
        keras.utils.set_random_seed(0)
        x = keras.Input((4, 6))
        y = keras.ops.transpose(layers.Dense(8)(x), (0, 2, 1))
        model = keras.Model(x, layers.Dense(3)(keras.ops.softmax(y[:, 1] * 2)))
        made, given = qat.convert(model, verbose=False), noise(2, 4, 6)
        assert len(made.conversion.converted) == 2
        for layer, converted in zip(
                [item for item in model.layers if item.weights],
                [item for item in made.layers if item.weights], strict=True):
            layer.kernel.assign(converted.used())
        np.testing.assert_allclose(answer(made, given), answer(model, given), atol=1e-6)

    @pytest.mark.parametrize("skip", [
        layers.Dense, [layers.Dense], "h*", lambda name, layer: isinstance(layer, layers.Dense)],
        ids=["type", "types", "pattern", "function"])
    def test_skip(self, skip: Any) -> None:
        done = qat.convert(sequential(), skip=skip, verbose=False).conversion
        assert set(done.converted) == {"stem", "depth"}
        assert set(done.skipped) == {"hidden", "head"}

    def test_skip_inside(self) -> None:
        done = qat.convert(functional(), skip=["inner", "both"], verbose=False).conversion
        assert set(done.skipped) == {"inner/last", "both"}
        done = qat.convert(functional(), skip=layers.LSTM, verbose=False).conversion
        assert set(done.skipped) == {"both"}

    def test_layers_that_were_changed_before(self) -> None:
        model = sequential()
        model.get_layer("hidden").quantize("int8")
        model.get_layer("head").enable_lora(2)
        done = qat.convert(model, skip="depth", verbose=False).conversion
        assert done.skipped["hidden"] == "is quantized to int8"
        assert done.skipped["head"] == "has LoRA weights"

    def test_subclasses_are_left(self) -> None:
        class Own(keras.layers.Dense):  # type: ignore[misc, name-defined, unused-ignore]
            pass

        model = keras.Sequential([keras.Input((3,)), Own(4, name="own"), layers.Dense(2)])
        assert dict(qat.convert(model, verbose=False).conversion.unsupported) == {"own": "Own"}

    def test_unbuilt_model(self) -> None:
        made = qat.convert(keras.Sequential([layers.Dense(3), layers.Dense(2)]), verbose=False)
        assert [type(layer) for layer in made.layers] == [qat.TernaryDense] * 2
        assert made(noise(2, 4)).shape == (2, 2)

    def test_model_built_by_its_first_call(self) -> None:
        model = keras.Sequential([layers.Dense(3, use_bias=False)])
        x = noise(2, 4)
        model(x)
        made = qat.convert(model, verbose=False)
        np.testing.assert_allclose(
            answer(made, x), x @ reference(numpy(model.layers[0].kernel)).dequantize(),
            atol=1e-6)

    def test_twice(self) -> None:
        model = qat.convert(sequential(), skip="head", verbose=False)
        again = qat.convert(model, verbose=False)
        assert dict(again.conversion.converted) == {"head": "TernaryDense"}
        assert again.conversion.skipped["stem"] == "is a TernaryConv2D already"
        with pytest.raises(ValueError, match="ternary already"):
            qat.convert(again)

    @pytest.mark.parametrize("options", [
        {"scheme": "nope"}, {"skip": "nope"}, {"activations": "nope"}])
    def test_unknown_arguments(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="nope"):
            qat.convert(sequential(), **options)

    def test_unknown_scheme_names_the_known(self) -> None:
        with pytest.raises(ValueError, match=r"one of bitnet, .*paretoq expected"):
            qat.convert(sequential(), "nope")

    def test_not_a_graph_of_layers(self) -> None:
        class Own(keras.Model):  # type: ignore[misc, unused-ignore]
            def call(self, x: Any) -> Any:
                return x

        with pytest.raises(ValueError, match="ternary layers in its constructor"):
            qat.convert(Own())
        with pytest.raises(TypeError, match=r"TernaryDense\.from_float"):
            qat.convert(layers.Dense(3))
        with pytest.raises(TypeError, match="not a int"):
            qat.convert(3)

    def test_converted_model_saves(self, tmp_path: Path) -> None:
        made, x = qat.convert(functional(), verbose=False), noise(2, 6, 3)
        made.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(answer(loaded, x), answer(made, x))


@pytest.mark.parametrize("options", [
    {"activations": "static"}, {"scheme": "paretoq", "learn_scale": True}],
    ids=["static", "learned"])
def test_compiled_by_xla(options: dict[str, Any]) -> None:
    """Training through the backend's compiler ends where training without it does."""
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch's compiler is not XLA")
    x, y = noise(32, 8, 3), noise(32, 2)
    ends = []
    for jit in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([
            keras.Input((8, 3)), qat.TernaryConv1D(4, 3, **options), layers.Flatten(),
            qat.TernaryDense(2, **options)])
        model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit)
        model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    for given, expected in zip(*ends, strict=True):
        np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)


class TestWarmup:
    def model(self) -> Any:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([
            keras.Input((4,)), qat.TernaryDense(3, scheme="twn"), qat.TernaryDense(2)])
        model.compile("sgd", "mse")
        return model

    def test_share(self) -> None:
        warmup = qat.Warmup(4, delay=2)
        shares = []
        for warmup.done in range(8):
            shares.append(warmup.share)
        assert shares == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]
        cosine = qat.Warmup(4, shape="cosine")
        cosine.done = 1
        assert cosine.share == pytest.approx((1 - np.cos(np.pi / 4)) / 2)

    def test_blends_in_training_only(self) -> None:
        layer = self.model().layers[0]
        layer.blend.assign(0.25)
        codes, scale = layer.ternary()
        np.testing.assert_array_equal(numpy(layer.used()), codes * scale)
        np.testing.assert_allclose(
            numpy(layer.used(training=True)), 0.75 * numpy(layer.kernel) + 0.25 * codes * scale,
            rtol=1e-5)
        layer.blend.assign(0.0)
        np.testing.assert_array_equal(numpy(layer.used(training=True)), numpy(layer.kernel))

    def test_during_fit(self) -> None:
        """The schedule goes on over epochs and calls of fit, and the training follows it."""
        model, warmup, seen = self.model(), qat.Warmup(8), []

        def look(batch: int, logs: Any) -> None:
            getattr(model, "jax_state_sync", bool)()
            seen.append(float(model.layers[1].blend))

        watch = keras.callbacks.LambdaCallback(on_train_batch_end=look)
        x, y = noise(12, 4), noise(12, 2)
        for _ in range(2):
            model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[warmup, watch])
        np.testing.assert_allclose(seen, np.minimum(np.arange(1, 13) / 8, 1))

    def test_first_batch_of_a_warm_up_is_float(self) -> None:
        x, y = noise(8, 4), noise(8, 2)
        model = self.model()
        plain = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
        plain.compile("sgd", "mse")
        for given, made in zip(plain.layers, model.layers, strict=True):
            given.set_weights([numpy(made.kernel), numpy(made.bias)])
        options: dict[str, Any] = {"batch_size": 8, "verbose": 0}
        expected = plain.fit(x, y, **options).history["loss"]
        given = model.fit(x, y, **options, callbacks=[qat.Warmup(5)]).history["loss"]
        assert given == pytest.approx(expected, rel=1e-5)

    def test_bad_arguments(self) -> None:
        with pytest.raises(ValueError, match="at least 1 and 0"):
            qat.Warmup(0)
        with pytest.raises(ValueError, match="linear or cosine"):
            qat.Warmup(3, shape="square")  # type: ignore[arg-type]

    def test_without_ternary_layers(self) -> None:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match="no ternary layer"):
            model.fit(noise(4, 4), noise(4, 2), verbose=0, callbacks=[qat.Warmup(3)])


def softmax(x: Any) -> Any:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


class TestDistill:
    student, teacher = noise(5, 3, seed=1), noise(5, 3, seed=2)
    labels = np.array([0, 2, 1, 1, 0])

    def loss(self, *arguments: Any, **options: Any) -> float:
        given = [keras.ops.convert_to_tensor(item) for item in arguments]
        return float(numpy(qat.distill(*given, **options)))

    def test_formula(self) -> None:
        soft, target = softmax(self.student / 3), softmax(self.teacher / 3)
        divergence = (target * np.log(target / soft)).sum(-1).mean() * 9
        entropy = -np.log(softmax(self.student)[np.arange(5), self.labels]).mean()
        assert self.loss(self.student, self.teacher, temperature=3) == pytest.approx(
            divergence, rel=1e-5)
        expected = 0.2 * divergence + 0.8 * entropy
        one_hot = np.eye(3, dtype=np.float32)[self.labels]
        for labels in (self.labels, self.labels[:, None], one_hot):
            given = self.loss(self.student, self.teacher, labels, temperature=3, weight=0.2)
            assert given == pytest.approx(expected, rel=1e-5)

    def test_probabilities(self) -> None:
        """Logits are known up to a constant, which the loss does not see."""
        given = self.loss(
            softmax(self.student), softmax(self.teacher), self.labels, from_logits=False)
        assert given == pytest.approx(
            self.loss(self.student, self.teacher, self.labels), rel=1e-4)

    def test_no_gradient_to_the_teacher(self) -> None:
        pair = [keras.Variable(self.student), keras.Variable(self.teacher)]
        student, teacher = gradients(
            lambda: qat.distill(*(keras.ops.convert_to_tensor(v) for v in pair)), pair)
        assert np.abs(student).max() > 0
        assert not teacher.any()

    def test_bad_arguments(self) -> None:
        with pytest.raises(ValueError, match=r"\(5, 3\).*\(5, 2\)"):
            qat.distill(self.student, self.teacher[:, :2])
        with pytest.raises(ValueError, match="temperature=0"):
            qat.distill(self.student, self.teacher, temperature=0)
        with pytest.raises(ValueError, match="weight=2"):
            qat.distill(self.student, self.teacher, weight=2)
        with pytest.raises(TypeError, match="student is a Dense: the network's outputs"):
            qat.distill(layers.Dense(2), self.teacher)

    def test_distiller(self) -> None:
        keras.utils.set_random_seed(0)
        teacher = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
        student = keras.Sequential([
            keras.Input((4,)), layers.Dense(8, "relu"), qat.TernaryDense(3)])
        trainer = qat.Distiller(student, teacher, temperature=1.0, weight=0.9)
        trainer.compile(keras.optimizers.Adam(0.02), metrics=["accuracy"])
        x = noise(96, 4)
        y = answer(teacher, x).argmax(1)
        kept = [numpy(v) for v in teacher.weights]
        history = trainer.fit(
            x, y, batch_size=32, epochs=12, verbose=0, callbacks=[qat.Warmup(6)]).history
        assert history["loss"][-1] < history["loss"][0] * 0.7
        assert "accuracy" in history
        for given, expected in zip(teacher.weights, kept, strict=True):
            np.testing.assert_array_equal(numpy(given), expected)
        assert len(trainer.trainable_variables) == len(student.trainable_variables)

    def test_distiller_has_no_sample_weights(self) -> None:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
        trainer = qat.Distiller(model, model)
        trainer.compile("sgd")
        with pytest.raises(ValueError, match="no sample weights"):
            trainer.fit(noise(4, 4), np.zeros(4), sample_weight=np.ones(4), verbose=0)


@pytest.mark.parametrize("activations", ["none", "dynamic", "static"])
def test_fit_reduces_the_loss(activations: str) -> None:
    """A converted network with convolution, normalization and recurrence learns a toy problem."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((8, 3)), layers.Conv1D(8, 3, padding="same"), layers.BatchNormalization(),
        layers.ReLU(), layers.GRU(8), layers.Dense(2)])
    made = qat.convert(model, "twn", activations=activations, verbose=False)
    made.compile(keras.optimizers.Adam(0.02),
                 keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = noise(96, 8, 3)
    y = (x[:, :, 0].sum(1) > 0).astype(np.int32)
    losses = made.fit(
        x, y, batch_size=32, epochs=25, verbose=0, callbacks=[qat.Warmup(9)]).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    if activations == "static":
        steps = [v for v in made.non_trainable_variables if v.name == "activation_start"]
        assert len(steps) == 3
        assert all(float(step) > 0 for step in steps)
