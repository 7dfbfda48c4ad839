"""int8 by the absmax of each row at run time, and the scaling behind the layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.runtime.harness import Call, assert_sizes_checked, call

F = np.float32
RNG = np.random.default_rng(0)


def _expected(
    x: np.ndarray, form: int, epsilon: float, levels: float, lo: int, hi: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pattern, operator by operator in binary32."""
    a = np.maximum(np.abs(x).max(axis=1, keepdims=True), F(epsilon))
    with np.errstate(all="ignore"):
        s = [(F(1) / a) * F(levels), F(levels) / a, a / F(levels), a * F(levels)][form]
        codes = np.clip(np.rint(x * s if form < 2 else x / s), lo, hi)
        return codes.astype(np.int8), (F(1) / s if form < 2 else s).reshape(-1)


@pytest.mark.parametrize("form", [0, 1, 2, 3])
@pytest.mark.parametrize(("rows", "n"), [(1, 1), (1, 37), (5, 16), (7, 3)])
def test_absmax(form: int, rows: int, n: int) -> None:
    x = (RNG.standard_normal((rows, n)) * 10.0 ** RNG.integers(-6, 4, (rows, 1))).astype(F)
    x[0, 0] = 0.0
    levels = 1 / 127 if form == 3 else 127.0
    tensors: dict[str, Any] = {
        "x": x, "y": np.zeros(x.shape, np.int8), "r": np.zeros(rows, F)}
    numbers = {"rows": rows, "n": n, "epsilon": 1e-5, "levels": levels, "lo": -128, "hi": 127,
               "form": form}
    got = call("absmax_i8", tensors, **numbers)
    codes, factor = _expected(x, form, 1e-5, levels, -128, 127)
    np.testing.assert_array_equal(got["y"], codes)
    np.testing.assert_array_equal(got["r"], factor)
    for wrong in ({"form": 4}, {"lo": -129}, {"hi": 128}, {"lo": 5, "hi": 4}):
        assert Call("absmax_i8", tensors, {**numbers, **wrong}).check() != 0
    assert_sizes_checked("absmax_i8", tensors, **numbers)


def test_absmax_of_strange_rows() -> None:
    """Zeros without epsilon, NaN and infinity give codes, whatever the rest."""
    x = np.array([[0, 0], [np.nan, 1], [np.inf, 1], [3e38, -3e38], [1e-44, 0]], F)
    got = call("absmax_i8", {"x": x, "y": np.zeros(x.shape, np.int8), "r": np.zeros(5, F)},
               rows=5, n=2, epsilon=0.0, levels=127.0, lo=-127, hi=127, form=0)
    np.testing.assert_array_equal(got["y"][:2], [[0, 0], [0, 127]])
    np.testing.assert_array_equal(got["y"][3], [127, -127])
    assert not np.isnan(got["r"]).any()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("rows", "n", "channels"), [(1, 6, 3), (4, 5, 5), (3, 8, 1)])
def test_scale_rows(bias: bool, rows: int, n: int, channels: int) -> None:
    x = RNG.standard_normal((rows, n)).astype(F)
    r, b = RNG.random(rows).astype(F), RNG.standard_normal(channels).astype(F)
    tensors: dict[str, Any] = {"x": x, "r": r, "b": b if bias else None, "y": np.zeros_like(x)}
    numbers = {"rows": rows, "n": n, "channels": channels, "lo": -0.5, "hi": 0.75}
    got = call("scale_rows_f32", tensors, **numbers)["y"]
    expected = x * r[:, None]
    if bias:
        expected = expected + np.tile(b, n // channels)
    np.testing.assert_array_equal(got, np.clip(expected, F(-0.5), F(0.75)))
    assert Call("scale_rows_f32", tensors, {**numbers, "channels": n + 1}).check() != 0
    assert_sizes_checked("scale_rows_f32", tensors, **numbers)
