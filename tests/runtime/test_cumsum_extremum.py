"""cumsum and extremum against numpy, in place too, and what their checks refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.harness import Call, assert_sizes_checked, call

SIZE = st.integers(1, 6)
FLAG = st.integers(0, 1)
KINDS = ("int8", "uint8", "int16", "int32")


def _expected(x: npt.NDArray[Any], exclusive: int, reverse: int) -> npt.NDArray[Any]:
    if reverse:
        x = x[:, ::-1]
    sums = np.cumsum(x, 1, dtype=x.dtype)
    if exclusive:
        sums = np.concatenate([np.zeros_like(sums[:, :1]), sums[:, :-1]], 1)
    return sums[:, ::-1] if reverse else sums


@settings(deadline=None, max_examples=60, derandomize=True)
@given(SIZE, SIZE, SIZE, FLAG, FLAG, st.sampled_from(["float32", "int32"]))
def test_cumsum(outer: int, n: int, inner: int, exclusive: int, reverse: int, kind: str) -> None:
    x = np.random.default_rng(n).integers(-(2**30), 2**30, (outer, n, inner)).astype(kind)
    numbers = {"outer": outer, "n": n, "inner": inner, "exclusive": exclusive, "reverse": reverse}
    tensors = {"x": x, "y": np.zeros_like(x)}
    apart = call("cumsum", tensors, **numbers)["y"]
    np.testing.assert_array_equal(apart, _expected(x, exclusive, reverse))
    inside = call("cumsum", {"x": x, "y": x}, {"y": "x"}, **numbers)["y"]
    np.testing.assert_array_equal(apart, inside)
    assert_sizes_checked("cumsum", tensors, **numbers)
    for name in ("exclusive", "reverse"):
        assert Call("cumsum", tensors, {**numbers, name: 2}).check() != 0


def _broadcast(shape: tuple[int, ...], b_strides: tuple[int, ...]) -> dict[str, int]:
    """Operands for a dense first operand."""
    dims = (1,) * (6 - len(shape)) + shape
    dense = [int(np.prod(dims[i + 1 :])) for i in range(6)]
    strides = (0,) * (6 - len(shape)) + b_strides
    return {**{f"d{i}": d for i, d in enumerate(dims)},
            **{f"as{i}": s for i, s in enumerate(dense)},
            **{f"bs{i}": s for i, s in enumerate(strides)}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("minimum", [0, 1])
def test_extremum(kind: str, minimum: int) -> None:
    limits = np.iinfo(kind)
    generator = np.random.default_rng(0)
    a = generator.integers(limits.min, limits.max, (3, 4, 5), kind, endpoint=True)
    b = generator.integers(limits.min, limits.max, (3, 1, 5), kind, endpoint=True)
    numbers = {**_broadcast((3, 4, 5), (5, 0, 1)), "minimum": minimum}
    tensors = {"a": a, "b": b, "y": np.zeros_like(a)}
    function = np.minimum if minimum else np.maximum
    got = call("extremum", tensors, **numbers)["y"]
    np.testing.assert_array_equal(got, function(a, b))
    inside = call("extremum", {"a": a, "b": b, "y": a}, {"y": "a"}, **numbers)["y"]
    np.testing.assert_array_equal(got, inside)
    assert_sizes_checked("extremum", tensors, **numbers)
    assert Call("extremum", tensors, {**numbers, "minimum": 2}).check() != 0


def test_types_that_differ_are_refused() -> None:
    numbers = {**_broadcast((4,), (1,)), "minimum": 0}
    for kinds in (("int8", "uint8", "int8"), ("int8", "int8", "uint8"), ("float32",) * 3):
        tensors = {n: np.zeros(4, k) for n, k in zip("aby", kinds, strict=True)}
        assert Call("extremum", tensors, numbers).check() != 0
    floats = {"x": np.zeros(4, np.int16), "y": np.zeros(4, np.int16)}
    assert Call("cumsum", floats, {"outer": 1, "n": 4, "inner": 1, "exclusive": 0,
                                   "reverse": 0}).check() != 0
