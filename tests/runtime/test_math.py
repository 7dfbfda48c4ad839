"""The runtime's elementary functions against double precision, and libm's special cases."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from tests.runtime.harness import math_library

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
LARGEST = float(np.finfo(np.float32).max)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, 0.5, 3.0, -3.0, 1e-45,
                    -1e-45, SMALLEST_NORMAL, LARGEST, -LARGEST, 88.72283, 88.7229, -103.97,
                    -104.0, -87.5, 16777216.0, -16777215.0], np.float32)  # fmt: skip


def _apply(name: str, *arrays: F32) -> F32:
    arrays = tuple(np.ascontiguousarray(a, np.float32) for a in arrays)
    out = np.empty_like(arrays[0])
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
    getattr(math_library(), f"shim_{name}")(*pointers, ctypes.c_size_t(out.size))
    return out


def _sigmoid(x: F64) -> F64:
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _erf(x: F64) -> F64:
    return np.array([math.erf(v) for v in x.tolist()])


def _samples(count: int) -> F32:
    """Every magnitude (random bit patterns), and the range where the functions bend, densely."""
    bits = np.random.default_rng(0).integers(0, 2**32, count, dtype=np.uint32).view(np.float32)
    lines = [np.linspace(-r, r, count, dtype=np.float32) for r in (2, 12, 110)]
    with np.errstate(all="ignore"):
        edges = np.concatenate([np.nextafter(SPECIAL, np.float32(s)) for s in (-np.inf, np.inf)])
    return np.concatenate([bits[np.isfinite(bits)], *lines, edges[np.isfinite(edges)]])


@pytest.mark.parametrize(
    ("name", "reference", "bound", "count"),
    [
        ("expf", np.exp, 9e-8, 300_000), ("logf", np.log, 9e-8, 300_000),
        ("expm1f", np.expm1, 3.6e-7, 300_000), ("log1pf", np.log1p, 2e-7, 300_000),
        ("tanhf", np.tanh, 1.5e-7, 300_000), ("sigmoidf", _sigmoid, 1.8e-7, 300_000),
        ("erff", _erf, 9e-8, 100_000), ("sqrtf", np.sqrt, 6e-8, 300_000),
    ],
)  # fmt: skip
def test_error_bounds(
    name: str, reference: Callable[[F64], F64], bound: float, count: int
) -> None:
    x = _samples(count)
    with np.errstate(all="ignore"):
        y, exact = _apply(name, x).astype(np.float64), reference(x.astype(np.float64))
        normal = (abs(exact) >= SMALLEST_NORMAL) & (abs(exact) <= LARGEST)
        relative = np.where(normal, abs(y - exact) / abs(exact), 0)
    worst = int(np.argmax(relative))
    assert relative[worst] <= bound, (relative[worst], x[worst])
    subnormal = abs(exact) < SMALLEST_NORMAL
    assert np.all(abs(y[subnormal] - exact[subnormal]) <= 2.0**-149)


@pytest.mark.parametrize(
    ("name", "reference"),
    [("expf", np.exp), ("logf", np.log), ("tanhf", np.tanh), ("sigmoidf", _sigmoid),
     ("erff", _erf), ("sqrtf", np.sqrt), ("expm1f", np.expm1), ("log1pf", np.log1p)],
)  # fmt: skip
def test_special_values(name: str, reference: Callable[[F64], F64]) -> None:
    with np.errstate(all="ignore"):
        exact = reference(SPECIAL.astype(np.float64)).astype(np.float32)
    y = _apply(name, SPECIAL)
    for x, got, wanted in zip(SPECIAL, y, exact, strict=True):
        if np.isnan(wanted) or np.isinf(wanted) or wanted == 0:
            assert np.array_equal(got, wanted, equal_nan=True), (x, got, wanted)
            assert np.isnan(wanted) or np.signbit(got) == np.signbit(wanted), x
        else:
            assert np.isfinite(got), (x, got)


def test_sqrt_is_correctly_rounded() -> None:
    x = abs(_samples(500_000))
    np.testing.assert_array_equal(_apply("sqrtf", x), np.sqrt(x))


def test_monotone_where_it_matters() -> None:
    """A saturating function must not fall back, or argmax and thresholds see false steps."""
    x = np.linspace(0, 12, 400_001, dtype=np.float32)
    for name in ("tanhf", "sigmoidf", "erff"):
        y = _apply(name, x)
        assert np.all(y <= 1.0)
        assert float((y[:-1] - y[1:]).max()) <= 1.2e-7, name  # one unit in the last place


def test_pow_error_bound() -> None:
    rng = np.random.default_rng(1)
    x = np.exp(rng.uniform(-80, 80, 500_000)).astype(np.float32)
    x[::2] = rng.uniform(0.5, 2, x[::2].size)
    y = rng.uniform(-40, 40, x.size).astype(np.float32)
    y[::5] = np.round(y[::5])
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
    got = _apply("powf", x, y).astype(np.float64)
    normal = (exact >= SMALLEST_NORMAL) & (exact <= LARGEST)
    subnormal = exact < SMALLEST_NORMAL
    assert normal.sum() > 200_000
    assert float((abs(got[normal] - exact[normal]) / exact[normal]).max()) <= 6.1e-8
    assert np.all(abs(got[subnormal] - exact[subnormal]) <= 2.0**-149)
    assert np.all(np.isinf(got[exact > LARGEST * 1.0000001]))


def test_pow_special_cases() -> None:
    """Every pair of special values as C's pow defines them (numpy calls it)."""
    extra = np.array([-2.0, 4.0, 5.0, -0.5, -1e30, 1e30, 2.5], np.float32)
    values = np.concatenate([SPECIAL, extra])
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    got = _apply("powf", x, y)
    for a, b, g, e in zip(x, y, got, exact, strict=True):
        if np.isnan(e) or np.isinf(e) or e == 0:
            assert np.array_equal(g, e, equal_nan=True), (a, b, g, e)
            assert np.isnan(e) or np.signbit(g) == np.signbit(e), (a, b, g, e)
        else:
            assert abs(float(g) - float(e)) <= 1.2e-7 * abs(float(e)) + 2.0**-149, (a, b, g, e)
