"""Interpolated functions of int16 numbers: the stated error holds for every number."""

from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ternc.backends.esp32.lower.interpolation import TOLERANCE, interpolate
from tests.runtime.calling import output

Wide = npt.NDArray[np.float64]
EVERY = np.arange(-(2**15), 2**15)
HIGHEST = 2**15 - 1
_erf = np.vectorize(erf, otypes=[np.float64])

FUNCTIONS: dict[str, Callable[[Wide], Wide]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: np.asarray(np.tanh(x), np.float64),
    "exp": lambda x: np.exp(np.minimum(x, 5)),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x * 0.7071067811865476)),
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0)),
    "reciprocal": lambda x: 1 / np.where(np.abs(x) < 0.3, 0.3, x),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "clip": lambda x: np.clip(x, -0.123, 1.77),
    "line": lambda x: 0.7 * x,
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "softplus": lambda x: np.asarray(np.logaddexp(x, 0), np.float64),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sin": lambda x: np.sin(np.clip(x, -8, 8)),
}
# Flash that segments and nodes take with inputs in +-8, measured.
BYTES = {
    "sigmoid": 2220, "tanh": 2956, "exp": 1956, "gelu": 1328, "sqrt": 5256, "reciprocal": 11_304,
    "hard_swish": 1288, "leaky_relu": 768, "clip": 4432, "line": 768, "elu": 1148,
    "softplus": 1360, "mish": 1384, "softsign": 3296, "sin": 8128,
}  # fmt: skip


def exact(name: str, reach: float) -> Wide:
    """The function over +-reach in steps of an int16 output that holds it."""
    real = FUNCTIONS[name](np.asarray(EVERY * (reach / 2**15), np.float64))
    steps: Wide = np.clip(real / np.abs(real).max() * HIGHEST, -HIGHEST - 1, HIGHEST)
    return steps


@pytest.mark.parametrize("reach", [0.5, 8.0, 100.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_number_is_within_the_tolerance(name: str, reach: float) -> None:
    wanted = exact(name, reach)
    found = interpolate(wanted, HIGHEST)
    assert found is not None
    got = found(EVERY, HIGHEST)
    assert np.abs(got - wanted).max() <= TOLERANCE
    assert np.abs(got - np.rint(wanted)).max() <= 1
    if reach == 8.0:
        assert 4 * (found.segments.size + found.nodes.size) <= BYTES[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_kernel_gives_the_same(name: str) -> None:
    found = interpolate(exact(name, 8.0), HIGHEST)
    assert found is not None
    x = EVERY.astype(np.int16)
    tensors: dict[str, Any] = {"x": x, "segments": found.segments.astype(np.int32),
                               "nodes": found.nodes.astype(np.int32), "y": np.zeros_like(x)}
    got = output("table_i16", tensors, {"count": x.size})
    np.testing.assert_array_equal(got, found(EVERY, HIGHEST))


def test_steps_are_exact_where_there_are_few() -> None:
    found = interpolate(np.floor(EVERY / 2**14) * 1000.0, HIGHEST)
    assert found is not None
    np.testing.assert_array_equal(found(EVERY, HIGHEST), np.floor(EVERY / 2**14) * 1000)


@pytest.mark.parametrize("values", [
    np.random.default_rng(0).uniform(-HIGHEST, HIGHEST, EVERY.size),
    np.floor(EVERY / 2**9) * 300.0,
], ids=["noise", "many steps"])  # fmt: skip
def test_too_many_nodes(values: Wide) -> None:
    assert interpolate(values, HIGHEST) is None


def test_an_int8_result_needs_few_nodes() -> None:
    found = interpolate(np.tanh(EVERY / 4096) * 127, 127)
    assert found is not None
    assert found.nodes.size <= 200
    assert np.abs(found(EVERY, 127) - np.tanh(EVERY / 4096) * 127).max() <= TOLERANCE
