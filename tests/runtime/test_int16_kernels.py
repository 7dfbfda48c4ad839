"""The int16 kernels beside the multiply-accumulate ones, against their formulas in numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.calling import output
from tests.runtime.harness import Array, Call, assert_sizes_checked
from tests.runtime.test_elementwise_kernels import Shape, broadcasts, dims_and_strides
from tests.runtime.test_mac_kernels import products
from tests.runtime.test_pool_kernels import Pool, pools

Wide = npt.NDArray[np.int64]
LOWEST, HIGHEST = -(2**15), 2**15 - 1
EVERY = np.arange(LOWEST, HIGHEST + 1).astype(np.int16)
_seeds = st.integers(0, 2**32 - 1)
_cases = settings(max_examples=50, deadline=None)
_narrow = st.booleans()  # an int8 result


def requant(acc: Any, m: Any, c: Any, shift: int, lo: int, hi: int) -> Wide:
    """The definition of requantization, in unbounded integers."""
    wide = np.asarray(acc, object) * np.asarray(m, object) + np.asarray(c, object) * 2**16
    result: Wide = np.clip((wide >> (16 + shift)).astype(object), lo, hi).astype(np.int64)
    return result


def edges(narrow: bool) -> tuple[type, int, int]:
    return (np.int8, -128, 127) if narrow else (np.int16, LOWEST, HIGHEST)


def numbers16(rng: np.random.Generator, shape: Shape) -> npt.NDArray[np.int16]:
    """Numbers of every size, the extremes among them."""
    wide = rng.integers(LOWEST, HIGHEST + 1, shape) >> rng.integers(0, 15, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice([LOWEST, HIGHEST, 0], shape), wide).astype(
        np.int16)


def multiplier(rng: np.random.Generator, size: int | None = None) -> Any:
    return rng.integers(-(2**31), 2**31, size) >> rng.integers(0, 20, size)


# Two operands
# ------------


@_cases
@given(broadcasts(), _seeds, st.integers(0, 40), _narrow)
def test_add_is_the_formula(
    shapes: tuple[Shape, Shape, Shape], seed: int, shift: int, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    a, b = numbers16(rng, shapes[1]), numbers16(rng, shapes[2])
    dtype, lo, hi = edges(narrow)
    ma, mb, c = (int(multiplier(rng)) for _ in range(3))
    exact = np.broadcast_to(a, shapes[0]).astype(object) * ma
    exact = exact + np.broadcast_to(b, shapes[0]).astype(object) * mb + c * 2**16
    expected = np.clip((exact >> (16 + shift)).astype(object), lo, hi).astype(np.int64)
    numbers = dims_and_strides(shapes[0], a=shapes[1], b=shapes[2])
    numbers |= {"ma": ma, "mb": mb, "c": c, "shift": shift, "lo": lo, "hi": hi}
    tensors: dict[str, Array] = {"a": a, "b": b, "y": np.zeros(shapes[0], dtype)}
    np.testing.assert_array_equal(output("add_i16", tensors, numbers), expected)
    for operand in ("a", "b"):
        if not narrow and tensors[operand].shape == shapes[0]:
            same = output("add_i16", tensors, numbers, operand)
            np.testing.assert_array_equal(same, expected)


@_cases
@given(broadcasts(), _seeds, st.integers(0, 46), _narrow)
def test_mul_is_the_formula(
    shapes: tuple[Shape, Shape, Shape], seed: int, shift: int, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    a, b = numbers16(rng, shapes[1]), numbers16(rng, shapes[2])
    dtype, lo, hi = edges(narrow)
    m, c = int(multiplier(rng)), int(multiplier(rng))
    numbers = dims_and_strides(shapes[0], a=shapes[1], b=shapes[2])
    numbers |= {"m": m, "c": c, "shift": shift, "lo": lo, "hi": hi}
    tensors: dict[str, Array] = {"a": a, "b": b, "y": np.zeros(shapes[0], dtype)}
    product = np.broadcast_to(a, shapes[0]).astype(np.int64) * np.broadcast_to(b, shapes[0])
    expected = requant(product, m, c, shift, lo, hi)
    np.testing.assert_array_equal(output("mul_i16", tensors, numbers), expected)


@_cases
@given(broadcasts(), _seeds, st.integers(0, 46), _narrow)
def test_div_is_the_formula(
    shapes: tuple[Shape, Shape, Shape], seed: int, shift: int, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    a, b = numbers16(rng, shapes[1]), numbers16(rng, shapes[2])
    dtype, lo, hi = edges(narrow)
    m, zero = int(abs(multiplier(rng))) & (2**31 - 1), int(rng.integers(-5, 6)) if narrow else 0
    numbers = dims_and_strides(shapes[0], a=shapes[1], b=shapes[2])
    numbers |= {"m": m, "zero": zero, "shift": shift, "lo": lo, "hi": hi}
    tensors: dict[str, Array] = {"a": a, "b": b, "y": np.zeros(shapes[0], dtype)}
    expected = np.zeros(shapes[0], np.int64)
    for at in np.ndindex(*shapes[0]):
        p = int(np.broadcast_to(a, shapes[0])[at]) * m
        q = int(np.broadcast_to(b, shapes[0])[at]) << shift
        if q == 0:
            value = zero if p == 0 else hi if p > 0 else lo
        else:
            value = (2 * p + q) // (2 * q) + zero  # floor(p/q + 1/2)
        expected[at] = min(max(value, lo), hi)
    np.testing.assert_array_equal(output("div_i16", tensors, numbers), expected)


@_cases
@given(products(), _seeds, _narrow)
def test_matmul_is_the_formula(
    product: tuple[Array, Array, dict[str, int]], seed: int, narrow: bool
) -> None:
    ia, ib, numbers = product
    rng = np.random.default_rng(seed)
    a, b = (numbers16(rng, (int(i.max()) + 1,)) for i in (ia, ib))
    dtype, lo, hi = edges(narrow)
    m, c, shift = int(rng.integers(0, 2**24)) & ~1, int(rng.integers(-999, 999)), 12
    y = np.zeros((*ia.shape[:3], ib.shape[3]), dtype)
    numbers = numbers | {"m": m, "c": c, "shift": shift, "lo": lo, "hi": hi}
    tensors: dict[str, Array] = {"a": a, "b": b, "y": y}
    sums = a.astype(np.int64)[ia] @ b.astype(np.int64)[ib]
    expected = requant(sums, m, c, shift, lo, hi)
    np.testing.assert_array_equal(output("matmul_i16", tensors, numbers), expected)
    if not narrow:
        assert_sizes_checked("matmul_i16", tensors, **numbers)


def test_matmul_sums_beyond_32_bits() -> None:
    a = np.full((1, 300), LOWEST, np.int16)
    strides = {"a_batch0": 0, "a_batch1": 0, "a_row": 300, "a_inner": 1,
               "b_batch0": 0, "b_batch1": 0, "b_inner": 1, "b_col": 0}
    dims = {"batch0": 1, "batch1": 1, "rows": 1, "inner": 300, "cols": 1}
    numbers = dims | strides | {"m": 2**22, "c": 0, "shift": 30, "lo": LOWEST, "hi": HIGHEST}
    got = output("matmul_i16", {"a": a, "b": a, "y": np.zeros((1, 1), np.int16)}, numbers)
    assert got.item() == min(300 * 2**30 * 2**22 >> 46, HIGHEST) == 19200


# One operand
# -----------


@_cases
@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 5), _seeds, st.booleans(), _narrow)
def test_affine_is_the_formula(
    outer: int, channels: int, inner: int, seed: int, leaky: bool, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = numbers16(rng, (outer, channels, inner))
    dtype, lo, hi = edges(narrow)
    m, n, c = (multiplier(rng, channels).astype(np.int32) for _ in range(3))
    shift = int(rng.integers(0, 31))
    tensors: dict[str, Array | None] = {
        "x": x, "m": m, "n": n if leaky else None, "c": c, "y": np.zeros(x.shape, dtype)}
    numbers = {"outer": outer, "channels": channels, "inner": inner, "shift": shift, "lo": lo,
               "hi": hi}
    each = np.where((x < 0) & leaky, n[:, None], m[:, None])
    expected = requant(x, each, np.broadcast_to(c[:, None], x.shape), shift, lo, hi)
    np.testing.assert_array_equal(output("affine_i16", tensors, numbers), expected)
    if not narrow:
        np.testing.assert_array_equal(output("affine_i16", tensors, numbers, "x"), expected)
        assert_sizes_checked("affine_i16", tensors, **numbers)


@settings(max_examples=20, deadline=None)
@given(_seeds, st.floats(1e-6, 1e3), st.sampled_from([(LOWEST, HIGHEST), (-50, 900)]))
def test_convert_is_onnx(seed: int, scale: float, limits: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    step = np.float32(scale)
    x = (rng.normal(0, 20_000, 200) * step).astype(np.float32)
    x[:3] = [np.inf, -np.inf, np.nan]
    x[3:6] = np.array([0.5, 1.5, -0.5], np.float32) * step
    numbers = {"count": 200, "scale": float(step), "lo": limits[0], "hi": limits[1]}
    y = output("convert_i16", {"x": x, "y": np.zeros(200, np.int16)}, numbers)
    with np.errstate(over="ignore"):
        exact = np.nan_to_num(np.rint(x / step).astype(np.float64), nan=0.0)
    np.testing.assert_array_equal(y, np.clip(exact, *limits))
    back = output("convert_i16", {"x": y, "y": np.zeros(200, np.float32)}, numbers)
    np.testing.assert_array_equal(back, y.astype(np.float32) * step)


def test_convert_refuses() -> None:
    floats, ints = np.zeros(8, np.float32), np.zeros(8, np.int16)
    numbers = {"count": 8, "scale": 1.0, "lo": LOWEST, "hi": HIGHEST}
    assert Call("convert_i16", {"x": floats, "y": ints}, numbers).check() == 0
    assert Call("convert_i16", {"x": ints, "y": floats}, numbers).check() == 0
    wrong: list[tuple[Array, Array]] = [
        (floats, floats), (ints, ints), (floats[:7], ints), (ints, floats[:7])]
    for x, y in wrong:
        assert Call("convert_i16", {"x": x, "y": y}, numbers).check() != 0
    for change in ({"lo": LOWEST - 1}, {"hi": HIGHEST + 1}, {"lo": 3, "hi": 2}):
        assert Call("convert_i16", {"x": floats, "y": ints}, numbers | change).check() != 0


def _table(rng: np.random.Generator, most: int) -> tuple[Array, Array]:
    """Random segments and nodes that fit."""
    steps = rng.integers(0, 11, 64)
    sizes = (1024 >> steps) + 1
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    nodes = rng.integers(-(most + 1) * 16, (most + 1) * 16 + 1, int(sizes.sum()))
    return (first << 4 | steps).astype(np.int32), nodes.astype(np.int32)


@settings(max_examples=20, deadline=None)
@given(_seeds, _narrow)
def test_table_interpolates_every_number(seed: int, narrow: bool) -> None:
    rng = np.random.default_rng(seed)
    dtype, _, hi = edges(narrow)
    segments, nodes = _table(rng, hi)
    tensors: dict[str, Array] = {"x": EVERY, "segments": segments, "nodes": nodes,
                                 "y": np.zeros(EVERY.size, dtype)}
    got = output("table_i16", tensors, {"count": EVERY.size})
    expected = []
    for number in EVERY.tolist():
        u = number + 2**15
        first, step = int(segments[u >> 10]) >> 4, int(segments[u >> 10]) & 15
        at, part = first + ((u & 1023) >> step), (u & 1023) % 2**step
        low, high = int(nodes[at]), int(nodes[at + 1])
        fine = low + (((high - low) * part + ((1 << step) >> 1)) >> step)
        expected.append(min((fine + 8) >> 4, hi))
    np.testing.assert_array_equal(got, expected)


def test_table_refuses() -> None:
    rng = np.random.default_rng(0)
    segments, nodes = _table(rng, HIGHEST)
    x = np.zeros(5, np.int16)
    tensors: dict[str, Array] = {"x": x, "segments": segments, "nodes": nodes, "y": x}
    assert_sizes_checked("table_i16", tensors, count=5)
    for at, value in ((0, 11), (63, nodes.size << 4), (5, (nodes.size - 1) << 4 | 10), (9, -1)):
        wrong = segments.copy()
        wrong[at] = value
        assert Call("table_i16", tensors | {"segments": wrong}, {"count": 5}).check() != 0, value
    for value in (2**19 + 1, -(2**19) - 1, 2**31 - 1, -(2**31)):
        wrong = nodes.copy()
        wrong[-1] = value
        assert Call("table_i16", tensors | {"nodes": wrong}, {"count": 5}).check() != 0, value


# Windows and axes
# ----------------


@settings(max_examples=60, deadline=None)
@given(pools(), st.integers(0, 1), st.booleans(), _seeds, _narrow)
def test_pools_are_the_formulas(
    pool: Pool, include_pad: int, one: bool, seed: int, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = numbers16(rng, (pool.batch, *pool.size, pool.channels))
    out = tuple(
        (pool.size[i] + pool.begin[i] + pool.end[i] - (pool.kernel[i] - 1) * pool.dilation[i] - 1)
        // pool.stride[i] + 1 for i in range(2))
    shape = (pool.batch, *out, pool.channels)
    numbers = pool.numbers((out[0], out[1]))
    most = np.full(shape, LOWEST, np.int64)
    sums = np.zeros(shape, np.int64)
    divisors = np.zeros(out, np.int64)
    for row, column in np.ndindex(*out):
        at = [pool.positions(axis, index) for axis, index in enumerate((row, column))]
        window = x[:, at[0]][:, :, at[1]].astype(np.int64)
        sums[:, row, column] = window.sum(axis=(1, 2))
        if window.size:
            most[:, row, column] = window.max(axis=(1, 2))
        counted = [len(pool.positions(axis, index, bool(include_pad)))
                   for axis, index in enumerate((row, column))]
        divisors[row, column] = counted[0] * counted[1]
    tensors: dict[str, Array] = {"x": x, "y": np.zeros(shape, np.int16)}
    np.testing.assert_array_equal(output("maxpool_i16", tensors, numbers), most)
    assert_sizes_checked("maxpool_i16", tensors, **numbers)

    dtype, lo, hi = edges(narrow)
    count = 1 if one else pool.kernel[0] * pool.kernel[1]
    m = (2**26 // (1 + np.arange(count))).astype(np.int32)
    scale = m[np.zeros_like(divisors) if one else np.maximum(divisors - 1, 0)].astype(np.int64)
    expected = requant(sums, np.broadcast_to(scale[:, :, None], shape), 5 << 9, 10, lo, hi)
    numbers |= pool.ends() | {"include_pad": include_pad, "m_count": count, "c": 5 << 9,
                              "shift": 10, "lo": lo, "hi": hi}
    mean: dict[str, Array] = {"x": x, "m": m, "y": np.zeros(shape, dtype)}
    np.testing.assert_array_equal(output("avgpool_i16", mean, numbers), expected)
    if not narrow:
        assert_sizes_checked("avgpool_i16", mean, **numbers)


def test_a_mean_of_the_most_taps_is_exact() -> None:
    """2^16 taps, each the lowest number: the sum is -2^31."""
    x = np.full((1, 256, 256, 1), LOWEST, np.int16)
    names = {"n": 1, "in_h": 256, "in_w": 256, "channels": 1, "out_h": 1, "out_w": 1,
             "kernel_h": 256, "kernel_w": 256, "stride_h": 1, "stride_w": 1, "dilation_h": 1,
             "dilation_w": 1, "pad_top": 0, "pad_left": 0, "pad_bottom": 0, "pad_right": 0,
             "include_pad": 0, "m_count": 1, "c": 0, "shift": 14, "lo": LOWEST, "hi": HIGHEST}
    tensors: dict[str, Array] = {
        "x": x, "m": np.array([2**14], np.int32), "y": np.zeros((1, 1, 1, 1), np.int16)}
    assert output("avgpool_i16", tensors, names).item() == LOWEST
    assert Call("avgpool_i16", tensors, names | {"kernel_h": 257}).check() != 0


def _exponentials(scale: float) -> npt.NDArray[np.int32]:
    each = np.arange(256) * scale
    table = np.rint(np.exp(-np.concatenate([256 * each, each])) * 2.0**31)
    bits: npt.NDArray[np.int32] = table.astype(np.uint32).view(np.int32)
    return bits


@_cases
@given(
    st.integers(1, 3), st.sampled_from([1, 2, 10, 300, 1500]), st.integers(1, 3),
    st.floats(2e-5, 0.01), _seeds, _narrow,
)  # fmt: skip
def test_softmax_is_the_formula_and_within_one_of_float(
    outer: int, n: int, inner: int, scale: float, seed: int, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(0, 10_000, (outer, n, inner)), LOWEST, HIGHEST).astype(np.int16)
    dtype, lo, hi = edges(narrow)
    table = _exponentials(scale)
    out_scale, zero = (1 / 256, -128) if narrow else (2.0**-15, 0)
    numbers = {"outer": outer, "n": n, "inner": inner, "zero": zero, "lo": lo, "hi": hi}
    numbers["multiplier"] = round(2**16 / out_scale)
    tensors: dict[str, Array] = {"x": x, "table": table, "y": np.zeros(x.shape, dtype)}
    y = output("softmax_i16", tensors, numbers)
    d = x.max(axis=1, keepdims=True).astype(np.int64) - x
    entries = table.view(np.uint32).astype(object)
    t = (entries[d >> 8] * entries[256 + (d & 255)]) >> 32
    total = t.sum(axis=1, keepdims=True)
    level = (t * numbers["multiplier"] + total * 2**15) // (total * 2**16)
    np.testing.assert_array_equal(y, np.clip((level + zero).astype(np.int64), lo, hi))
    if not narrow:
        np.testing.assert_array_equal(output("softmax_i16", tensors, numbers, "x"), y)
        assert_sizes_checked("softmax_i16", tensors, **numbers)
    powers = np.exp(-d * scale)
    real = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(y - np.clip(np.rint(real / out_scale) + zero, lo, hi)).max() <= 1


def test_softmax_refuses() -> None:
    x = np.zeros((1, 4, 1), np.int16)
    numbers = {"outer": 1, "n": 4, "inner": 1, "multiplier": 2**31, "zero": 0, "lo": 0, "hi": 1}
    good = _exponentials(0.01)
    tensors: dict[str, Array] = {"x": x, "table": good, "y": x}
    assert Call("softmax_i16", tensors, numbers).check() == 0
    assert Call("softmax_i16", tensors, numbers | {"outer": 2**32 - 1}).check() != 0
    for at in (0, 256):
        table = good.copy()
        table[at] = 0
        assert Call("softmax_i16", tensors | {"table": table}, numbers).check() != 0
    large = np.full(512, -1, np.int32)
    assert Call("softmax_i16", tensors | {"table": large}, numbers).check() != 0
    many = np.zeros((1, 2**16 + 1, 1), np.int16)
    wide: dict[str, Array] = {"x": many, "table": good, "y": many}
    assert Call("softmax_i16", wide, numbers | {"n": 2**16}).check() == 0
    assert Call("softmax_i16", wide, numbers | {"n": 2**16 + 1}).check() != 0


@_cases
@given(
    st.integers(1, 3), st.sampled_from([1, 2, 3, 10, 64, 700, 4096]),
    st.sampled_from([0, 1, 1000, 2**33 + 5, 2**45, 2**62 - 1]),
    st.sampled_from(["wide", "narrow", "constant", "extreme", "one"]), _seeds, _narrow,
)  # fmt: skip
def test_layernorm_is_the_definition(
    outer: int, n: int, epsilon: int, kind: str, seed: int, narrow: bool
) -> None:
    rng = np.random.default_rng(seed)
    kinds: dict[str, Array] = {
        "wide": numbers16(rng, (outer, n)),
        "narrow": rng.integers(-2, 2, (outer, n)) + 30_000,
        "constant": np.full((outer, n), LOWEST),
        "extreme": rng.choice([LOWEST, HIGHEST], (outer, n)),
        "one": np.where(np.arange(n) == n - 1, HIGHEST, np.full((outer, n), LOWEST)),
    }
    x = kinds[kind].astype(np.int16)
    dtype, lo, hi = edges(narrow)
    m, c = (rng.integers(-(2**31), 2**31, n).astype(np.int32) for _ in range(2))
    shift = int(rng.integers(10, 40))
    rows = []
    for row in x.astype(object):
        total = sum(row)
        v = n * sum(row * row) - total * total + epsilon
        k, q = 0, 0
        if v > 0:
            while (v << (2 * k)) < 2**62:
                k += 1
            q = 2**63 // math.isqrt(v << (2 * k))
        a = [((n * value - total) * q) >> (43 - k) for value in row]
        exact = [(n * int(value) - int(total)) * 2**20 / math.sqrt(v or 1) for value in row]
        assert np.abs(np.floor(exact) - np.array(a, float)).max(initial=0) <= 1
        rows.append(a)
    normal = np.array(rows, object).reshape(x.shape)
    expected = requant(normal, m, c, shift, lo, hi)
    numbers = {"outer": outer, "n": n, "shift": shift, "lo": lo, "hi": hi,
               "epsilon_lo": epsilon & 0xFFFFFFFF, "epsilon_hi": epsilon >> 32}
    tensors: dict[str, Array] = {"x": x, "m": m, "c": c, "y": np.zeros(x.shape, dtype)}
    np.testing.assert_array_equal(output("layernorm_i16", tensors, numbers), expected)
    if not narrow:
        same = output("layernorm_i16", tensors, numbers, "x")
        np.testing.assert_array_equal(same, expected)
        assert_sizes_checked("layernorm_i16", tensors, **numbers)


@_cases
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), _seeds, st.booleans(),
       st.booleans())
def test_argmax_is_numpy(
    outer: int, n: int, inner: int, seed: int, last: bool, least: bool
) -> None:
    x = (np.random.default_rng(seed).integers(-3, 4, (outer, n, inner)) * 10_000).astype(np.int16)
    tensors: dict[str, Array] = {"x": x, "y": np.zeros((outer, inner), np.int32)}
    numbers = {"outer": outer, "n": n, "inner": inner, "select_last": int(last),
               "minimum": int(least)}
    signed = -x.astype(np.int64) if least else x.astype(np.int64)
    expected = n - 1 - signed[:, ::-1].argmax(axis=1) if last else signed.argmax(axis=1)
    np.testing.assert_array_equal(output("argmax_i16", tensors, numbers), expected)
    assert_sizes_checked("argmax_i16", tensors, **numbers)


@pytest.mark.parametrize("name", ["add_i16", "mul_i16", "div_i16"])
def test_elementwise_refuses(name: str) -> None:
    x = np.zeros((2, 3), np.int16)
    numbers = dims_and_strides((2, 3), a=(2, 3), b=(2, 3))
    more = {"add_i16": ("ma", "mb", "c"), "mul_i16": ("m", "c"), "div_i16": ("m", "zero")}[name]
    numbers |= dict.fromkeys(more, 1) | {"shift": 46, "lo": LOWEST, "hi": HIGHEST}
    tensors: dict[str, Array] = {"a": x, "b": x, "y": x}
    assert_sizes_checked(name, tensors, **numbers)
    for change in ({"shift": 47}, {"lo": LOWEST - 1}, {"hi": HIGHEST + 1}, {"d5": 4},
                   {"as5": 2}, {"lo": 2, "hi": 1}):
        assert Call(name, tensors, numbers | change).check() != 0, change
