"""Operators that take every element of the result from a place known now: maps of indices."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Buffer, IntArray, Scaled
from ternc.backends.esp32.lower.index_map import emit_index_map, emit_strided, strided
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.movement import padded
from ternc.backends.esp32.lower.moving import as_it_is, at_one_scale, fill_bits, moved
from ternc.backends.esp32.lower.nodes import (
    attr_int,
    attr_ints,
    attr_str,
    optional_input,
    required_input,
)
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.program import DType

_REDUCTIONS = {"add": 0, "mul": 1, "min": 2, "max": 3}  # isa.py, scatter_f32


def _known(ctx: Lowering, node: ir.Node, place: int, what: str) -> IntArray:
    """The integers of an operand that must be constant."""
    array = ctx.constant(required_input(node, place))
    if array is None:
        raise Unsupported(f"{node.op_type} with {what} computed at run time",
                          help=f"export the model with constant {what}")
    return array.astype(np.int64)


def _ramp(ctx: Lowering, node: ir.Node) -> IntArray:
    """The index of each element of the first operand."""
    shape = ctx.shape(required_input(node, 0))
    return np.arange(prod(shape)).reshape(shape)


def _rearrange(ctx: Lowering, node: ir.Node, index: IntArray) -> None:
    """Binds the result: elements of the first operand, 0 where the index is -1."""
    value = required_input(node, 0)
    source, wrap = moved(ctx, value)
    if (index < 0).any():
        form = ctx.form(value)
        source = _with_zero(ctx, node, source, fill_bits(
            0.0, source, form if isinstance(form, Scaled) else None))
        index = np.where(index < 0, source.layout.shape[0] - 1, index)
    target = emit_index_map(ctx, node, source, index.reshape(ctx.shape(node.outputs[0])))
    ctx.bind(node.outputs[0], wrap(target))


def _with_zero(ctx: Lowering, node: ir.Node, source: Buffer, bits: int) -> Buffer:
    """The elements in logical order as a vector, with one more behind them."""
    flat = ctx.row_major(source, node)
    count = prod(source.layout.shape)
    vector = Buffer(flat.tensor, Layout.row_major((count,)), flat.offset)
    return padded(ctx, node, vector, (count + 1,), [0], [1], bits)


@operator("Tile", int8="moves bytes")
def lower_tile(ctx: Lowering, node: ir.Node) -> None:
    """Tile: the whole tensor repeated along each axis, a constant number of times."""
    _rearrange(ctx, node, np.tile(_ramp(ctx, node), _known(ctx, node, 1, "repeats")))


@operator("DepthToSpace", int8="moves bytes")
def lower_depth_to_space(ctx: Lowering, node: ir.Node) -> None:
    """DepthToSpace, DCR and CRD."""
    n, c, h, w = ctx.shape(required_input(node, 0))
    block = attr_int(node, "blocksize", 1)
    ramp = _ramp(ctx, node)
    if attr_str(node, "mode", "DCR") == "CRD":
        blocks = ramp.reshape(n, c // block**2, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        blocks = ramp.reshape(n, block, block, c // block**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    _rearrange(ctx, node, blocks)


@operator("SpaceToDepth", int8="moves bytes")
def lower_space_to_depth(ctx: Lowering, node: ir.Node) -> None:
    """SpaceToDepth: the inverse of DepthToSpace, also CRD."""
    n, c, h, w = ctx.shape(required_input(node, 0))
    block = attr_int(node, "blocksize", 1)
    blocks = _ramp(ctx, node).reshape(n, c, h // block, block, w // block, block)
    crd = attr_str(node, "mode", "DCR") == "CRD"
    _rearrange(ctx, node, blocks.transpose((0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4)))


@operator("GatherElements", int8="moves bytes", note="constant indices")
def lower_gather_elements(ctx: Lowering, node: ir.Node) -> None:
    """GatherElements: y[i][j] = x[indices[i][j]][j], with constant indices."""
    _rearrange(ctx, node, _along_axis(node, _ramp(ctx, node), _known(ctx, node, 1, "indices")))


def _along_axis(node: ir.Node, ramp: IntArray, indices: IntArray) -> IntArray:
    places: list[IntArray] = list(np.indices(indices.shape))
    axis = attr_int(node, "axis", 0) % ramp.ndim
    places[axis] = _within(node, indices, ramp.shape[axis])
    return ramp[tuple(places)]


@operator("GatherND", int8="moves bytes", note="constant indices")
def lower_gather_nd(ctx: Lowering, node: ir.Node) -> None:
    """GatherND: slices at constant places."""
    ramp, indices = _ramp(ctx, node), _known(ctx, node, 1, "indices")
    batch = attr_int(node, "batch_dims", 0)
    lead = ramp.shape[:batch]
    blocks = ramp.reshape(-1, *ramp.shape[batch:])
    places = indices.reshape(blocks.shape[0], *indices.shape[batch:])
    taken = [block[_slices(node, place, block.shape)]
             for block, place in zip(blocks, places, strict=True)]
    _rearrange(ctx, node, np.stack(taken).reshape(*lead, *taken[0].shape))


def _within(node: ir.Node, indices: IntArray, size: int) -> IntArray:
    if ((indices < -size) | (indices >= size)).any():
        raise Unsupported(f"{node.op_type} with an index outside [{-size}, {size - 1}]",
                          help="mend the indices in the model")
    return indices % size


def _slices(node: ir.Node, places: IntArray, shape: Shape) -> tuple[IntArray, ...]:
    """The last axis of `places` as indices of the first axes of an array of `shape`."""
    columns = np.moveaxis(places, -1, 0)
    return tuple(_within(node, column, size)
                 for column, size in zip(columns, shape, strict=False))


@operator("ReverseSequence", int8="moves bytes", note="constant lengths")
def lower_reverse_sequence(ctx: Lowering, node: ir.Node) -> None:
    """ReverseSequence: the first so many steps of each sequence backwards."""
    ramp, lengths = _ramp(ctx, node), _known(ctx, node, 1, "lengths")
    batch, time = attr_int(node, "batch_axis", 1), attr_int(node, "time_axis", 0)
    places = np.indices(ramp.shape)
    length = lengths[places[batch]]
    places[time] = np.where(places[time] < length, length - 1 - places[time], places[time])
    _rearrange(ctx, node, ramp[tuple(places)])


@operator("Trilu", int8="moves bytes")
def lower_trilu(ctx: Lowering, node: ir.Node) -> None:
    """Trilu: one triangle of each matrix, 0 elsewhere."""
    diagonal = int(_known(ctx, node, 1, "k").reshape(-1)[0]) if optional_input(node, 1) else 0
    triangle = np.triu if attr_int(node, "upper", 1) else np.tril
    _rearrange(ctx, node, triangle(_ramp(ctx, node) + 1, diagonal) - 1)


@operator("CenterCropPad", int8="moves bytes")
def lower_center_crop_pad(ctx: Lowering, node: ir.Node) -> None:
    """CenterCropPad: the middle of each axis, or zeros around it."""
    value = required_input(node, 0)
    shape, out = ctx.shape(value), ctx.shape(node.outputs[0])
    axes = {axis % len(shape) for axis in attr_ints(node, "axes", tuple(range(len(shape))))}
    before, after = [0] * len(shape), [0] * len(shape)
    for axis in axes:
        surplus = out[axis] - shape[axis]
        # Of an odd difference the smaller half comes first, cropped or padded.
        before[axis] = surplus // 2 if surplus > 0 else -(-surplus // 2)
        after[axis] = surplus - before[axis]
    source, wrap = moved(ctx, value)
    form = ctx.form(value) if wrap is not as_it_is else None
    target = padded(ctx, node, source, out, before, after, fill_bits(0.0, source, form))
    ctx.bind(node.outputs[0], wrap(target))


@operator("ScatterElements", "ScatterND", note="constant indices; a reduction in float32",
          int8="moves bytes, after requantizing where scales differ")
def lower_scatter(ctx: Lowering, node: ir.Node) -> None:
    """ScatterElements and ScatterND at constant places; of two updates the last stays.

    With a reduction the updates are computed with what is there, in float32.
    """
    indices, ramp = _known(ctx, node, 1, "indices"), _ramp(ctx, node)
    if node.op_type == "ScatterElements":
        targets = _along_axis(node, ramp, indices)
    else:
        targets = ramp[_slices(node, indices, ramp.shape)]
    values = [required_input(node, 0), required_input(node, 2)]
    if (reduction := attr_str(node, "reduction", "none")) != "none":
        _accumulate(ctx, node, values, targets, _REDUCTIONS[reduction])
        return
    (x, updates), output, offset = at_one_scale(ctx, node, values)
    x, updates = ctx.row_major(x, node), ctx.row_major(updates, node)
    found = strided(targets)
    if found is not None and np.unique(targets).size == targets.size:
        target = ctx.new(output.name or "y", x.tensor.dtype, x.layout, offset)
        ctx.copy(node, x, target, ramp.shape)
        emit_strided(ctx, node, updates, target, found, scatter=True)
    else:
        both = ctx.new(f"{output.name}:both", x.tensor.dtype,
                       Layout.row_major((ramp.size + targets.size,)), offset)
        for buffer, count, at in ((x, ramp.size, 0), (updates, targets.size, ramp.size)):
            ctx.copy(node, Buffer(buffer.tensor, Layout.row_major((count,)), offset), both,
                     (count,), target_at=(at,))
        index = ramp.reshape(-1).copy()
        for place, element in zip(targets.reshape(-1), range(targets.size), strict=True):
            index[place] = ramp.size + element
        target = emit_index_map(ctx, node, both, index.reshape(ramp.shape))
    ctx.bind(output, target)


def _accumulate(ctx: Lowering, node: ir.Node, values: list[ir.Value], targets: IntArray,
                op: int) -> None:
    x, updates = (ctx.row_major(ctx.floats(value, node), node) for value in values)
    target = ctx.new(node.outputs[0].name or "y", DType.F32, x.layout)
    ctx.emit("scatter_f32", node, x=x.tensor, u=updates.tensor, y=target.tensor, op=op,
             indices=ctx.data(f"{node.name}:indices", targets.reshape(-1), DType.I32),
             count=prod(x.layout.shape), n=targets.size)
    ctx.bind(node.outputs[0], target)
