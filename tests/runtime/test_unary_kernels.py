"""The kernels of one float32 input: simple functions against numpy, the others' plumbing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from tests.runtime.harness import Call, assert_sizes_checked, call

F32 = npt.NDArray[np.float32]
OPS = ("clip", "leaky_relu", "hard_sigmoid", "hard_swish", "abs", "neg", "floor", "ceil", "round",
       "sign", "reciprocal")  # fmt: skip
VALUES = np.concatenate([
    np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, -0.5, 1.5, 2.5, -2.5, 8388607.5, 8388608.0,
              -8388609.0, 3e38, 0.49999997, -0.49999997, 1e-40], np.float32),
    np.linspace(-9, 9, 577, dtype=np.float32),
])  # fmt: skip


def _expected(op: str, x: F32, alpha: np.float32, beta: np.float32) -> F32:
    one = np.float32(1)
    with np.errstate(all="ignore"):
        functions: dict[str, Callable[[], F32]] = {
            "clip": lambda: np.minimum(np.maximum(x, alpha), beta),
            "leaky_relu": lambda: np.where(x < 0, alpha * x, x),
            "hard_sigmoid": lambda: np.clip(alpha * x + beta, np.float32(0), one),
            "hard_swish": lambda: x * np.clip(x * np.float32(1 / 6) + np.float32(0.5), 0, one),
            "abs": lambda: abs(x), "neg": lambda: -x, "floor": lambda: np.floor(x),
            "ceil": lambda: np.ceil(x), "round": lambda: np.rint(x), "sign": lambda: np.sign(x),
            "reciprocal": lambda: one / x,
        }  # fmt: skip
        return functions[op]().astype(np.float32)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.5), (-1.0, 6.0), (3.0, -3.0)])
def test_unary(op: str, alpha: float, beta: float) -> None:
    numbers = {"op": OPS.index(op), "count": VALUES.size, "alpha": alpha, "beta": beta}
    tensors = {"x": VALUES, "y": np.zeros_like(VALUES)}
    got = call("unary_f32", tensors, **numbers)["y"]
    expected = _expected(op, VALUES, np.float32(alpha), np.float32(beta))
    np.testing.assert_array_equal(got, expected)
    if op in ("floor", "ceil", "round", "neg"):  # also the sign of zero
        numeric = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[numeric]), np.signbit(expected[numeric]))
    assert Call("unary_f32", tensors, {**numbers, "op": 11}).check() != 0
    assert_sizes_checked("unary_f32", tensors, **numbers)


@pytest.mark.parametrize(
    ("name", "function"),
    [("sigmoid", lambda v: 1 / (1 + math.exp(-v))), ("tanh", math.tanh), ("exp", math.exp),
     ("log", lambda v: math.log(v) if v > 0 else math.nan), ("erf", math.erf),
     ("sqrt", lambda v: math.sqrt(v) if v >= 0 else math.nan)],
)  # fmt: skip
def test_functions(name: str, function: Callable[[float], float]) -> None:
    x = np.linspace(-6, 6, 1000, dtype=np.float32)
    tensors = {"x": x, "y": np.zeros_like(x)}
    got = call(f"{name}_f32", tensors, count=x.size)["y"]
    expected = np.array([function(float(v)) for v in x], np.float64)
    np.testing.assert_allclose(got, expected, rtol=2e-7)
    assert_sizes_checked(f"{name}_f32", tensors, count=x.size)


@pytest.mark.parametrize("approximate", [0, 1])
def test_gelu(approximate: int) -> None:
    x = np.linspace(-12, 12, 10_001, dtype=np.float32)
    wide = x.astype(np.float64)
    if approximate:
        t = np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3))
    else:
        t = np.array([math.erf(v / math.sqrt(2)) for v in wide.tolist()])
    tensors = {"x": x, "y": np.zeros_like(x)}
    got = call("gelu_f32", tensors, count=x.size, tanh=approximate)["y"]
    np.testing.assert_allclose(got, wide / 2 * (1 + t), rtol=4e-7, atol=5e-7)
    assert Call("gelu_f32", tensors, {"count": x.size, "tanh": 2}).check() != 0
    large = call("gelu_f32", {"x": np.full(2, 3e38, np.float32), "y": np.zeros(2, np.float32)},
                 count=2, tanh=approximate)["y"]  # fmt: skip
    np.testing.assert_array_equal(large, np.float32(3e38))


def test_in_place() -> None:
    cases: tuple[tuple[str, dict[str, float]], ...] = (
        ("exp_f32", {}), ("unary_f32", {"op": 5, "alpha": 0.0, "beta": 0.0}),
    )  # fmt: skip
    for name, numbers in cases:
        x = np.linspace(-2, 2, 33, dtype=np.float32)
        apart = call(name, {"x": x, "y": np.zeros_like(x)}, count=33, **numbers)["y"]
        inside = call(name, {"x": x, "y": x}, {"y": "x"}, count=33, **numbers)["y"]
        np.testing.assert_array_equal(apart, inside)
