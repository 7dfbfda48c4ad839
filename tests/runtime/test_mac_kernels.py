"""Convolution, dense and matrix product kernels against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.harness import (
    Call,
    Refused,
    assert_ranges_disjoint,
    assert_sizes_checked,
    call,
)
from tests.runtime.mac_reference import FORMS, Array, Geometry, Layer, convolve

SEEDS = st.integers(0, 2**32 - 1)
CASES = settings(max_examples=60, deadline=None)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Convolutions of every kind: depthwise, grouped, dilated, cropped, stuffed with zeros."""
    def small(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    depthwise = draw(st.booleans())
    return Geometry(
        n=draw(st.integers(1, 2)), size=small(1, 6), out=small(1, 5),
        group_in=1 if depthwise else draw(st.integers(1, 9)), group_out=draw(st.integers(1, 3)),
        groups=draw(st.integers(1, 4)), kernel=small(1, 4), stride=small(1, 3),
        dilation=small(1, 3), pad=small(-3, 4), up=draw(st.sampled_from([(1, 1), small(1, 4)])),
    )


def _conv(form: str, g: Geometry, seed: int, x_zero: int, optional: bool) -> None:
    rng = np.random.default_rng(seed)
    layer = Layer(form, rng, (g.out_c, *g.kernel, g.group_in), optional)
    x = layer.input((g.n, *g.size, g.in_c))
    wide = x.astype(layer.weights.dtype)
    numbers = {**g.numbers(), **layer.numbers()}
    if layer.has_x_zero:
        numbers["x_zero"] = x_zero
    else:
        x_zero = 0
    y = layer.output((g.n, *g.out, g.out_c))
    got = call(f"conv2d_{form}", {"x": x, "y": y, **layer.tensors()}, **numbers)["y"]
    sums = convolve(wide, layer.weights, g, x_zero)
    sizes = convolve(abs(wide), abs(layer.weights), g, abs(x_zero)).max()
    layer.assert_equal(got, sums, float(sizes) * float(abs(layer.m).max()) + 3)


@pytest.mark.parametrize("form", FORMS)
@CASES
@given(geometries(), SEEDS, st.sampled_from([0, -128, 127, 3]), st.booleans())
def test_conv2d(form: str, g: Geometry, seed: int, x_zero: int, optional: bool) -> None:
    _conv(form, g, seed, x_zero, optional)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("g", [
    Geometry(1, (1, 1), (1, 1), 37, 21, 1, (1, 1)),  # one pixel: rows are channels
    Geometry(1, (8, 8), (8, 8), 16, 8, 1, (3, 3), pad=(1, 1)),
    Geometry(1, (9, 7), (5, 4), 1, 1, 24, (3, 3), stride=(2, 2), pad=(1, 1)),
    Geometry(2, (6, 5), (6, 5), 1, 1, 11, (3, 3), pad=(1, 1)),  # channels in fours, and the rest
    Geometry(1, (3, 3), (6, 6), 1, 1, 9, (4, 4), pad=(2, 2), up=(2, 2)),
    Geometry(1, (3, 3), (1, 1), 1, 1, 14, (3, 3)),
    Geometry(1, (1, 40), (1, 20), 3, 5, 1, (1, 7), stride=(1, 2), pad=(0, 3)),
    Geometry(1, (4, 4), (8, 8), 5, 3, 1, (4, 4), pad=(2, 2), up=(2, 2)),  # ConvTranspose
    Geometry(1, (2, 2), (3, 3), 2, 2, 1, (2, 2), pad=(50, 50)),  # nothing meets the input
], ids=["pixel", "same", "depthwise", "odd-depthwise", "depthwise-transpose", "depthwise-pixel",
       "conv1d", "transpose", "outside"])  # fmt: skip
def test_usual_convolutions(form: str, g: Geometry) -> None:
    for optional in (True, False):
        _conv(form, g, seed=1, x_zero=-7, optional=optional)


@pytest.mark.parametrize("form", FORMS)
@CASES
@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 12), SEEDS, st.booleans())
def test_dense(
    form: str, rows: int, in_features: int, out_features: int, seed: int, optional: bool
) -> None:
    layer = Layer(form, np.random.default_rng(seed), (out_features, in_features), optional)
    x = layer.input((rows, in_features))
    name, constants = layer.dense()
    tensors = {"x": x, "y": layer.output((rows, out_features)), **constants}
    numbers = {"rows": rows, "in_features": in_features, "out_features": out_features}
    got = call(name, tensors, **numbers, **layer.numbers())["y"]
    wide = x.astype(layer.weights.dtype)
    sizes = (abs(wide) @ abs(layer.weights).T).max()
    layer.assert_equal(got, wide @ layer.weights.T, float(sizes) * float(abs(layer.m).max()) + 3)


@pytest.mark.parametrize("form", ["i8", "i8_t2"])
def test_extreme_activations_stay_exact(form: str) -> None:
    layer = Layer(form, np.random.default_rng(3), (4, 3000), optional=True)
    x = np.full((2, 3000), -128, np.int8)
    layer.m[:] = [2**31 - 2, -(2**31), 2, 2**30]
    layer.shift, layer.lo, layer.hi = 46, -128, 127
    tensors = {"x": x, "y": layer.output((2, 4)), **layer.tensors()}
    numbers = {"rows": 2, "in_features": 3000, "out_features": 4, **layer.numbers()}
    got = call(f"dense_{form}", tensors, **numbers)["y"]
    np.testing.assert_array_equal(got, layer.expected(x.astype(np.int64) @ layer.weights.T))


def test_invalid_ternary_code_reads_as_zero() -> None:
    for form, one in (("i8f_t2", np.int8(1)), ("f32_t2", np.float32(1))):
        tensors = {
            "x": np.full((1, 7), one), "y": np.zeros((1, 2), np.float32),
            "w": np.full(4, 0b11_01_11_10, np.uint8), "m": np.ones(2, np.float32),
            "b": np.zeros(2, np.float32),
        }  # fmt: skip
        numbers = {"rows": 1, "in_features": 7, "out_features": 2, "lo": -9.0, "hi": 9.0}
        got = call(f"dense_{form}", tensors, **numbers)["y"]
        codes = np.array([0, 1, 0, -1] * 4)[:14].reshape(2, 7)
        np.testing.assert_array_equal(got[0], codes.sum(axis=1))


def test_nan_passes_the_clamp() -> None:
    tensors = {
        "x": np.array([[1, np.nan]], np.float32), "w": np.ones((3, 2), np.float32), "b": None,
        "y": np.zeros((1, 3), np.float32),
    }  # fmt: skip
    got = call("dense_f32", tensors, rows=1, in_features=2, out_features=3, lo=0.0, hi=6.0)["y"]
    assert np.isnan(got).all()


@st.composite
def products(draw: st.DrawFn) -> tuple[Array, Array, dict[str, int]]:
    """Index arrays of a and b (into flat buffers) with the dims and strides that give them."""
    b0, b1, rows, inner, cols = (draw(st.integers(1, 4)) for _ in range(5))
    inner = draw(st.integers(1, 11))

    def strides(dims: tuple[int, ...]) -> list[int]:
        order = draw(st.permutations(range(len(dims))))
        out, step = [0] * len(dims), 1
        for axis in order:
            out[axis] = step if draw(st.integers(0, 5)) else 0  # 0: broadcast
            step *= dims[axis]
        return out

    a, b = strides((b0, b1, rows, inner)), strides((b0, b1, inner, cols))
    numbers = {"batch0": b0, "batch1": b1, "rows": rows, "inner": inner, "cols": cols}
    for name, values in (("a", a), ("b", b)):
        last = ("row", "inner") if name == "a" else ("inner", "col")
        names = ("batch0", "batch1", *last)
        numbers |= {f"{name}_{n}": v for n, v in zip(names, values, strict=True)}

    def index(dims: tuple[int, ...], steps: list[int]) -> Array:
        grid = np.indices(dims)
        return np.tensordot(np.array(steps), grid, axes=1)

    return index((b0, b1, rows, inner), a), index((b0, b1, inner, cols), b), numbers


@CASES
@given(products(), SEEDS)
def test_matmul_f32(product: tuple[Array, Array, dict[str, int]], seed: int) -> None:
    ia, ib, numbers = product
    rng = np.random.default_rng(seed)
    a = rng.normal(size=int(ia.max()) + 1).astype(np.float32)
    b = rng.normal(size=int(ib.max()) + 1).astype(np.float32)
    y = np.zeros((*ia.shape[:3], ib.shape[3]), np.float32)
    got = call("matmul_f32", {"a": a, "b": b, "y": y}, **numbers)["y"]
    wide_a, wide_b = a.astype(np.float64)[ia], b.astype(np.float64)[ib]
    np.testing.assert_allclose(got, wide_a @ wide_b, rtol=1e-6, atol=1e-5)
    assert_sizes_checked("matmul_f32", {"a": a, "b": b, "y": y}, **numbers)


@CASES
@given(products(), SEEDS)
def test_matmul_i8(product: tuple[Array, Array, dict[str, int]], seed: int) -> None:
    ia, ib, numbers = product
    rng = np.random.default_rng(seed)
    a = rng.integers(-128, 128, int(ia.max()) + 1).astype(np.int8)
    b = rng.integers(-128, 128, int(ib.max()) + 1).astype(np.int8)
    a_zero, b_zero, c = (int(v) for v in rng.integers(-128, 128, 3))
    m, shift, lo, hi = int(rng.integers(0, 2**20)) & ~1, 6, -100, 101
    y = np.zeros((*ia.shape[:3], ib.shape[3]), np.int8)
    numbers |= {"a_zero": a_zero, "b_zero": b_zero, "m": m, "c": c, "shift": shift}
    got = call("matmul_i8", {"a": a, "b": b, "y": y}, **numbers, lo=lo, hi=hi)["y"]
    sums = (a.astype(np.int64) - a_zero)[ia] @ (b.astype(np.int64) - b_zero)[ib]
    expected = np.clip((sums * m + (c << 16)) >> (16 + shift), lo, hi)
    np.testing.assert_array_equal(got, expected)
    assert_sizes_checked("matmul_i8", {"a": a, "b": b, "y": y}, **numbers, lo=lo, hi=hi)


@pytest.mark.parametrize("rows", [1, 6])
def test_ranges_write_their_own_outputs(rows: int) -> None:
    for form in FORMS:
        layer = Layer(form, np.random.default_rng(4), (9, 7), True)
        x = layer.input((rows, 7))
        dense = {"rows": rows, "in_features": 7, "out_features": 9, **layer.numbers()}
        name, constants = layer.dense()
        y = layer.output((rows, 9))
        assert_ranges_disjoint(Call(name, {"x": x, "y": y, **constants}, dense))
        tensors = {"x": x, "y": y, **layer.tensors()}
        conv = {**Geometry(rows, (1, 1), (1, 1), 7, 9, 1, (1, 1)).numbers(), **layer.numbers()}
        conv |= {"x_zero": 0} if layer.has_x_zero else {}
        it = Call(f"conv2d_{form}", tensors, conv)
        assert it.rows == (9 if rows == 1 else rows)
        assert_ranges_disjoint(it)


def test_matmul_ranges_write_their_own_outputs() -> None:
    strides = {"a_batch0": 0, "a_batch1": 0, "a_row": 5, "a_inner": 1,
               "b_batch0": 0, "b_batch1": 0, "b_inner": 7, "b_col": 1}
    for rows in (1, 4):
        tensors = {"a": np.ones((rows, 5), np.float32), "b": np.ones((5, 7), np.float32),
                   "y": np.zeros((rows, 7), np.float32)}
        dims = {"batch0": 1, "batch1": 1, "rows": rows, "inner": 5, "cols": 7}
        assert_ranges_disjoint(Call("matmul_f32", tensors, dims | strides))


def _small_conv(form: str) -> tuple[dict[str, Array | None], dict[str, int | float]]:
    g = Geometry(2, (5, 4), (3, 2), 3, 2, 2, (3, 2), stride=(2, 2), pad=(1, 0))
    layer = Layer(form, np.random.default_rng(0), (g.out_c, *g.kernel, g.group_in), True)
    numbers = {**g.numbers(), **layer.numbers()} | ({"x_zero": 0} if layer.has_x_zero else {})
    x, y = layer.input((g.n, *g.size, g.in_c)), layer.output((g.n, *g.out, g.out_c))
    return {"x": x, "y": y, **layer.tensors()}, numbers


@pytest.mark.parametrize("form", FORMS)
def test_conv2d_check_refuses(form: str) -> None:
    tensors, numbers = _small_conv(form)
    assert_sizes_checked(f"conv2d_{form}", tensors, **numbers)
    names = ("n", "in", "out", "kernel", "stride", "dilation", "up", "groups")
    hostile: list[dict[str, int]] = []
    for name in ("n", "in_c", "out_c", "groups", *(f"{n}_{d}" for n in names[1:-1] for d in "hw")):
        hostile += [{name: value} for value in (0, 2**24 + 1, 2**31, 2**32 - 1)]
    for name in ("pad_top", "pad_left"):
        hostile += [{name: value} for value in (2**31 - 1, -(2**31), 2**24 + 1, -(2**24) - 1)]
    hostile += [{"groups": 4}, {"in_c": 3, "out_c": 2}, {"out_h": 2**24, "stride_h": 2**24}]
    hostile += [{"kernel_h": 2**24, "kernel_w": 2**24, "in_c": 2**24, "out_c": 2**24}]
    hostile += [{"n": 2**24, "in_h": 2**24, "in_w": 2**16}]  # 2^64: products must not wrap
    if "x_zero" in numbers:
        hostile += [{"x_zero": 128}, {"x_zero": -129}]
    if "shift" in numbers:
        edge = 2**15 if form.startswith("i16") else 128
        hostile += [{"shift": 47}, {"lo": -edge - 1}, {"hi": edge}, {"lo": 5, "hi": 4}]
    for change in hostile:
        assert Call(f"conv2d_{form}", tensors, {**numbers, **change}).check() != 0, change


@pytest.mark.parametrize("form", FORMS)
def test_dense_check_refuses(form: str) -> None:
    layer = Layer(form, np.random.default_rng(0), (5, 7), True)
    dense, constants = layer.dense()
    tensors = {"x": layer.input((3, 7)), "y": layer.output((3, 5)), **constants}
    numbers = {"rows": 3, "in_features": 7, "out_features": 5, **layer.numbers()}
    assert_sizes_checked(dense, tensors, **numbers)
    for name in ("rows", "in_features", "out_features"):
        for value in (0, 2**24 + 1, 2**32 - 1):
            with pytest.raises(Refused):
                call(dense, tensors, **{**numbers, name: value})


def test_matmul_check_refuses() -> None:
    tensors = {name: np.zeros((1, 1, 1, 1), np.float32) for name in "aby"}
    names = ("batch0", "batch1", "rows", "inner", "cols")
    strides = [f"a_{n}" for n in ("batch0", "batch1", "row", "inner")]
    strides += [f"b_{n}" for n in ("batch0", "batch1", "inner", "col")]
    numbers = dict.fromkeys(names, 1) | dict.fromkeys(strides, 2**32 - 1)
    assert Call("matmul_f32", tensors, numbers).check() == 0
    for name in names:
        for value in (0, 2, 2**24, 2**32 - 1):
            assert Call("matmul_f32", tensors, numbers | {name: value}).check() != 0
