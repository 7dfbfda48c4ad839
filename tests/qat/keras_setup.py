"""Keras for the tests that use it, or the reason why they are skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

# read when the framework is imported
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

keras = pytest.importorskip(
    "keras", reason="Keras, or its backend, is not installed (pip install 'ternc[keras]')",
    exc_type=ImportError)

Floats = npt.NDArray[np.float32]


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Floats:
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def numpy(tensor: Any) -> Floats:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def answer(model: Any, x: Any) -> Floats:
    """What the model predicts; without compiling a function for it."""
    return numpy(model(keras.ops.convert_to_tensor(x), training=False))


def gradients(function: Callable[[], Any], variables: Sequence[Any]) -> list[Floats]:
    """Of a scalar with respect to variables of Keras, on the backend that it runs on."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow

            with tensorflow.GradientTape() as tape:
                value = function()
            found = tape.gradient(value, [variable.value for variable in variables])
        case "torch":
            for variable in variables:
                variable.value.grad = None
            function().backward()
            found = [variable.value.grad for variable in variables]
        case "jax":
            import jax

            def scalar(values: list[Any]) -> Any:
                pairs = list(zip(variables, values, strict=True))
                with keras.StatelessScope(state_mapping=pairs):
                    return function()

            found = jax.grad(scalar)([variable.value for variable in variables])
        case other:
            pytest.skip(f"no gradients on the backend {other}")
    return [
        np.zeros(variable.shape, np.float32) if gradient is None else numpy(gradient)
        for gradient, variable in zip(found, variables, strict=True)]
