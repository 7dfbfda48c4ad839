"""One scheme, two frameworks: the same codes, scales and gradients from the same weights.

Runs where PyTorch is installed beside Keras, on whatever backend Keras has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ternc.quantize import SCHEMES
from tests.qat.keras_setup import Floats, gradients, keras, noise, numpy

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed (pip install 'ternc[torch]')")

import ternc.qat.keras as keras_qat  # noqa: E402
import ternc.qat.torch as torch_qat  # noqa: E402

if keras.backend.backend() == "jax":
    pytest.skip("Keras on JAX computes codes in float32: other ties", allow_module_level=True)

OPTIONS = [(scheme, learn) for scheme in SCHEMES for learn in (False, True)]


def pair(weights: Floats, scheme: str, **options: Any) -> tuple[Any, Any]:
    """The dense layers of both frameworks with the same weights, (outputs, inputs)."""
    linear = torch.nn.Linear(weights.shape[1], len(weights), bias=False)
    plain = keras.layers.Dense(len(weights), use_bias=False)
    plain.build((None, weights.shape[1]))
    plain.kernel.assign(np.ascontiguousarray(weights.T))
    ours = keras_qat.TernaryDense.from_float(plain, scheme, **options)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights))
    return ours, torch_qat.BitLinear.from_linear(linear, scheme, **options)


@pytest.mark.parametrize(("scheme", "learn_scale"), OPTIONS)
def test_codes_and_scales(scheme: str, learn_scale: bool) -> None:
    for seed in range(5):
        ours, theirs = pair(noise(9, 31, seed=seed), scheme, learn_scale=learn_scale)
        (codes, scale), (their_codes, their_scale) = ours.ternary(), theirs.ternary()
        np.testing.assert_array_equal(codes.T, their_codes.numpy())
        np.testing.assert_allclose(scale, their_scale.numpy(), rtol=2e-7)


@pytest.mark.parametrize("activations", ["none", "int8_dynamic", "int8_static"])
@pytest.mark.parametrize(("scheme", "learn_scale"), OPTIONS)
def test_answers_and_gradients(scheme: str, learn_scale: bool, activations: str) -> None:
    ours, theirs = pair(
        noise(5, 16), scheme, learn_scale=learn_scale, activations=activations)
    x, upstream = noise(4, 16, seed=1), noise(4, 5, seed=2)
    y = theirs(torch.from_numpy(x))
    (y * torch.from_numpy(upstream)).sum().backward()
    given = keras.Variable(x)
    numpy(ours(x, training=True))  # sets the static step, which a gradient tape may not
    names = ["kernel", *(["kernel_scale"] if learn_scale else []),
             *(["activation_offset"] if activations == "int8_static" else [])]
    found = gradients(
        lambda: keras.ops.sum(ours(keras.ops.convert_to_tensor(given), training=True)
                              * keras.ops.convert_to_tensor(upstream)),
        [getattr(ours, name) for name in names])
    np.testing.assert_allclose(
        numpy(ours(x, training=True)), y.detach().numpy(), rtol=1e-4, atol=1e-5)
    expected = [theirs.weight.grad.numpy().T]
    if learn_scale:
        expected.append(theirs.weight_scale.grad.numpy())
    if activations == "int8_static":
        expected.append(theirs.activation.step.grad.numpy())
    for gradient, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_scales(kind: str, scheme: str) -> None:
    """Gate rows are in another order; per-tensor scales and each gate's rows are the same."""
    theirs = getattr(torch_qat, f"Ternary{kind}")(3, 4, batch_first=True, scheme=scheme)
    ours = getattr(keras_qat, f"Ternary{kind}")(4, scheme=scheme)
    ours.build((None, 5, 3))
    for mine, name in (("kernel", "weight_ih_l0"), ("recurrent_kernel", "weight_hh_l0")):
        weight = getattr(theirs, name).detach().numpy()
        getattr(ours.cell, mine).assign(np.ascontiguousarray(weight.T))
    ours.reset_scales()
    for mine, name in (("kernel", "weight_ih_l0"), ("recurrent_kernel", "weight_hh_l0")):
        np.testing.assert_allclose(
            numpy(ours.used(mine)).T, theirs.used(name).detach().numpy(), rtol=2e-7)


def test_distillation() -> None:
    student, teacher = noise(6, 4, seed=1), noise(6, 4, seed=2)
    labels = np.array([0, 1, 2, 3, 0, 1])
    expected = torch_qat.distill(
        torch.from_numpy(student), torch.from_numpy(teacher), torch.from_numpy(labels),
        temperature=3.0, weight=0.3)
    given = keras_qat.distill(
        *(keras.ops.convert_to_tensor(item) for item in (student, teacher, labels)),
        temperature=3.0, weight=0.3)
    assert float(numpy(given)) == pytest.approx(float(expected), rel=1e-5)
