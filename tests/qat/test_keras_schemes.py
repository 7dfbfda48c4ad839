"""The schemes in keras.ops: the numbers of ternc.quantize, and each paper's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.quantize import SCHEMES
from ternc.quantize import ternarize as reference
from tests.qat.keras_setup import Floats, answer, gradients, keras, noise, numpy

import ternc.qat.keras as qat  # isort: skip

WIDE = keras.backend.backend() != "jax"
STRAIGHT = ["bitnet", "bitnet_channel", "twn", "median", "optimal"]


def layer(weights: Floats, scheme: str, learn_scale: bool | None = None) -> Any:
    """A dense layer whose kernel is `weights`, given as (outputs, inputs)."""
    made = keras.layers.Dense(len(weights), use_bias=False)
    made.build((None, weights.shape[1]))
    made.kernel.assign(weights.T)
    return qat.TernaryDense.from_float(made, scheme, learn_scale=learn_scale)


class TestSameNumbers:
    @pytest.mark.skipif(not WIDE, reason="JAX computes in float32: other ties")
    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("learn_scale", [None, False, True])
    @settings(max_examples=8, deadline=None)
    @given(shape=st.tuples(st.integers(1, 9), st.integers(1, 40)), seed=st.integers(0, 2**32 - 1))
    def test_random(self, scheme: str, learn_scale: bool | None, shape: tuple[int, int],
                    seed: int) -> None:
        weights = noise(*shape, seed=seed, scale=0.1)
        codes, scale = layer(weights, scheme, learn_scale).ternary()
        expected = reference(weights, scheme)
        np.testing.assert_array_equal(codes.T, expected.codes)
        # compared as weights: where all codes are 0 the scale has no effect
        np.testing.assert_allclose(
            codes.T * scale.reshape(-1, 1), expected.dequantize(), rtol=2e-7)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_ties_and_zeros(self, scheme: str) -> None:
        weights = np.array(
            [[8, 8, 8, 8], [0, 0, 0, 0], [32, 16, -16, 0], [-8, 0, 0, 0]], np.float32)
        codes, _ = layer(weights, scheme, False).ternary()
        np.testing.assert_array_equal(codes.T, reference(weights, scheme).codes)

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize(("kind", "options", "shape"), [
        ("TernaryConv1D", {"filters": 5, "kernel_size": 3}, (1, 9, 4)),
        ("TernaryConv2D", {"filters": 5, "kernel_size": 3}, (1, 7, 7, 3)),
        ("TernaryDepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, (1, 7, 7, 3)),
    ])
    def test_convolutions(self, kind: str, options: dict[str, Any], shape: tuple[int, ...],
                          scheme: str) -> None:
        made = getattr(qat, kind)(scheme=scheme, **options)
        made.build(shape)
        kernel = numpy(made.kernel)
        channels = 6 if kind == "TernaryDepthwiseConv2D" else 5
        expected = reference(kernel.reshape(-1, channels), scheme, axis=1)
        codes, scale = made.ternary()
        assert codes.shape == kernel.shape
        assert scale.shape == ((channels,) if SCHEMES[scheme].per_channel else ())
        np.testing.assert_array_equal(codes.reshape(-1, channels), expected.codes)
        np.testing.assert_allclose(
            numpy(made.used()).reshape(-1, channels), expected.dequantize(), rtol=2e-7)

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("kind", ["TernaryLSTM", "TernaryGRU"])
    def test_recurrent(self, kind: str, scheme: str) -> None:
        """One scale per gate row, or one per kernel."""
        made = getattr(qat, kind)(5, scheme=scheme)
        made.build((None, 6, 3))
        for name in ("kernel", "recurrent_kernel"):
            expected = reference(numpy(getattr(made.cell, name)), scheme, axis=1)
            np.testing.assert_array_equal(made.ternary(name)[0], expected.codes)
            np.testing.assert_allclose(
                numpy(made.used(name)), expected.dequantize(), rtol=2e-7)

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("training", [False, True])
    def test_the_kernel_in_use_is_exactly_ternary(self, scheme: str, training: bool) -> None:
        made = layer(noise(8, 30), scheme)
        codes, scale = made.ternary()
        np.testing.assert_array_equal(numpy(made.used(training=training)), codes * scale)


class TestGradients:
    weights = np.array([[0.9, -0.4, 0.1, 0.35], [0.05, -1.2, 0.7, -0.2]], np.float32)
    upstream = np.array([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 2.0, 7.0]], np.float32)

    def found(self, made: Any, *, training: bool = True) -> list[Floats]:
        """Gradients for the kernel, as (outputs, inputs), and for the scale."""
        variables = [made.kernel, *([made.kernel_scale] if made.learn_scale else [])]
        upstream = keras.ops.convert_to_tensor(np.ascontiguousarray(self.upstream.T))
        kernel, *scale = gradients(
            lambda: keras.ops.sum(made.used(training=training) * upstream), variables)
        return [kernel.T, *scale]

    @pytest.mark.parametrize("scheme", STRAIGHT)
    @pytest.mark.parametrize("training", [False, True])
    def test_straight_through(self, scheme: str, training: bool) -> None:
        (kernel,) = self.found(layer(self.weights, scheme), training=training)
        np.testing.assert_array_equal(kernel, self.upstream)

    @pytest.mark.parametrize("scheme", STRAIGHT)
    def test_learned_scale(self, scheme: str) -> None:
        made = layer(self.weights, scheme, True)
        _, scale = self.found(made)
        sums = (made.ternary()[0].T * self.upstream).sum(1)
        expected = sums / 4**0.5 if SCHEMES[scheme].per_channel else sums.sum() / 8**0.5
        np.testing.assert_allclose(scale, expected, rtol=1e-6)

    def test_lsq(self) -> None:
        """Equations 3 and 5 of the paper, and its g = 1 / sqrt(N · Qp)."""
        kernel, scale = self.found(layer(self.weights, "lsq"))
        ratio = self.weights / (2 * np.abs(self.weights).mean())
        inside = np.abs(ratio) < 1
        np.testing.assert_allclose(kernel, self.upstream * inside)
        slope = np.where(inside, np.round(ratio) - ratio, np.sign(ratio))
        np.testing.assert_allclose(scale, (slope * self.upstream).sum() / 8**0.5, rtol=1e-5)

    def test_paretoq(self) -> None:
        kernel, scale = self.found(layer(self.weights, "paretoq"))
        ratio = self.weights / np.abs(self.weights).max(1, keepdims=True)
        inside = np.abs(ratio) < 0.99
        np.testing.assert_allclose(kernel, self.upstream * inside)
        slope = np.where(inside, np.round(ratio * 1.5) / 1.5 - ratio, np.sign(ratio))
        np.testing.assert_allclose(scale, (slope * self.upstream).sum(1) / 4**0.5, rtol=1e-5)

    def test_a_scale_below_eps_is_used_as_eps_and_still_learned(self) -> None:
        made = layer(self.weights, "bitnet", True)
        made.kernel_scale.assign(-1.0)
        np.testing.assert_allclose(
            numpy(made.used()), made.ternary()[0] * np.float32(1e-6), rtol=1e-6)
        assert self.found(made)[1] != 0

    @pytest.mark.parametrize("learn_scale", [False, True])
    def test_recurrent_kernels(self, learn_scale: bool) -> None:
        made = qat.TernaryGRU(4, learn_scale=learn_scale)
        made.build((2, 5, 3))
        x = keras.ops.convert_to_tensor(noise(2, 5, 3))
        found = gradients(
            lambda: keras.ops.sum(made(x, training=True)), made.trainable_variables)
        assert len(found) == 3 + 2 * learn_scale
        assert all(np.abs(gradient).max() > 0 for gradient in found)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_learns(self, scheme: str) -> None:
        keras.utils.set_random_seed(1)
        x = noise(128, 16)
        target = x @ (np.random.default_rng(1).integers(-1, 2, (16, 4)) * 0.3).astype(np.float32)
        model = keras.Sequential([
            keras.Input((16,)), qat.TernaryDense(4, scheme=scheme, learn_scale=True)])
        model.compile(keras.optimizers.Adam(0.02), "mse")
        before = float(((answer(model, x) - target) ** 2).mean())
        losses = model.fit(x, target, epochs=30, batch_size=32, verbose=0).history["loss"]
        assert min(losses[-5:]) < before / 2


class TestBadInput:
    def test_unknown_scheme_names_the_known(self) -> None:
        with pytest.raises(ValueError, match=r"unknown scheme 'absmax'.*bitnet.*paretoq"):
            qat.TernaryDense(4, scheme="absmax")

    def test_unknown_activations(self) -> None:
        with pytest.raises(ValueError, match=r"unknown activations 'int4'.*int8_dynamic"):
            qat.TernaryConv1D(4, 3, activations="int4")

    @pytest.mark.parametrize("eps", [0.0, -1.0, float("nan")])
    def test_eps(self, eps: float) -> None:
        with pytest.raises(ValueError, match="eps must be above 0"):
            qat.TernaryDense(4, eps=eps)

    def test_lora(self) -> None:
        with pytest.raises(ValueError, match="no LoRA"):
            qat.TernaryDense(4, lora_rank=2)

    def test_converting_twice(self) -> None:
        with pytest.raises(ValueError, match="ternary already"):
            qat.TernaryDense.from_float(qat.TernaryDense(4))

    def test_converting_another_type(self) -> None:
        with pytest.raises(TypeError, match="replaces Dense, not Conv1D"):
            qat.TernaryDense.from_float(keras.layers.Conv1D(4, 3))
