"""Sums over int16 beyond 32 bits stay exact, and int16 kernels write int8 where asked to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.harness import Call, call
from tests.runtime.mac_reference import Geometry, Layer, convolve


def _dense(layer: Layer, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    name, constants = layer.dense()
    rows, outputs = y.shape
    numbers: dict[str, Any] = {"rows": rows, "in_features": x.shape[1], "out_features": outputs,
                               **layer.numbers()}
    return call(name, {"x": x, "y": y, **constants}, **numbers)["y"]


@pytest.mark.parametrize("form", ["i16", "i16_t2"])
@pytest.mark.parametrize("n", [511, 512, 1023, 16384, 16385, 40_000])
@pytest.mark.parametrize("value", [-(2**15), 2**15 - 1])
def test_long_rows_are_exact(form: str, n: int, value: int) -> None:
    """Every product has the largest size that its types allow, all of one sign."""
    layer = Layer(form, np.random.default_rng(n), (3, n), optional=False)
    layer.codes[0], layer.codes[1] = layer.codes.min(), layer.codes.max()
    largest = n * 2**15 * 128
    layer.m[:] = min(2 * (2**61 // largest // 2), 2**31 - 2)
    layer.c, layer.shift = np.zeros(3, np.int32), 40
    layer.lo, layer.hi = -(2**15), 2**15 - 1
    x = np.full((1, n), value, np.int16)
    sums = x.astype(np.int64) @ layer.weights.T
    if form == "i16" and n > 512:
        assert np.abs(sums).max() >= 2**31
    np.testing.assert_array_equal(_dense(layer, x, layer.output((1, 3))), layer.expected(sums))
    g = Geometry(1, (1, 1), (1, 1), n, 3, 1, (1, 1))
    tensors = {"x": x.reshape(1, 1, 1, n), "y": layer.output((1, 1, 1, 3)), **layer.tensors()}
    got = call(f"conv2d_{form}", tensors, **g.numbers(), **layer.numbers())["y"]
    np.testing.assert_array_equal(got.reshape(1, 3), layer.expected(sums))


@pytest.mark.parametrize("form", ["i16", "i16_t2"])
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_narrow_output(form: str, rows: int, inputs: int, seed: int) -> None:
    """An int8 y has the values that the same constants give, within lo and hi."""
    layer = Layer(form, np.random.default_rng(seed), (4, inputs), optional=True)
    layer.lo, layer.hi = -128, 100
    layer.m = (layer.m >> 7 & ~np.int32(1)).astype(np.int32)
    layer.c = (layer.c if layer.c is not None else np.zeros(4)).astype(np.int32)
    x = layer.input((rows, inputs))
    got = _dense(layer, x, np.zeros((rows, 4), np.int8))
    np.testing.assert_array_equal(got, layer.expected(x.astype(np.int64) @ layer.weights.T))
    g = Geometry(1, (1, rows), (1, rows), inputs, 4, 1, (1, 1))
    image = x.reshape(1, 1, rows, inputs)
    numbers = {**g.numbers(), **layer.numbers()}
    tensors = {"x": image, "y": np.zeros((1, 1, rows, 4), np.int8), **layer.tensors()}
    same = call(f"conv2d_{form}", tensors, **numbers)["y"]
    sums = convolve(image.astype(np.int64), layer.weights.reshape(4, 1, 1, inputs), g, 0)
    np.testing.assert_array_equal(same, layer.expected(sums))
    wider = {**numbers, "hi": 128}
    assert Call(f"conv2d_{form}", tensors, wider).check() != 0, "128 is no int8"
