"""Operators that only move data: most cost nothing (a layout), the rest are strided copies."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import (
    Affine,
    Buffer,
    Form,
    Scaled,
    Table,
)
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.moving import (
    as_it_is,
    at_one_scale,
    fill_bits,
    moved,
    representable,
    resized,
)
from ternc.backends.esp32.lower.nodes import (
    attr_int,
    attr_ints,
    attr_str,
    operands,
    optional_input,
    required_input,
)
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.program import DType

_VIEWS = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")


@operator(*_VIEWS, int8="no work: another view of the same bytes")
def lower_view(ctx: Lowering, node: ir.Node) -> None:
    """Views: the same buffer under another layout."""
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        raise Unsupported(f"{node.op_type} with a second output")
    value, output = required_input(node, 0), node.outputs[0]
    target = ctx.shape(output)
    form = ctx.form(value)

    def view(buffer: Buffer) -> Buffer:
        if node.op_type == "Transpose":
            perm = attr_ints(node, "perm", tuple(reversed(range(len(target)))))
            return Buffer(buffer.tensor, buffer.layout.transpose(perm), buffer.offset)
        layout = buffer.layout.reshape(target)
        if layout is None:
            buffer = ctx.row_major(buffer, node)
            layout = Layout.row_major(target)
        return Buffer(buffer.tensor, layout, buffer.offset)

    ctx.bind(output, _mapped(ctx, form, view, ctx.constant(value), node))


def _mapped(ctx: Lowering, form: Form, view: Callable[[Buffer], Buffer],
            constant: np.ndarray | None, node: ir.Node) -> Form:
    """The form seen through a view; lazy forms stay lazy."""
    if isinstance(form, Buffer):
        return view(form)
    if isinstance(form, Scaled):
        source = form
        return Scaled(
            view(form.buffer), lambda: view(source.floats()), scale=form.scale, zero=form.zero
        )
    if isinstance(form, Table):
        table = form
        return Table(view(form.buffer), lambda: view(table.floats()), values=form.values)
    if isinstance(form, Affine):
        return view(form.floats())
    assert constant is not None
    return view(ctx.buffer(required_input(node, 0)))


@operator("Slice", int8="moves bytes")
def lower_slice(ctx: Lowering, node: ir.Node) -> None:
    """Slice with constant bounds, any steps."""
    shape, out = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    arrays = [ctx.constant(optional_input(node, place)) for place in range(1, 5)]
    if arrays[0] is None or arrays[1] is None:
        raise Unsupported("Slice with bounds computed at run time")
    starts = [int(i) for i in arrays[0]]
    axes = range(len(starts)) if arrays[2] is None else [int(a) % len(shape) for a in arrays[2]]
    steps = [1] * len(starts) if arrays[3] is None else [int(s) for s in arrays[3]]
    corner, step_of = [0] * len(shape), [1] * len(shape)
    for start, axis, step in zip(starts, axes, steps, strict=True):
        start = start + shape[axis] if start < 0 else start
        corner[axis] = min(max(start, 0), shape[axis] - (step < 0))
        step_of[axis] = step
    _extract(
        ctx, node, required_input(node, 0), node.outputs[0], out, tuple(corner), tuple(step_of)
    )


def _extract(ctx: Lowering, node: ir.Node, value: ir.Value, output: ir.Value, out: Shape,
             corner: Shape, steps: Shape) -> None:
    source, wrap = moved(ctx, value)
    layout = resized(source.layout, out)
    if layout is None:
        source = ctx.row_major(source, node)
        layout = Layout.row_major(out)
    if any(step != 1 for step in steps):
        layout = Layout.row_major(out)
        source = ctx.row_major(source, node)
    target = ctx.new(output.name or "y", source.tensor.dtype, layout, source.offset)
    ctx.copy(node, source, target, out, source_at=corner, steps=steps)
    ctx.bind(output, wrap(target))


@operator("Split", int8="moves bytes")
def lower_split(ctx: Lowering, node: ir.Node) -> None:
    """Split along one axis."""
    shape = ctx.shape(required_input(node, 0))
    axis = attr_int(node, "axis", 0) % len(shape)
    position = 0
    for output in node.outputs:
        out = ctx.shape(output)
        corner = tuple(position if i == axis else 0 for i in range(len(shape)))
        if output.uses() or output.is_graph_output():
            _extract(ctx, node, required_input(node, 0), output, out, corner, (1,) * len(shape))
        position += out[axis]


@operator("Concat", int8="moves bytes, after requantizing where scales differ")
def lower_concat(ctx: Lowering, node: ir.Node) -> None:
    """Concat along one axis; quantized operands are brought to the output's scale first."""
    out = ctx.shape(node.outputs[0])
    axis = attr_int(node, "axis", 0) % len(out)
    buffers, output, offset = at_one_scale(ctx, node, operands(node))
    layouts = [
        layout for buffer in buffers if (layout := resized(buffer.layout, out)) is not None
    ]
    layout = next((each for each in layouts if not each.is_row_major), Layout.row_major(out))
    target = ctx.new(output.name or "y", buffers[0].tensor.dtype, layout, offset)
    position = 0
    for buffer in buffers:
        size = buffer.layout.shape
        if size[axis] == 0:
            continue
        corner = tuple(position if i == axis else 0 for i in range(len(out)))
        if buffer.layout.canonical().axis_stride(axis) is None:
            buffer = ctx.row_major(buffer, node)
        ctx.copy(node, buffer, target, size, target_at=corner)
        position += size[axis]
    ctx.bind(output, target)


@operator("Expand", int8="moves bytes")
def lower_expand(ctx: Lowering, node: ir.Node) -> None:
    """Expand (broadcast) to a constant shape."""
    out = ctx.shape(node.outputs[0])
    source, wrap = moved(ctx, required_input(node, 0))
    ctx.bind(node.outputs[0], wrap(ctx.expanded(source, out, node)))


@operator("Pad", int8="moves bytes; the constant is quantized")
def lower_pad(ctx: Lowering, node: ir.Node) -> None:
    """Pad: constant, also negative, edge, reflect and wrap."""
    shape, out = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    pads_array = ctx.constant(required_input(node, 1))
    if pads_array is None:
        raise Unsupported("Pad with amounts computed at run time")
    rank = len(shape)
    axes_array = ctx.constant(optional_input(node, 3))
    axes = list(range(rank)) if axes_array is None else [int(a) % rank for a in axes_array]
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        before[axis] = int(pads_array[place])
        after[axis] = int(pads_array[place + len(axes)])
    mode = attr_str(node, "mode", "constant")
    source, wrap = moved(ctx, required_input(node, 0))
    if mode == "constant":
        form = ctx.form(required_input(node, 0))
        fill_value = optional_input(node, 2)
        fill = ctx.constant(fill_value)
        if fill_value is not None and fill is None:
            raise Unsupported("Pad with a value computed at run time")
        real = 0.0 if fill is None else float(fill.reshape(-1)[0])
        if isinstance(form, Scaled) and not representable(real, form):
            source, wrap = ctx.floats(required_input(node, 0), node), as_it_is
        target = padded(ctx, node, source, out, before, after,
                         fill_bits(real, source, form if wrap is not as_it_is else None))
    else:
        target = _mirrored(ctx, node, source, before, after, mode)
    ctx.bind(node.outputs[0], wrap(target))


def padded(ctx: Lowering, node: ir.Node, source: Buffer, out: Shape, before: list[int],
            after: list[int], bits: int) -> Buffer:
    """A new buffer of shape `out`, filled, with the source copied to its place."""
    layout = resized(source.layout, out)
    if layout is None:
        source = ctx.row_major(source, node)
        layout = Layout.row_major(out)
    target = ctx.new(node.outputs[0].name or "y", source.tensor.dtype, layout, source.offset)
    size = source.layout.shape
    box = tuple(max(d + min(b, 0) + min(a, 0), 0)
                for d, b, a in zip(size, before, after, strict=True))
    ctx.emit("fill", node, y=target.tensor, size=target.tensor.dtype.size, value=bits,
             count=prod(out))
    ctx.copy(node, source, target, box, source_at=tuple(max(-b, 0) for b in before),
             target_at=tuple(max(b, 0) for b in before))
    return target


def _mirrored(ctx: Lowering, node: ir.Node, source: Buffer, before: list[int], after: list[int],
              mode: str) -> Buffer:
    """Pads one axis after the other by copies of the edge, the mirrored inside or the far end."""
    if mode not in ("edge", "reflect", "wrap"):
        raise Unsupported(f"Pad in mode {mode}")
    if min(*before, *after) < 0:
        raise Unsupported(f"Pad by negative amounts in mode {mode}", help="crop with Slice")
    result = source
    rank = len(source.layout.axes)
    for axis, (front, back) in enumerate(zip(before, after, strict=True)):
        if front == 0 and back == 0:
            continue
        size = result.layout.shape
        most = {"reflect": size[axis] - 1, "wrap": size[axis]}.get(mode, max(front, back))
        if size[axis] == 0 or max(front, back) > most:
            raise Unsupported(f"Pad in mode {mode} by more than the axis holds")
        result = ctx.row_major(result, node)
        out = _with_dim(size, axis, size[axis] + front + back)
        target = ctx.new(f"{node.outputs[0].name}:{axis}", source.tensor.dtype,
                         Layout.row_major(out), source.offset)
        ctx.copy(node, result, target, size, target_at=_corner(rank, axis, front))
        ends = ((front, front, 0), (size[axis] - 2, back, front + size[axis]))
        if mode == "wrap":
            ends = ((size[axis] - front, front, 0), (0, back, front + size[axis]))
        for start, count, place in ends:
            if mode == "wrap" and count:
                ctx.copy(node, result, target, _with_dim(size, axis, count),
                         source_at=_corner(rank, axis, start),
                         target_at=_corner(rank, axis, place))
            if mode == "reflect" and count:
                steps = tuple(-1 if i == axis else 1 for i in range(rank))
                ctx.copy(node, result, target, _with_dim(size, axis, count), steps=steps,
                         source_at=_corner(rank, axis, start),
                         target_at=_corner(rank, axis, place))
            for k in range(count if mode == "edge" else 0):
                edge = 0 if place == 0 else size[axis] - 1
                ctx.copy(node, result, target, _with_dim(size, axis, 1),
                         source_at=_corner(rank, axis, edge),
                         target_at=_corner(rank, axis, place + k))
        result = target
    return result


def _with_dim(shape: Shape, axis: int, dim: int) -> Shape:
    return tuple(dim if i == axis else d for i, d in enumerate(shape))


def _corner(rank: int, axis: int, position: int) -> Shape:
    return tuple(position if i == axis else 0 for i in range(rank))


@operator("Gather", int8="moves bytes")
def lower_gather(ctx: Lowering, node: ir.Node) -> None:
    """Gather along one axis by constant or computed indices."""
    shape, out = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    axis = attr_int(node, "axis", 0) % len(shape)
    source, wrap = moved(ctx, required_input(node, 0))
    source = ctx.row_major(source, node)
    indices = ctx.row_major(ctx.buffer(required_input(node, 1)), node)
    if indices.tensor.dtype is not DType.I32:
        raise Unsupported("Gather with indices that are not integers", code="TC0104")
    target = ctx.new(
        node.outputs[0].name or "y", source.tensor.dtype, Layout.row_major(out), source.offset
    )
    ctx.emit("gather", node, x=source.tensor, indices=indices.tensor, y=target.tensor,
             size=source.tensor.dtype.size, outer=prod(shape[:axis]), axis=shape[axis],
             inner=prod(shape[axis + 1 :]), n_indices=prod(ctx.shape(required_input(node, 1))))
    ctx.bind(node.outputs[0], wrap(target))
