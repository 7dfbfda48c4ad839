"""Movement given as an index of the source for every element of the result.

Most such maps are loops with fixed strides (Tile, DepthToSpace, Upsample by integers): one strided
copy. The others are gathered by constant indices: each axis by itself where the map is a product
of axes, else in runs as long as the map has.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.isa import RANK
from ternc.backends.esp32.lower.context import Lowering
from ternc.backends.esp32.lower.forms import Buffer, IntArray
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.moving import resized
from ternc.backends.esp32.program import DType


@dataclass(frozen=True, slots=True)
class Strided:
    """index[i0, i1, ...] = base + i0*strides[0] + i1*strides[1] + ..., dims outermost first."""

    base: int
    dims: Shape
    strides: Shape


def strided(index: IntArray) -> Strided | None:
    """The loops whose indices are `index` read in order, None where there are none."""
    starts = index.reshape(-1)
    dims: list[int] = []
    strides: list[int] = []
    while starts.size > 1:
        step = int(starts[1] - starts[0])
        breaks = np.flatnonzero(np.diff(starts) != step)
        run = int(breaks[0]) + 1 if breaks.size else starts.size
        if starts.size % run:
            return None
        chunks = starts.reshape(-1, run)
        if not (chunks - chunks[:, :1] == chunks[0] - chunks[0, 0]).all():
            return None
        dims.insert(0, run)
        strides.insert(0, step)
        starts = chunks[:, 0]
    return Strided(int(starts[0]), tuple(dims), tuple(strides))


def emit_index_map(ctx: Lowering, node: ir.Node, source: Buffer, index: IntArray) -> Buffer:
    """A new buffer of the shape of `index`, element i of it element index[i] of the source.

    Indices count the source's elements in logical order.
    """
    out: Shape = index.shape
    layouts = [Layout.row_major(out)]
    if len(out) == len(source.layout.shape):
        alike = resized(source.layout, out)
        layouts = [alike, *layouts] if alike is not None else layouts
    places = _places(source.layout)
    for layout in layouts:
        found = strided(layout.to_physical(places[index]))
        if found is not None and len(found.dims) <= RANK:
            target = _target(ctx, node, source, layout)
            emit_strided(ctx, node, source, target, found)
            return target
    parts = _by_axis(index, source.layout.shape)
    if parts is not None and len(parts) > 1:
        for part in parts:
            source = emit_index_map(ctx, node, source, part)
        return source
    layout = layouts[0]
    target = _target(ctx, node, source, layout)
    _emit_gather(ctx, node, source, target, layout.to_physical(places[index]))
    return target


def emit_strided(ctx: Lowering, node: ir.Node, source: Buffer, target: Buffer, found: Strided, *,
                 scatter: bool = False) -> None:
    """A copy in memory order of `target` from the places `found` (scatter: the other way)."""
    extra = RANK - len(found.dims)
    dims, strides = (1,) * extra + found.dims, (0,) * extra + found.strides
    dense = tuple(prod(dims[i + 1:]) for i in range(RANK))
    xs, ys = (dense, strides) if scatter else (strides, dense)
    ctx.emit(
        "copy_nd", node, x=source.tensor, y=target.tensor, size=source.tensor.dtype.size,
        x_offset=0 if scatter else found.base, y_offset=found.base if scatter else 0,
        **{f"d{i}": d for i, d in enumerate(dims)},
        **{f"xs{i}": s for i, s in enumerate(xs)}, **{f"ys{i}": s for i, s in enumerate(ys)},
    )


def _places(layout: Layout) -> IntArray:
    """The place in memory of each element."""
    count = prod(layout.shape)
    places = np.empty(count, np.int64)
    places[layout.to_physical(np.arange(count).reshape(layout.shape))] = np.arange(count)
    return places


def _target(ctx: Lowering, node: ir.Node, source: Buffer, layout: Layout) -> Buffer:
    return ctx.new(node.outputs[0].name or "y", source.tensor.dtype, layout, source.offset)


def _by_axis(index: IntArray, shape: Shape) -> list[IntArray] | None:
    """Maps of one axis each that together are `index`, those that shrink first; None: no such."""
    if index.ndim != len(shape):
        return None
    along = []
    for axis, dim in enumerate(shape):
        line = np.moveaxis(index, axis, 0).reshape(index.shape[axis], -1)[:, 0]
        along.append(line // prod(shape[axis + 1:]) % dim)
    if not np.array_equal(np.ravel_multi_index(tuple(np.meshgrid(*along, indexing="ij")), shape)
                          if shape else index, index):
        return None
    order = sorted((axis for axis, dim in enumerate(shape)
                    if not np.array_equal(along[axis], np.arange(dim))),
                   key=lambda axis: along[axis].size / shape[axis])
    parts = []
    size = list(shape)
    for axis in order:
        grid = np.arange(prod(size)).reshape(size)
        parts.append(np.take(grid, along[axis], axis))
        size[axis] = along[axis].size
    return parts


def _emit_gather(
    ctx: Lowering, node: ir.Node, source: Buffer, target: Buffer, flat: IntArray
) -> None:
    """One gather of runs of elements, the same in each outer block where the map repeats."""
    count = prod(source.layout.shape)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat) != 1) + 1])
    inner = int(np.gcd.reduce(np.concatenate([[count, flat.size], starts, flat[starts]])))
    rows = flat.reshape(-1, inner)[:, 0] // inner
    axis = count // inner
    outer = next(n for n in _divisors(gcd(axis, rows.size)) if _repeats(rows, n, axis // n))
    indices = rows.reshape(outer, -1)[0]
    ctx.emit("gather", node, x=source.tensor, y=target.tensor,
             indices=ctx.data(f"{node.name}:indices", indices, DType.I32),
             size=source.tensor.dtype.size, outer=outer, axis=axis // outer, inner=inner,
             n_indices=indices.size)


def _divisors(number: int) -> list[int]:
    """Largest first."""
    return [d for d in range(number, 0, -1) if number % d == 0]


def _repeats(rows: IntArray, outer: int, axis: int) -> bool:
    """Whether each of the outer blocks of the result takes from its own block what others do."""
    blocks = rows.reshape(outer, -1)
    first = blocks[0]
    return bool((first < axis).all()) and np.array_equal(
        blocks, first + np.arange(outer)[:, None] * axis)
