"""Loops over tensors that broadcast, and constants along the channels of a layout."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.isa import RANK
from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Buffer, WideArray
from ternc.backends.esp32.lower.layout import Layout, Shape, loops


def periodic(layout: Layout, shape: Shape, arrays: list[WideArray]) -> tuple[
        int, int, int, list[WideArray]]:
    """(outer, channels, inner) of the physical order so that each array is one vector of channels.

    The arrays broadcast to `shape`; channels cover the physically contiguous run of atoms along
    which any of them varies.
    """
    full = [a.reshape((1,) * (len(shape) - a.ndim) + a.shape) for a in arrays]
    varying = {axis for a in full for axis, dim in enumerate(a.shape) if dim != 1}
    places = [i for i, atom in enumerate(layout.order)
              if any(atom in layout.axis_atoms(axis) for axis in varying)]
    sizes = layout.physical_shape
    if not places:
        return 1, 1, prod(shape), [a.reshape(1) for a in full]
    first, last = places[0], places[-1] + 1
    outer, channels, inner = prod(sizes[:first]), prod(sizes[first:last]), prod(sizes[last:])
    vectors = [
        layout.to_physical(np.broadcast_to(a, shape)).reshape(outer, channels, inner)[0, :, 0]
        for a in full
    ]
    return outer, channels, inner, vectors


def binary_loops(ctx: Lowering, node: ir.Node, buffers: list[Buffer], shape: Shape) -> tuple[
        dict[str, int], Layout, list[Buffer]]:
    """Loop operands for two buffers that broadcast to `shape`, the result's layout, buffers."""
    full = [buffer for buffer in buffers if buffer.layout.shape == shape]
    layout = full[0].layout if full else Layout.row_major(shape)
    if len(full) == 2 and full[0].layout.is_row_major and not full[1].layout.is_row_major:
        layout = full[1].layout

    def nest_of(target: Layout) -> dict[str, int] | None:
        ranked = [b.layout.with_rank(len(shape)) for b in buffers]
        nest = loops(shape, [*ranked, target], 2)
        padded = None if nest is None else nest.padded(RANK)
        if padded is None:
            return None
        return {
            **{f"d{i}": d for i, d in enumerate(padded.dims)},
            **{f"as{i}": s for i, s in enumerate(padded.strides[0])},
            **{f"bs{i}": s for i, s in enumerate(padded.strides[1])},
        }

    found = nest_of(layout)
    if found is None:
        layout = Layout.row_major(shape)
        buffers = [ctx.row_major(buffer, node) for buffer in buffers]
        found = nest_of(layout)
    if found is None:
        raise Unsupported(f"broadcasting over more than {RANK} dimensions")
    return found, layout, buffers
