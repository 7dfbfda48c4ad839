"""Data movement and index kernels against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.calling import output
from tests.runtime.harness import Array, Call, assert_sizes_checked, call

_TYPES = {1: np.int8, 2: np.int16, 4: np.float32}


def _numbers(x: Array, shape: tuple[int, ...], xs: list[int], ys: list[int]) -> dict[str, int]:
    pad = 6 - len(shape)
    numbers = {"size": x.itemsize, "x_offset": 0, "y_offset": 0}
    for i in range(6):
        numbers[f"d{i}"] = shape[i - pad] if i >= pad else 1
        numbers[f"xs{i}"] = xs[i - pad] if i >= pad else 0
        numbers[f"ys{i}"] = ys[i - pad] if i >= pad else 0
    return numbers


def _strides(view: Array) -> list[int]:
    return [stride // view.itemsize for stride in view.strides]


def _offset(view: Array, base: Array) -> int:
    distance: int = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return distance // base.itemsize


def _ramp(shape: tuple[int, ...], size: int) -> Array:
    return np.arange(int(np.prod(shape)) if shape else 1).astype(_TYPES[size]).reshape(shape)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from([1, 2, 4]))
def test_copy_nd_between_any_two_views(data: st.DataObject, size: int) -> None:
    """A transposed, sliced, reversed, broadcast view into a window of another tensor."""
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=6)))
    x = _ramp(shape, size)
    view: Array = x.transpose(data.draw(st.permutations(range(len(shape)))))
    for axis, dim in enumerate(view.shape):
        start = data.draw(st.integers(0, dim - 1))
        step = data.draw(st.sampled_from([1, 1, 2, -1]))
        view = view[(slice(None),) * axis + (slice(start, None, step),)]
    if len(shape) < 6 and data.draw(st.booleans()):
        view = np.broadcast_to(view, (3, *view.shape))
    margins = [data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in view.shape]
    inside = tuple(slice(m[0], m[0] + d) for d, m in zip(view.shape, margins, strict=True))
    y = np.full([d + sum(m) for d, m in zip(view.shape, margins, strict=True)], 99, x.dtype)
    numbers = _numbers(x, view.shape, _strides(view), _strides(y[inside]))
    numbers |= {"x_offset": _offset(view, x), "y_offset": _offset(y[inside], y)}
    expected = y.copy()
    expected[inside] = view
    np.testing.assert_array_equal(output("copy_nd", {"x": x, "y": y}, numbers), expected)


def test_copy_nd_refuses_what_leaves_its_tensors() -> None:
    x = _ramp((4, 6), 4)
    good = _numbers(x, (4, 6), [6, 1], [6, 1])
    assert_sizes_checked("copy_nd", {"x": x, "y": x}, **good)
    refused = [
        {"x_offset": 1}, {"y_offset": 1}, {"x_offset": 2**32 - 1}, {"xs5": 2}, {"ys5": -1},
        {"xs4": -6}, {"d4": 5}, {"d3": 2, "xs3": 0, "ys3": 0}, {"d0": 2**32 - 1}, {"size": 1},
        {"size": 3}, {"size": 0}, {"d3": 2, "ys3": -(2**31)}, {"d3": 2**31, "xs3": 2**31 - 1},
    ]  # fmt: skip
    for change in refused:
        assert Call("copy_nd", {"x": x, "y": x}, good | change).check() != 0, change
    same = Call("copy_nd", {"x": x, "y": x}, good, alias={"y": "x"})
    assert same.check() != 0
    reverse = good | {"xs4": -6, "x_offset": 18}
    y = output("copy_nd", {"x": x, "y": x}, reverse)
    np.testing.assert_array_equal(y, x[::-1])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_fill(size: int) -> None:
    value = 0x12348FA7
    y = np.zeros(13, _TYPES[size])
    out = output("fill", {"y": y}, {"size": size, "value": value, "count": 11})
    expected = value.to_bytes(4, "little")[:size] * 11
    assert out[:11].tobytes() == expected
    assert_sizes_checked("fill", {"y": y}, size=size, value=0, count=13)
    for change in ({"count": 14}, {"count": 2**32 - 1}, {"size": 8}, {"size": 0}):
        assert Call("fill", {"y": y}, {"size": size, "value": 0, "count": 1} | change).check() != 0


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 2, 4]), st.integers(1, 4), st.integers(1, 6), st.integers(1, 5),
    st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-7, 7), min_size=1, max_size=6),
)
def test_gather(size: int, outer: int, axis: int, inner: int, indices: list[int]) -> None:
    x = _ramp((outer, axis, inner), size)
    y = np.zeros((outer, len(indices), inner), x.dtype)
    numbers = {"size": size, "outer": outer, "axis": axis, "inner": inner}
    numbers["n_indices"] = len(indices)
    tensors: dict[str, Array] = {"x": x, "indices": np.array(indices, np.int32), "y": y}
    nearest = [min(max(i + axis if i < 0 else i, 0), axis - 1) for i in indices]
    np.testing.assert_array_equal(output("gather", tensors, numbers), x[:, nearest])
    assert_sizes_checked("gather", tensors, **numbers)
    for change in ({"axis": 0}, {"outer": 2**31, "inner": 2**31}, {"n_indices": 2**32 - 1}):
        assert Call("gather", tensors, numbers | change).check() != 0
    it = Call("gather", tensors, numbers | {"inner": 0, "outer": 2**32 - 1, "axis": 2**32 - 1})
    assert it.check() == 0
    assert it.rows == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.booleans(),
    st.booleans(), st.integers(0, 2**32 - 1),
)
def test_argmax(
    outer: int, n: int, inner: int, last: bool, minimum: bool, real: bool, seed: int
) -> None:
    x = np.random.default_rng(seed).integers(-3, 3, (outer, n, inner))
    best = x.min(axis=1, keepdims=True) if minimum else x.max(axis=1, keepdims=True)
    ties = x == best
    expected = n - 1 - ties[:, ::-1].argmax(axis=1) if last else ties.argmax(axis=1)
    name = "argmax_f32" if real else "argmax_i8"
    tensors: dict[str, Array] = {
        "x": x.astype(np.float32 if real else np.int8), "y": np.zeros((outer, inner), np.int32),
    }  # fmt: skip
    numbers = {"outer": outer, "n": n, "inner": inner}
    numbers |= {"select_last": int(last), "minimum": int(minimum)}
    np.testing.assert_array_equal(output(name, tensors, numbers), expected)
    assert_sizes_checked(name, tensors, **numbers)
    assert Call(name, tensors, numbers | {"n": 0}).check() != 0


def _nd(shape: tuple[int, ...], a: list[int], b: list[int]) -> dict[str, int]:
    pad = 6 - len(shape)
    numbers = {f"d{i}": shape[i - pad] if i >= pad else 1 for i in range(6)}
    for name, strides in (("as", a), ("bs", b)):
        numbers |= {f"{name}{i}": strides[i - pad] if i >= pad else 0 for i in range(6)}
    return numbers


_COMPARED = (np.float32, np.int8, np.uint8, np.int16, np.int32)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(_COMPARED), st.integers(0, 7), st.integers(1, 4), st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)
def test_compare(dtype: type, table: int, rows: int, columns: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    a: Array = draw.integers(0, 3, (rows, columns)).astype(dtype)
    b: Array = draw.integers(0, 3, columns).astype(dtype)
    if dtype is np.float32:
        a[draw.random(a.shape) < 0.2] = np.nan
    tensors: dict[str, Array] = {"a": a, "b": b, "y": np.zeros((rows, columns), np.bool_)}
    numbers = _nd((rows, columns), [columns, 1], [0, 1]) | {"table": table}
    outcome = (a < b) * 1 + (a == b) * 2 + (a > b) * 4
    np.testing.assert_array_equal(output("compare", tensors, numbers), (outcome & table) != 0)
    assert_sizes_checked("compare", tensors, **numbers)
    other: Array = b.astype(np.int16 if dtype is not np.int16 else np.int8)
    assert Call("compare", {**tensors, "b": other}, numbers).check() != 0


@pytest.mark.parametrize("table", range(16))
def test_compare_of_bool_takes_any_byte_but_0_for_true(table: int) -> None:
    a, b = (np.array(values, np.uint8).view(np.bool_) for values in ([0, 0, 2, 255], [0, 7, 0, 1]))
    y = output("compare", {"a": a, "b": b, "y": np.zeros(4, np.bool_)},
               _nd((4,), [1], [1]) | {"table": table})
    assert [int(value) for value in y] == [table >> i & 1 for i in range(4)]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([1, 2, 4]), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1),
)
def test_where(size: int, rows: int, columns: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    condition = draw.integers(0, 3, (rows, columns), np.uint8).view(np.bool_)
    a, b = _ramp((rows, columns), size), (-_ramp((rows, 1), size)).astype(_TYPES[size])
    tensors: dict[str, Array] = {
        "condition": condition, "a": a, "b": b, "y": np.zeros((rows, columns), a.dtype)}
    numbers = _nd((rows, columns), [columns, 1], [1, 0]) | {"size": size}
    wanted = np.where(condition.view(np.uint8) != 0, a, b)
    np.testing.assert_array_equal(output("where", tensors, numbers), wanted)
    np.testing.assert_array_equal(output("where", tensors, numbers, "a"), wanted)
    assert_sizes_checked("where", tensors, **numbers)
    for change in ({"size": 3}, {"d5": columns + 1}, {"as5": 2}):
        if change != {"as5": 2} or columns > 1:
            assert Call("where", tensors, numbers | change).check() != 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.data(),
)
def test_resample(outer: int, axis: int, inner: int, n: int, data: st.DataObject) -> None:
    taps = data.draw(st.integers(1, axis))
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = draw.uniform(-1, 1, (outer, axis, inner)).astype(np.float32)
    w = draw.uniform(-1, 1, (n, taps)).astype(np.float32)
    first = draw.integers(-2, axis + 2, n, np.int32)
    w[0, 0] = 0
    x[:, np.clip(first[0], 0, axis - taps)] = np.inf if n == 1 and taps == 1 else 1
    wanted = np.zeros((outer, n, inner), np.float32)
    for k in range(n):
        start = int(np.clip(first[k], 0, axis - taps))
        for t in range(taps):
            if w[k, t] != 0:
                wanted[:, k] += w[k, t] * x[:, start + t]
    tensors: dict[str, Array] = {"x": x, "first": first, "w": w, "y": np.zeros_like(wanted)}
    numbers = {"outer": outer, "axis": axis, "inner": inner, "n": n, "taps": taps}
    np.testing.assert_allclose(output("resample_f32", tensors, numbers), wanted, rtol=1e-6,
                               atol=1e-6)
    assert_sizes_checked("resample_f32", tensors, **numbers)
    for change in ({"taps": 0}, {"taps": axis + 1}, {"outer": 2**31, "inner": 2**31}):
        assert Call("resample_f32", tensors, numbers | change).check() != 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 3), st.integers(1, 9),
    st.lists(st.integers(-2, 10) | st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9),
)
def test_scatter(op: int, count: int, indices: list[int]) -> None:
    draw = np.random.default_rng(count)
    x, u = (draw.integers(-5, 6, size).astype(np.float32) for size in (count, len(indices)))
    u[0] = np.nan
    function = (np.add, np.multiply, np.minimum, np.maximum)[op]
    wanted = x.copy()
    for k, at in enumerate(indices):
        if 0 <= at < count:
            wanted[at] = function(wanted[at], u[k])
    tensors: dict[str, Array] = {
        "x": x, "indices": np.array(indices, np.int32), "u": u, "y": np.zeros_like(x)}
    numbers = {"op": op, "count": count, "n": len(indices)}
    np.testing.assert_array_equal(output("scatter_f32", tensors, numbers), wanted)
    assert_sizes_checked("scatter_f32", tensors, **numbers)
    assert Call("scatter_f32", tensors, numbers | {"op": 4}).check() != 0


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([np.float32, np.int8, np.int16, np.int32]), st.integers(1, 3),
    st.integers(1, 9), st.integers(1, 3), st.booleans(), st.data(),
)
def test_topk(
    dtype: type, outer: int, n: int, inner: int, smallest: bool, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, n))
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    x: Array = draw.integers(-4, 4, (outer, n, inner)).astype(dtype)
    order = np.argsort(x if smallest else -x.astype(np.int64), axis=1, kind="stable")[:, :k]
    tensors: dict[str, Array] = {
        "x": x, "y": np.zeros((outer, k, inner), dtype),
        "indices": np.zeros((outer, k, inner), np.int32)}
    numbers = {"outer": outer, "n": n, "inner": inner, "k": k, "smallest": int(smallest)}
    found = call("topk", tensors, **numbers)
    np.testing.assert_array_equal(found["indices"], order)
    np.testing.assert_array_equal(found["y"], np.take_along_axis(x, order, 1))
    assert_sizes_checked("topk", tensors, **numbers)
    for change in ({"k": 0}, {"k": n + 1}):
        assert Call("topk", tensors, numbers | change).check() != 0
