"""Elementwise, number format and reduction kernels against numpy and integer arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.calling import output
from tests.runtime.harness import Array, Call, Refused, assert_sizes_checked

F32 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int8]
I64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8 | np.uint8 | np.bool_]
Shape = tuple[int, ...]
INF = float("inf")
EVERY_I8 = np.arange(-128, 128).astype(np.int8)

_shapes = st.lists(st.integers(1, 5), min_size=1, max_size=6).map(tuple)


def requant(
    acc: Array | int, m: Array | int, c: Array | int, shift: int, lo: int = -128, hi: int = 127
) -> I8:
    """The definition of requantization in design.md, in 64 bits."""
    wide = np.asarray(acc, np.int64) * np.asarray(m, np.int64)
    value = (wide + (np.asarray(c, np.int64) << 16)) >> (16 + shift)
    answer: I8 = np.clip(value, lo, hi).astype(np.int8)
    return answer


def dims_and_strides(shape: Shape, **operands: Shape) -> dict[str, int]:
    """d0..d5 of the shape, and strides of dense operands broadcast to it (`a=(3, 1)`)."""
    numbers = {f"d{i}": d for i, d in enumerate((1,) * (6 - len(shape)) + shape)}
    for letter, own in operands.items():
        own = (1,) * (6 - len(own)) + own
        step = 1
        for i in reversed(range(6)):
            numbers[f"{letter}s{i}"] = step if own[i] > 1 else 0
            step *= own[i]
    return numbers


@st.composite
def broadcasts(draw: st.DrawFn) -> tuple[Shape, Shape, Shape]:
    """A shape and two that broadcast to it."""
    shape = draw(_shapes)

    def smaller() -> Shape:
        own = tuple(d if draw(st.booleans()) else 1 for d in shape)
        return own[draw(st.integers(0, len(own) - 1)) :]

    kind = draw(st.integers(0, 3))
    a = shape if kind != 0 else smaller()
    b = shape if kind in (0, 1) else smaller()
    return shape, a, b


# Two operands
# ------------

_BINARY: list[Callable[[F32, F32], F32]] = [
    np.add, np.subtract, np.multiply, np.divide, np.minimum, np.maximum,
    lambda a, b: np.power(np.abs(a), b), lambda a, b: np.where(a < 0, a * b, a),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(broadcasts(), st.integers(0, 7), st.integers(0, 2**32 - 1), st.booleans())
def test_binary_f32_is_numpy(
    shapes: tuple[Shape, Shape, Shape], op: int, seed: int, clipped: bool
) -> None:
    shape, a_shape, b_shape = shapes
    rng = np.random.default_rng(seed)
    a = rng.normal(size=a_shape).astype(np.float32)
    b = rng.normal(size=b_shape).astype(np.float32)
    a = np.abs(a) if op == 6 else a
    lo, hi = (-0.5, 1.0) if clipped else (-INF, INF)
    expected = np.clip(_BINARY[op](a, b), np.float32(lo), np.float32(hi))
    expected = np.broadcast_to(expected, shape)
    numbers = dims_and_strides(shape, a=a_shape, b=b_shape) | {"op": op, "lo": lo, "hi": hi}
    tensors: dict[str, Array] = {"a": a, "b": b, "y": np.zeros(shape, np.float32)}
    y = output("binary_f32", tensors, numbers)
    np.testing.assert_allclose(y, expected, rtol=1e-6 if op == 6 else 0)
    for name, own in (("a", a_shape), ("b", b_shape)):
        if own == shape:
            again = output("binary_f32", tensors, numbers, name)
            np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize("op", [4, 5])
def test_minimum_and_maximum_propagate_nan(op: int) -> None:
    a = np.array([np.nan, 1, 2], np.float32)
    b = np.array([1, np.nan, 3], np.float32)
    numbers = dims_and_strides((3,), a=(3,), b=(3,)) | {"op": op, "lo": -INF, "hi": INF}
    y = output("binary_f32", {"a": a, "b": b, "y": a}, numbers)
    np.testing.assert_array_equal(y, _BINARY[op](a, b))


def _i8_case(
    seed: int, shapes: tuple[Shape, Shape, Shape]
) -> tuple[dict[str, Array], I64, I64]:
    shape, a_shape, b_shape = shapes
    rng = np.random.default_rng(seed)
    a = rng.integers(-128, 128, a_shape).astype(np.int8)
    b = rng.integers(-128, 128, b_shape).astype(np.int8)
    wide_a, wide_b = (np.broadcast_to(t, shape).astype(np.int64) for t in (a, b))
    return {"a": a, "b": b, "y": np.zeros(shape, np.int8)}, wide_a, wide_b


def _same_in_place(
    name: str, tensors: dict[str, Array], numbers: dict[str, int], expected: Array
) -> None:
    np.testing.assert_array_equal(output(name, tensors, numbers), expected)
    for operand in ("a", "b"):
        if tensors[operand].shape == tensors["y"].shape:
            y = output(name, tensors, numbers, operand)
            np.testing.assert_array_equal(y, expected)


@settings(max_examples=40, deadline=None)
@given(
    broadcasts(), st.integers(0, 2**32 - 1), st.integers(-(2**21), 2**21),
    st.integers(-(2**21), 2**21), st.integers(-(2**28), 2**28), st.integers(0, 31),
)
def test_add_i8_is_the_formula(
    shapes: tuple[Shape, Shape, Shape], seed: int, ma: int, mb: int, c: int, shift: int
) -> None:
    tensors, a, b = _i8_case(seed, shapes)
    expected = np.clip((a * ma + b * mb + c) >> shift, -100, 120)
    numbers = dims_and_strides(shapes[0], a=shapes[1], b=shapes[2])
    numbers |= {"ma": ma, "mb": mb, "c": c, "shift": shift, "lo": -100, "hi": 120}
    _same_in_place("add_i8", tensors, numbers, expected)


@settings(max_examples=40, deadline=None)
@given(
    broadcasts(), st.integers(0, 2**32 - 1), st.integers(-128, 127), st.integers(-128, 127),
    st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(0, 30),
)
def test_mul_i8_is_the_formula(
    shapes: tuple[Shape, Shape, Shape], seed: int, az: int, bz: int, m: int, c: int, shift: int
) -> None:
    tensors, a, b = _i8_case(seed, shapes)
    expected = requant((a - az) * (b - bz), m, c, shift, -128, 126)
    numbers = dims_and_strides(shapes[0], a=shapes[1], b=shapes[2])
    numbers |= {"a_zero": az, "b_zero": bz, "m": m, "c": c, "shift": shift, "lo": -128, "hi": 126}
    _same_in_place("mul_i8", tensors, numbers, expected)


@settings(max_examples=40, deadline=None)
@given(
    broadcasts(), st.integers(0, 2**32 - 1), st.integers(-128, 127), st.integers(-128, 127),
    st.integers(-(2**31), 2**31 - 1), st.integers(0, 46), st.integers(-128, 127),
)
def test_div_i8_is_the_formula(
    shapes: tuple[Shape, Shape, Shape], seed: int, az: int, bz: int, m: int, shift: int, zero: int
) -> None:
    tensors, a, b = _i8_case(seed, shapes)

    def quotient(x: int, y: int) -> int:
        top, bottom = (x - az) * m, (y - bz) << shift
        if bottom == 0:
            level = 0 if top == 0 else 1000 if top > 0 else -1000
        else:
            level = (2 * top + bottom) // (2 * bottom)
        return max(-128, min(127, level + zero))

    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    expected = np.array([quotient(x, y) for x, y in pairs]).reshape(shapes[0])
    numbers = dims_and_strides(shapes[0], a=shapes[1], b=shapes[2])
    numbers |= {"a_zero": az, "b_zero": bz, "m": m, "shift": shift, "zero": zero}
    _same_in_place("div_i8", tensors, numbers | {"lo": -128, "hi": 127}, expected)


_ADD = {"ma": 1, "mb": 1, "c": 0, "shift": 1, "lo": -128, "hi": 127}


def test_operands_of_elementwise_instructions_are_checked() -> None:
    x = np.zeros((2, 3), np.int8)
    good = dims_and_strides((2, 3), a=(2, 3), b=(3,))
    tensors: dict[str, Array] = {"a": x, "b": x[0], "y": x}
    assert_sizes_checked("add_i8", tensors, **good, **_ADD)
    floats: dict[str, Array] = {name: array.astype(np.float32) for name, array in tensors.items()}
    assert_sizes_checked("binary_f32", floats, **good, op=0, lo=0.0, hi=1.0)
    refused = [
        {"as5": -1}, {"as4": 4}, {"bs4": 1}, {"d5": 4}, {"d4": 2**31}, {"d0": 2**32 - 1},
        {"as0": -(2**31), "d0": 2}, {"shift": 32}, {"lo": 1, "hi": 0}, {"lo": -129}, {"hi": 128},
    ]  # fmt: skip
    for change in refused:
        assert Call("add_i8", tensors, good | _ADD | change).check() != 0, change
    huge = {f"d{i}": 2**32 - 1 for i in range(6)} | {f"as{i}": 2**31 - 1 for i in range(6)}
    assert Call("add_i8", tensors, good | _ADD | huge).check() != 0
    with pytest.raises(Refused):
        output("binary_f32", floats, good | {"op": 8, "lo": 0.0, "hi": 1.0})


def test_nothing_is_done_when_a_dim_is_zero() -> None:
    numbers = dims_and_strides((2, 3), a=(2, 3), b=(3,)) | _ADD | {"d1": 0, "d4": 2**32 - 1}
    x = np.full((1,), 7, np.int8)
    tensors: dict[str, Array] = {"a": x, "b": x, "y": x}
    it = Call("add_i8", tensors, numbers)
    assert it.check() == 0
    assert it.rows == 0


# One operand
# -----------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_affine_and_prelu_are_the_formulas(
    outer: int, channels: int, inner: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (outer, channels, inner)
    numbers = {"outer": outer, "channels": channels, "inner": inner}
    x = rng.integers(-128, 128, shape).astype(np.int8)
    m = rng.integers(-(2**31), 2**31, channels).astype(np.int32)
    c = rng.integers(-(2**31), 2**31, channels).astype(np.int32)
    shift, zero, m_pos = (int(rng.integers(*r)) for r in ((0, 25), (-128, 128), (0, 2**31)))
    more = {"shift": shift, "lo": -127, "hi": 127}

    def both(name: str, tensors: dict[str, Array], expected: Array, **own: float) -> None:
        np.testing.assert_array_equal(output(name, tensors, numbers | own), expected)
        y = output(name, tensors, numbers | own, "x")
        np.testing.assert_array_equal(y, expected)
        assert_sizes_checked(name, tensors, **numbers, **own)

    expected = requant(x, m[:, None], c[:, None], shift, -127)
    both("affine_i8", {"x": x, "m": m, "c": c, "y": x}, expected, **more)
    d = x.astype(np.int64) - zero
    slopes = np.where(d >= 0, m_pos, m[:, None])
    expected = requant(d, slopes, int(c[0]), shift, -127)
    slope = {"x_zero": zero, "m_pos": m_pos, "c": int(c[0])}
    both("prelu_i8", {"x": x, "m": m, "y": x}, expected, **slope, **more)
    real = rng.normal(size=shape).astype(np.float32)
    mf, bf = rng.normal(size=(2, channels)).astype(np.float32)
    with np.errstate(all="ignore"):
        expected = np.clip(real * mf[:, None] + bf[:, None], np.float32(-1), np.float32(2))
    both("affine_f32", {"x": real, "m": mf, "b": bf, "y": real}, expected, lo=-1.0, hi=2.0)


def test_affine_refuses_what_overflows() -> None:
    x = np.zeros(4, np.int8)
    one = np.zeros(1, np.int32)
    good = {"outer": 4, "channels": 1, "inner": 1, "shift": 3, "lo": -128, "hi": 127}
    tensors: dict[str, Array] = {"x": x, "m": one, "c": one, "y": x}
    assert Call("affine_i8", tensors, good).check() == 0
    for change in ({"outer": 2**31, "inner": 2**31}, {"shift": 47}, {"hi": 200}, {"channels": 2}):
        assert Call("affine_i8", tensors, good | change).check() != 0, change
    it = Call("affine_i8", tensors, good | {"channels": 0, "outer": 2**32 - 1})
    assert it.check() == 0
    assert it.rows == 0


@pytest.mark.parametrize("types", [(np.int8, np.int8), (np.int8, np.uint8), (np.uint8, np.bool_)])
def test_lut_reads_by_byte(types: tuple[type, type]) -> None:
    x: Bytes = np.arange(256).astype(np.uint8).view(types[0])
    table: Bytes = np.random.default_rng(0).integers(0, 2, 256).astype(types[1])
    tensors: dict[str, Array] = {"x": x, "table": table, "y": np.zeros(256, types[1])}
    y = output("lut_i8", tensors, {"count": 256})
    np.testing.assert_array_equal(y, table[x.view(np.uint8)])
    in_place = output("lut_i8", tensors, {"count": 256}, "x")
    np.testing.assert_array_equal(in_place, y)
    assert_sizes_checked("lut_i8", tensors, count=256)


# Number formats
# --------------

_ODD_FLOATS = np.array(
    [np.nan, INF, -INF, 0.5, 1.5, -0.5, -1.5, 2.5, 1e30, -1e30, 2**31, -(2**31), 0, 3e9, 127.5],
    np.float32,
)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(2**-20, 2**20, width=32), st.integers(-128, 127), st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_quantize_rounds_half_to_even_and_saturates(
    scale: float, zero: int, unsigned: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    halves = (rng.integers(-300, 300, 40) / np.float32(2)).astype(np.float32) * np.float32(scale)
    x = np.concatenate([_ODD_FLOATS, halves, rng.normal(0, 50 * scale, 40)]).astype(np.float32)
    dtype, least = (np.uint8, 0) if unsigned else (np.int8, -128)
    zero += 128 if unsigned else 0
    with np.errstate(all="ignore"):
        level = np.nan_to_num(np.rint(x / np.float32(scale)), nan=0, posinf=1e9, neginf=-1e9)
    level = np.clip(level.astype(np.float64) + zero, least + 2, least + 255)
    tensors: dict[str, Array] = {"x": x, "y": np.zeros(len(x), dtype)}
    numbers = {"count": len(x), "scale": scale, "zero": zero, "lo": least + 2, "hi": least + 255}
    y = output("quantize_i8", tensors, numbers)
    np.testing.assert_array_equal(y, level.astype(dtype))
    assert_sizes_checked("quantize_i8", tensors, **numbers)
    for change in ({"hi": least + 256}, {"lo": least - 1}, {"count": len(x) + 1}):
        assert Call("quantize_i8", tensors, numbers | change).check() != 0
    for bad in (0.0, float("nan"), -1.0, INF):  # hostile, but defined
        output("quantize_i8", tensors, numbers | {"scale": bad})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_dequantize(dtype: type) -> None:
    x: npt.NDArray[np.int8 | np.uint8] = np.arange(256).astype(np.uint8).view(dtype)
    tensors: dict[str, Array] = {"x": x, "y": np.zeros(256, np.float32)}
    y = output("dequantize_i8", tensors, {"count": 256, "scale": 0.037, "zero": -7})
    expected = (x.astype(np.int32) + 7).astype(np.float32) * np.float32(0.037)
    np.testing.assert_array_equal(y, expected)
    assert_sizes_checked("dequantize_i8", tensors, count=256, scale=0.1, zero=0)
    assert Call("dequantize_i8", tensors, {"count": 9, "scale": 1, "zero": 2**31 - 1}).check() != 0


_TYPES = [np.float32, np.int8, np.uint8, np.int16, np.int32, np.bool_]


@pytest.mark.parametrize("source", _TYPES)
@pytest.mark.parametrize("target", _TYPES)
def test_cast(source: type, target: type) -> None:
    if source is np.float32:
        x = np.concatenate([_ODD_FLOATS, np.array([300, -300, 1.7, -1.7, 0.3, 127, 128, 4e4])])
        x = x.astype(np.float32)
    else:
        x = np.array([0, 1, 5, 127, 128, 200, 300, 40000, 2**31 - 1, 2**32 - 3, 2**31], np.int64)
        x = x.astype(source)
    if source is np.float32 and np.issubdtype(target, np.integer):
        bounds = np.iinfo(target)
        expected = np.clip(np.trunc(np.nan_to_num(x.astype(np.float64))), bounds.min, bounds.max)
    else:
        expected = x  # integers convert modulo 2^bits, as numpy does
    tensors: dict[str, Array] = {"x": x, "y": np.zeros(len(x), target)}
    y = output("cast", tensors, {"count": len(x)})
    np.testing.assert_array_equal(y, expected.astype(target))
    for name in tensors:
        size = tensors[name].itemsize
        assert Call("cast", tensors, {"count": len(x)}, shrink={name: size}).check() != 0
