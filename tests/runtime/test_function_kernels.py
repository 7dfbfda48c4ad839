"""Further functions of one float32 value, selected by `op`: against double precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from tests.runtime.harness import Call, assert_sizes_checked, call

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
TINY = float(np.finfo(np.float32).tiny)


def _softplus(x: F64) -> F64:
    return np.asarray(np.logaddexp(x, 0), np.float64)


def _swish(x: F64) -> F64:
    return np.asarray(x / (1 + np.exp(-2 * x)), np.float64)


def _mish(x: F64) -> F64:
    return np.asarray(x * np.tanh(_softplus(x)), np.float64)


def _lines(*reaches: float) -> F32:
    """Evenly spaced numbers, and small ones of every magnitude."""
    lines = [np.linspace(-reach, reach, 40_001) for reach in reaches]
    small = 10.0 ** np.linspace(-30, 0, 5000)
    return np.concatenate([*lines, small, -small]).astype(np.float32)


def _finite() -> F32:
    """Every magnitude."""
    bits = np.random.default_rng(0).integers(0, 2**32, 300_000, dtype=np.uint32)
    values = bits.view(np.float32)
    return values[np.isfinite(values)]


WIDE, UNIT = _lines(1, 12, 85), np.clip(_lines(1, 0.5), -1, 1)
ANGLES = np.concatenate([_lines(1, 12, 1000, 1e6), _finite()])
PARAMETERS = {"alpha": 2.0, "beta": 0.75}
FUNCTIONS: dict[str, tuple[str, int, Callable[[F64], F64], F32, float]] = {
    "elu": ("activation_f32", 0, lambda x: 0.75 * np.where(x > 0, x, 2 * np.expm1(x)), WIDE,
            4e-7),
    "celu": ("activation_f32", 1, lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2)), WIDE,
             4e-7),
    "softplus": ("activation_f32", 2, _softplus, WIDE, 3e-7),
    "mish": ("activation_f32", 3, _mish, WIDE, 4e-7),
    "swish": ("activation_f32", 4, _swish, _lines(1, 12, 42), 4e-7),
    "softsign": ("threshold_f32", 0, lambda x: x / (1 + abs(x)), WIDE, 1.2e-7),
    "thresholded_relu": ("threshold_f32", 1, lambda x: np.where(x > 2, x, 0.0), WIDE, 0),
    "shrink": ("threshold_f32", 2, lambda x: np.where(
        x < -2, x + 0.75, np.where(x > 2, x - 0.75, 0.0)), WIDE, 6e-8),
    "sin": ("trigonometric_f32", 0, np.sin, ANGLES, 2e-7),
    "cos": ("trigonometric_f32", 1, np.cos, ANGLES, 2e-7),
    "tan": ("trigonometric_f32", 2, np.tan, ANGLES, 4e-7),
    "asin": ("arc_f32", 0, np.arcsin, UNIT, 2.5e-7),
    "acos": ("arc_f32", 1, np.arccos, UNIT, 2.5e-7),
    "atan": ("arc_f32", 2, np.arctan, np.concatenate([WIDE, _finite()]), 2.5e-7),
    "sinh": ("hyperbolic_f32", 0, np.sinh, WIDE, 5e-7),
    "cosh": ("hyperbolic_f32", 1, np.cosh, _lines(1, 12, 89), 5e-7),
    "asinh": ("hyperbolic_f32", 2, np.arcsinh, np.concatenate([WIDE, _finite()]), 5e-7),
    "acosh": ("hyperbolic_f32", 3, np.arccosh, 1 + abs(np.concatenate([WIDE, _finite()])), 5e-7),
    "atanh": ("hyperbolic_f32", 4, np.arctanh, UNIT, 5e-7),
}  # fmt: skip
OPS = {"activation_f32": 5, "threshold_f32": 3, "trigonometric_f32": 3, "arc_f32": 3,
       "hyperbolic_f32": 5}  # fmt: skip


def _numbers(kernel: str, op: int, count: int) -> dict[str, float]:
    own = PARAMETERS if kernel in ("activation_f32", "threshold_f32") else {}
    return {"op": op, "count": count, **own}


def _got(name: str, x: F32) -> F32:
    kernel, op, *_ = FUNCTIONS[name]
    tensors = {"x": x, "y": np.zeros_like(x)}
    return np.asarray(call(kernel, tensors, **_numbers(kernel, op, x.size))["y"], np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bounds(name: str) -> None:
    _, _, reference, x, bound = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64))
        far = abs(_got(name, x).astype(np.float64) - exact)
        relative = np.where(abs(exact) >= TINY, far / abs(exact), 0)
        relative[np.isinf(exact.astype(np.float32))] = 0
    worst = int(np.nanargmax(relative))
    assert relative[worst] <= bound, (relative[worst], x[worst])
    assert far[abs(exact) < TINY].max(initial=0) <= 2.0**-148


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name: str) -> None:
    """As in double precision: NaN, infinities, the signs of zeros, and what is out of range."""
    _, _, reference, _, _ = FUNCTIONS[name]
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, -2.0, 1e-45, -1e-45,
                  3.4e38, -3.4e38], np.float32)  # fmt: skip
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64)).astype(np.float32)
    for value, got, wanted in zip(x, _got(name, x), exact, strict=True):
        if not np.isfinite(wanted) or wanted == 0:
            assert np.array_equal(got, wanted, equal_nan=True), (value, got, wanted)
            if name not in ("mish", "swish"):
                assert np.isnan(wanted) or np.signbit(got) == np.signbit(wanted), value
        else:
            assert abs(got - wanted) <= 5e-7 * abs(wanted) + 2.0**-149, (value, got, wanted)


def test_angles_near_multiples_of_half_pi() -> None:
    """Where all but a few bits cancel: every float that is nearest to one."""
    x = (np.arange(1, 200_000) * (np.pi / 2)).astype(np.float32)
    for name, reference in (("sin", np.sin), ("cos", np.cos)):
        exact = reference(x.astype(np.float64))
        np.testing.assert_allclose(_got(name, x), exact, rtol=2e-7)


@pytest.mark.parametrize("kernel", OPS)
def test_operands(kernel: str) -> None:
    x = np.linspace(-0.9, 0.9, 33, dtype=np.float32)
    tensors = {"x": x, "y": np.zeros_like(x)}
    for op in range(OPS[kernel]):
        numbers = _numbers(kernel, op, x.size)
        apart = call(kernel, tensors, **numbers)["y"]
        inside = call(kernel, {"x": x, "y": x}, {"y": "x"}, **numbers)["y"]
        np.testing.assert_array_equal(apart, inside)
    assert Call(kernel, tensors, _numbers(kernel, OPS[kernel], x.size)).check() != 0
    assert_sizes_checked(kernel, tensors, **_numbers(kernel, 0, x.size))
