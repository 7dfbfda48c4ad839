"""reduce_f32 against numpy, and what its check refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.harness import Call, assert_sizes_checked, call

REDUCTIONS: tuple[Callable[..., Any], ...] = (
    np.sum, np.prod, lambda x, axis: abs(x).sum(axis), lambda x, axis: (x * x).sum(axis), np.min)
SIZE = st.integers(1, 6)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(SIZE, st.integers(1, 100), SIZE, st.sampled_from(range(len(REDUCTIONS))))
def test_as_numpy(outer: int, n: int, inner: int, op: int) -> None:
    x = np.random.default_rng(n).uniform(-1.5, 1.5, (outer, n, inner)).astype(np.float32)
    tensors = {"x": x, "y": np.zeros((outer, inner), np.float32)}
    numbers = {"outer": outer, "n": n, "inner": inner, "op": op}
    got = call("reduce_f32", tensors, **numbers)["y"]
    wide = x.astype(np.float64)
    error = 4e-7 * abs(wide).sum(1) if op != 1 else 1e-5 * abs(wide.prod(1))
    assert np.all(abs(got - REDUCTIONS[op](wide, axis=1)) <= error + 1e-30)
    assert_sizes_checked("reduce_f32", tensors, **numbers)


def test_nan_and_what_is_refused() -> None:
    x = np.array([[1, np.nan, 0], [np.nan, 1, 2], [np.inf, np.inf, np.inf]], np.float32)
    tensors = {"x": x, "y": np.zeros(3, np.float32)}
    numbers = {"outer": 3, "n": 3, "inner": 1, "op": 4}
    np.testing.assert_array_equal(call("reduce_f32", tensors, **numbers)["y"],
                                  np.array([np.nan, np.nan, np.inf], np.float32))
    assert Call("reduce_f32", tensors, {**numbers, "op": 5}).check() != 0
    empty = {"x": np.zeros(0, np.float32), "y": np.zeros(3, np.float32)}
    assert Call("reduce_f32", empty, {**numbers, "n": 0}).check() != 0


@pytest.mark.parametrize("op", [0, 2, 3])
def test_long_sums(op: int) -> None:
    x = np.random.default_rng(0).uniform(0, 1, (1, 100_000)).astype(np.float32)
    got = call("reduce_f32", {"x": x, "y": np.zeros(1, np.float32)}, outer=1, n=100_000, inner=1,
               op=op)["y"]
    np.testing.assert_allclose(got, REDUCTIONS[op](x.astype(np.float64), axis=1), rtol=1e-5)
