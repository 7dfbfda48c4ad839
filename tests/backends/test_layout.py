"""Layouts: a view of a buffer is the numpy view of the logical array, after any moves."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.lower.layout import Layout, Shape, common_factors, loops

SETTINGS = settings(deadline=None, max_examples=300, derandomize=True)
shapes = st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=0, max_size=4).map(tuple)


@st.composite
def factored(draw: Callable[[Any], Any], total: int) -> Shape:
    """A shape of `total` elements."""
    out: list[int] = []
    while total > 1 and len(out) < 4:
        out.append(draw(st.sampled_from([k for k in range(1, total + 1) if total % k == 0])))
        total //= out[-1]
    return (*out, total) if total > 1 else tuple(out)


@st.composite
def layouts(draw: Callable[[Any], Any], shape: Shape | None = None) -> Layout:
    """A layout that transposes and reshapes lead to (of the given shape, if any)."""
    shape = draw(shapes) if shape is None else shape
    layout = Layout.permuted(shape, tuple(draw(st.permutations(range(len(shape))))))
    assert layout.shape == shape
    return layout


@SETTINGS
@given(st.data())
def test_moves_are_numpys(data: st.DataObject) -> None:
    """Transposes, reshapes and other views, one after the other, never move an element."""
    layout = data.draw(layouts())
    array = np.arange(prod(layout.shape))
    flat = layout.to_physical(array.reshape(layout.shape))
    array = array.reshape(layout.shape)
    for _ in range(data.draw(st.integers(1, 5))):
        move = data.draw(st.sampled_from(["transpose", "reshape", "rank", "drop", "canonical"]))
        if move == "transpose":
            perm = tuple(data.draw(st.permutations(range(array.ndim))))
            layout, array = layout.transpose(perm), array.transpose(perm)
        elif move == "reshape":
            shape = data.draw(factored(array.size))
            reshaped = layout.reshape(shape)
            if reshaped is None:  # a copy would be needed: numpy sees the same
                layout = Layout.row_major(array.shape)
                flat = layout.to_physical(array)
                continue
            layout, array = reshaped, array.reshape(shape)
        elif move == "rank":
            layout = layout.with_rank(array.ndim + 1)
            array = array[None]
        elif move == "drop" and 1 in array.shape:
            axis = array.shape.index(1)
            layout, array = layout.drop_axis(axis), array.squeeze(axis)
        else:
            layout = layout.canonical()
        assert layout.shape == array.shape
        np.testing.assert_array_equal(layout.to_logical(flat), array)
        np.testing.assert_array_equal(layout.to_physical(array), flat)


@SETTINGS
@given(layouts())
def test_strides_address_the_elements(layout: Layout) -> None:
    array = np.arange(prod(layout.shape)).reshape(layout.shape)
    flat = layout.to_physical(array)
    for axis in range(array.ndim):
        stride = layout.axis_stride(axis)
        assert stride is not None  # of one atom, as nothing was reshaped
        for index in np.ndindex(array.shape):
            origin = (*index[:axis], 0, *index[axis + 1 :])
            place = int(np.flatnonzero(flat == array[origin])[0]) + index[axis] * stride
            assert flat[place] == array[index]


@SETTINGS
@given(layouts(), st.data())
def test_reshape_is_refused_only_where_numpy_copies(layout: Layout, data: st.DataObject) -> None:
    """A reshape without a layout is one that numpy's own strides could not express either."""
    array = np.arange(prod(layout.shape)).reshape(layout.shape)
    shape = data.draw(factored(array.size))
    flat = layout.to_physical(array)
    view = flat.reshape(layout.physical_shape).transpose(np.argsort(layout.order))
    view = view.reshape(array.shape)
    if np.shares_memory(view.reshape(shape), flat):
        assert layout.reshape(shape) is not None


@SETTINGS
@given(layouts(), st.integers(1, 7), st.data())
def test_with_axis_keeps_the_order(layout: Layout, size: int, data: st.DataObject) -> None:
    assume(layout.shape)
    axis = data.draw(st.integers(0, len(layout.shape) - 1))
    resized = layout.with_axis(axis, size)
    assert (resized is None) == (layout.shape[axis] == 1)
    if resized is None:
        return
    assert resized.shape == (*layout.shape[:axis], size, *layout.shape[axis + 1 :])
    array = np.arange(prod(resized.shape)).reshape(resized.shape)
    expected = array.transpose([a for a in physical_axes(layout) if array.shape[a] != 1]
                               + [a for a, d in enumerate(array.shape) if d == 1])
    np.testing.assert_array_equal(resized.to_physical(array), expected.reshape(-1))


def physical_axes(layout: Layout) -> list[int]:
    """The logical axes of more than one element, outermost in memory first."""
    owner = [axis for axis, atoms in enumerate(layout.axes) for _ in atoms]
    return [owner[atom] for atom in layout.order]


def walk(nest_dims: Shape, strides: Shape) -> np.ndarray:
    """The places that a loop nest visits, in its order."""
    places = np.zeros((1,), np.int64)
    for dim, stride in zip(nest_dims, strides, strict=True):
        places = (places[:, None] + np.arange(dim) * stride).reshape(-1)
    return places


@SETTINGS
@given(shapes, st.data())
def test_loops_visit_corresponding_elements(shape: Shape, data: st.DataObject) -> None:
    """Every operand, broadcast or not, is read at the place of the same logical element."""
    operands = []
    for _ in range(data.draw(st.integers(1, 2))):
        mask = [data.draw(st.integers(0, 3)) == 0 for _ in shape]
        small = tuple(1 if gone else d for d, gone in zip(shape, mask, strict=True))
        operands.append(data.draw(layouts(small)))
    lead = data.draw(layouts(shape))
    nest = loops(shape, [*operands, lead], len(operands))
    assert nest is not None
    assert prod(nest.dims) == prod(shape)
    index = np.arange(prod(shape)).reshape(shape)
    order = walk(nest.dims, nest.strides[-1])
    np.testing.assert_array_equal(order, np.arange(prod(shape)))  # the leader in physical order
    visited = lead.to_physical(index)
    for layout, strides in zip(operands, nest.strides, strict=False):
        own = np.arange(prod(layout.shape)).reshape(layout.shape)
        flat = layout.to_physical(own)
        expected = np.broadcast_to(own, shape).reshape(-1)[visited]
        np.testing.assert_array_equal(flat[walk(nest.dims, strides)], expected)


@SETTINGS
@given(st.data())
def test_loops_through_reshapes(data: st.DataObject) -> None:
    """Operands whose axes are several atoms share a refinement, or there is no nest."""
    before = data.draw(shapes)
    shape = data.draw(factored(prod(before)))
    one = data.draw(layouts(before)).reshape(shape)
    two = data.draw(layouts(before)).reshape(shape)
    assume(one is not None and two is not None)
    assert one is not None
    assert two is not None
    nest = loops(shape, [one, two], 1)
    assert nest is not None
    index = np.arange(prod(shape)).reshape(shape)
    first, second = one.to_physical(index), two.to_physical(index)
    np.testing.assert_array_equal(first[walk(nest.dims, nest.strides[0])],
                                  second[walk(nest.dims, nest.strides[1])])


def test_box_inside_a_larger_tensor() -> None:
    """An axis may be longer than the loop, where it is one atom: Slice, Concat and Pad."""
    nest = loops((2, 3), [Layout.row_major((4, 5)), Layout.row_major((2, 3))], 1)
    assert nest is not None
    assert nest.dims == (2, 3)
    assert nest.strides == ((5, 1), (3, 1))


def test_neighbouring_loops_merge() -> None:
    same = Layout.row_major((2, 3, 4))
    nest = loops((2, 3, 4), [same, same], 0)
    assert nest is not None
    assert nest.dims == (24,)
    assert nest.padded(3) is not None
    assert nest.padded(0) is None


def test_images_held_channels_last() -> None:
    layout = Layout.channels_last((1, 3, 4, 5))
    assert layout.physical_shape == (4, 5, 3)
    assert [layout.axis_stride(axis) for axis in range(4)] == [0, 1, 15, 3]
    flat = layout.reshape((1, 60))
    assert flat is not None
    assert flat.axes == ((), (3, 20))
    assert flat.axis_stride(1) is None
    back = flat.reshape((1, 3, 4, 5))
    assert back is not None
    assert back.same_as(layout)
    assert not layout.same_as(Layout.row_major((1, 3, 4, 5)))
    one = Layout.channels_last((1, 1, 4, 5))  # with one channel both are the same
    assert one.same_as(Layout.row_major((1, 1, 4, 5)))


@pytest.mark.parametrize(("sequences", "expected"), [
    ([(3, 2), (2, 3)], None),
    ([(6, 4), (3, 8)], [[[3, 2], [4]], [[3], [2, 4]]]),
    ([(6, 4), (3, 2, 4)], [[[3, 2], [4]], [[3], [2], [4]]]),
    ([(24,), (2, 3, 4), (6, 4)], [[[2, 3, 4]], [[2], [3], [4]], [[2, 3], [4]]]),
    ([(), ()], [[], []]),
])
def test_common_factors(sequences: list[Shape], expected: object) -> None:
    assert common_factors(sequences) == expected


def test_reshape_of_other_sizes_is_refused() -> None:
    assert Layout.row_major((2, 3)).reshape((7,)) is None
    assert Layout.row_major((2, 0)).reshape((0, 3)) is None
