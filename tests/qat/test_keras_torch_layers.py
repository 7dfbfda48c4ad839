"""Convolutions and recurrent layers of both frameworks: the same answers and gradients.

The dense layers, and what all layers share, are in test_keras_torch_agree.py.
"""

from __future__ import annotations

from collections.abc import Callable
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

# type in Keras, arguments, input, type in PyTorch, and a kernel of Keras in PyTorch's axes
CONVOLUTIONS: dict[str, tuple[dict[str, Any], tuple[int, ...], Callable[[], Any],
                              Callable[[Floats], Floats]]] = {
    "Conv1D": ({"filters": 6, "kernel_size": 3}, (2, 7, 4),
               lambda: torch.nn.Conv1d(4, 6, 3, bias=False), lambda k: k.transpose(2, 1, 0)),
    "Conv2D": ({"filters": 6, "kernel_size": (3, 2)}, (2, 5, 6, 4),
               lambda: torch.nn.Conv2d(4, 6, (3, 2), bias=False),
               lambda k: k.transpose(3, 2, 0, 1)),
    "DepthwiseConv2D": ({"kernel_size": 3, "depth_multiplier": 2}, (2, 5, 6, 4),
                        lambda: torch.nn.Conv2d(4, 8, 3, groups=4, bias=False),
                        lambda k: k.transpose(2, 3, 0, 1).reshape(8, 1, 3, 3)),
}


def rows(count: int, order: tuple[int, ...]) -> Callable[[Floats], Floats]:
    """A function that puts gate rows, along the last axis, in another order of the gates."""
    def changed(array: Floats) -> Floats:
        gates = np.split(array, count, axis=-1)
        return np.concatenate([gates[gate] for gate in order], axis=-1)

    return changed


# PyTorch's gates of a GRU are reset, update, new, Keras's update, reset, new
CELLS = {"LSTM": rows(4, (0, 1, 2, 3)), "GRU": rows(3, (1, 0, 2))}


def compare(
    ours: Any, theirs: Any, x: Floats, given: Any, back: Callable[[Any], Floats],
    pairs: list[tuple[Any, Any, Callable[[Floats], Floats]]],
) -> None:
    """Answers, and the gradients of a loss for pairs of variables, ours turned into theirs."""
    answer = theirs(given)
    answer = answer[0] if isinstance(answer, tuple) else answer
    (answer * answer).sum().backward()
    np.testing.assert_allclose(
        numpy(ours(x, training=True)), back(answer), rtol=1e-4, atol=1e-5)
    found = gradients(
        lambda: keras.ops.sum(keras.ops.square(ours(x, training=True))),
        [mine for mine, _, _ in pairs])
    for gradient, (_, parameter, turned) in zip(found, pairs, strict=True):
        wanted = parameter.grad.numpy()
        assert np.abs(wanted).max() > 0
        np.testing.assert_allclose(
            turned(gradient), wanted, rtol=2e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize(("scheme", "learn_scale"), OPTIONS)
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolutions(kind: str, scheme: str, learn_scale: bool) -> None:
    arguments, shape, make, turned = CONVOLUTIONS[kind]
    keras.utils.set_random_seed(5)
    plain, x = getattr(keras.layers, kind)(use_bias=False, **arguments), noise(*shape)
    plain.build(shape)
    plain.kernel.assign(noise(*plain.kernel.shape, seed=1, scale=0.3))
    ours = getattr(keras_qat, f"Ternary{kind}").from_float(
        plain, scheme, learn_scale=learn_scale)
    module = make()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(turned(numpy(plain.kernel)))))
    theirs = getattr(torch_qat, f"Ternary{type(module).__name__}").from_conv(
        module, scheme, learn_scale=learn_scale)
    pairs = [(ours.kernel, theirs.weight, turned)]
    if learn_scale:
        pairs.append((ours.kernel_scale, theirs.weight_scale, lambda gradient: gradient))
    compare(ours, theirs, x, torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1))),
            lambda answer: np.moveaxis(answer.detach().numpy(), 1, -1), pairs)


@pytest.mark.parametrize(("scheme", "learn_scale"), OPTIONS)
@pytest.mark.parametrize("kind", CELLS)
def test_recurrent(kind: str, scheme: str, learn_scale: bool) -> None:
    options: dict[str, Any] = {"unit_forget_bias": False} if kind == "LSTM" else {}
    plain = getattr(keras.layers, kind)(4, return_sequences=True, **options)
    plain.build((2, 5, 3))
    module = getattr(torch.nn, kind)(3, 4, batch_first=True)
    reorder = CELLS[kind]
    with torch.no_grad():
        for index, (mine, name) in enumerate(
                (("kernel", "weight_ih_l0"), ("recurrent_kernel", "weight_hh_l0"))):
            variable = getattr(plain.cell, mine)
            variable.assign(noise(*variable.shape, seed=index, scale=0.4))
            weight = np.ascontiguousarray(reorder(numpy(variable)).T)
            getattr(module, name).copy_(torch.from_numpy(weight))
        module.bias_ih_l0.zero_()
        module.bias_hh_l0.zero_()
    ours = getattr(keras_qat, f"Ternary{kind}").from_float(
        plain, scheme, learn_scale=learn_scale)
    theirs = getattr(torch_qat, f"Ternary{kind}").from_float(
        module, scheme, learn_scale=learn_scale)
    pairs = []
    for mine, name in (("kernel", "weight_ih_l0"), ("recurrent_kernel", "weight_hh_l0")):
        pairs.append((
            getattr(ours.cell, mine), getattr(theirs, name), lambda gradient: reorder(gradient).T))
        if learn_scale:
            scale = getattr(ours, f"{mine}_scale")
            turned = reorder if len(scale.shape) else np.asarray
            pairs.append((scale, getattr(theirs, f"{name}_scale"), turned))
    x = noise(2, 5, 3)
    compare(ours, theirs, x, torch.from_numpy(x), lambda answer: answer.detach().numpy(), pairs)
