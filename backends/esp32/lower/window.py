"""Pooling and reductions over windows of an NHWC image."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.conv import spatial_pair, window_pads
from ternc.backends.esp32.lower.forms import Buffer, Scaled
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.nodes import attr_int, attr_ints, optional_input, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.unary import stored_as_int8
from ternc.backends.esp32.lower.wide import BOUND, is_wide, requantize_wide, widened
from ternc.backends.esp32.program import DType
from ternc.quantize import requantize_constants

_MAXPOOL = {DType.I8: "maxpool_i8", DType.I16: "maxpool_i16"}
_WIDE_WINDOW = 1 << 16  # taps that avgpool_i16 sums


def _window_numbers(n: int, size: tuple[int, int], channels: int, out: tuple[int, int],
                    kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int],
                    begin: tuple[int, int]) -> dict[str, int]:
    return {
        "n": n,
        "in_h": size[0],
        "in_w": size[1],
        "channels": channels,
        "out_h": out[0],
        "out_w": out[1],
        "kernel_h": kernel[0],
        "kernel_w": kernel[1],
        "stride_h": strides[0],
        "stride_w": strides[1],
        "dilation_h": dilations[0],
        "dilation_w": dilations[1],
        "pad_top": begin[0],
        "pad_left": begin[1],
    }


@operator("MaxPool", "GlobalMaxPool", int8="on the integers")
def lower_max_pool(ctx: Lowering, node: ir.Node) -> None:
    """MaxPool: on quantized operands the integers are compared."""
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise Unsupported("MaxPool with an output of indices")
    x_shape, y_shape = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    numbers, _ = _pool_geometry(node, x_shape, y_shape)
    _emit_max(ctx, node, Layout.channels_last(x_shape), Layout.channels_last(y_shape), numbers)


def _emit_max(ctx: Lowering, node: ir.Node, x_layout: Layout, layout: Layout,
              numbers: dict[str, int]) -> None:
    form = ctx.form(required_input(node, 0))
    if isinstance(form, Scaled):
        source = form.buffer
    elif isinstance(form, Buffer) and form.tensor.dtype in (DType.I8, DType.U8, DType.I16):
        source = stored_as_int8(ctx, node, form)
    else:
        source = ctx.floats(required_input(node, 0), node)
    dtype = source.tensor.dtype
    integers = dtype in _MAXPOOL
    x = ctx.relayout(source, x_layout, node)
    output = ctx.new(node.outputs[0].name or "y", dtype, layout, source.offset)
    ctx.emit(_MAXPOOL.get(dtype, "maxpool_f32"), node, x=x.tensor, y=output.tensor, **numbers)
    if isinstance(form, Scaled) and integers:
        scale, zero = form.scale, form.zero

        def compute() -> Buffer:
            y = ctx.new(f"{node.outputs[0].name}:real", DType.F32, layout)
            ctx.dequantize(node, output.tensor, y.tensor, scale, zero)
            return y

        ctx.bind(node.outputs[0], Scaled(output, compute, scale=scale, zero=zero))
    else:
        ctx.bind(node.outputs[0], output)


def _pool_geometry(node: ir.Node, x_shape: Shape, y_shape: Shape) -> tuple[dict[str, int], Shape]:
    """The window operands and the padding at the end of each spatial dimension."""
    rank = len(x_shape) - 2
    if node.op_type.startswith("Global"):
        size = x_shape[2:]
        if rank > 2:  # any number of dimensions is one long one
            size = (prod(size),)
        pair = spatial_pair(size, 1)
        return _window_numbers(
            x_shape[0], pair, x_shape[1], (1, 1), pair, (1, 1), (1, 1), (0, 0)
        ), (0, 0)
    kernel = attr_ints(node, "kernel_shape", ())
    strides = attr_ints(node, "strides", (1,) * rank)
    dilations = attr_ints(node, "dilations", (1,) * rank)
    begin, end = window_pads(node, x_shape[2:], kernel, strides, dilations)
    return _window_numbers(
        x_shape[0], spatial_pair(x_shape[2:], 1), x_shape[1], spatial_pair(y_shape[2:], 1),
        spatial_pair(kernel, 1), spatial_pair(strides, 1), spatial_pair(dilations, 1),
        spatial_pair(begin, 0)), spatial_pair(end, 0)


@operator("AveragePool", "GlobalAveragePool", int8="requantized sums")
def lower_average_pool(ctx: Lowering, node: ir.Node) -> None:
    """AveragePool with both padding conventions."""
    x_shape, y_shape = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    numbers, end = _pool_geometry(node, x_shape, y_shape)
    include = attr_int(node, "count_include_pad", 0)
    _emit_average(ctx, node, Layout.channels_last(x_shape), Layout.channels_last(y_shape), numbers,
                  end, include)


@operator("ReduceMean", int8="requantized sums")
def lower_reduce_mean(ctx: Lowering, node: ir.Node) -> None:
    """ReduceMean over any axes, as one window over the reduced elements."""
    window = _reduced_window(ctx, node)
    if window is None:
        ctx.bind(node.outputs[0], ctx.form(required_input(node, 0)))
        return
    x_layout, y_layout, numbers = window
    _emit_average(ctx, node, x_layout, y_layout, numbers, (0, 0), 0)


@operator("ReduceMax", int8="on the integers")
def lower_reduce_max(ctx: Lowering, node: ir.Node) -> None:
    """ReduceMax over any axes, as one window over the reduced elements."""
    window = _reduced_window(ctx, node)
    if window is None:
        ctx.bind(node.outputs[0], ctx.form(required_input(node, 0)))
        return
    _emit_max(ctx, node, *window)


def _reduced_window(
    ctx: Lowering, node: ir.Node
) -> tuple[Layout, Layout, dict[str, int]] | None:
    """Layouts of input and output and the window's operands, None where no axis is reduced."""
    shape = ctx.shape(required_input(node, 0))
    axes_value = optional_input(node, 1)
    axes_array = ctx.constant(axes_value)
    if axes_value is not None and axes_array is None:
        raise Unsupported(f"{node.op_type} with axes computed at run time")
    axes = attr_ints(node, "axes", ()) if axes_array is None else tuple(int(a) for a in axes_array)
    if not axes and not attr_int(node, "noop_with_empty_axes", 0):
        axes = tuple(range(len(shape)))
    reduced = sorted({axis % len(shape) for axis in axes})
    if not reduced:
        return None
    form = ctx.form(required_input(node, 0))
    if isinstance(form, Scaled):
        form = form.buffer
    elif not isinstance(form, Buffer):
        form = ctx.floats(required_input(node, 0), node)
    x_layout = form.layout
    found = _reduction(x_layout, reduced) or _reduction(Layout.permuted(shape, (
        *(a for a in range(len(shape)) if a not in reduced), *reduced)), reduced)
    assert found is not None
    x_layout, outer, count, inner, y_layout = found
    if not attr_int(node, "keepdims", 1):
        for axis in reversed(reduced):
            y_layout = y_layout.drop_axis(axis)
    numbers = _window_numbers(outer, (count, 1), inner, (1, 1), (count, 1), (1, 1), (1, 1), (0, 0))
    return x_layout, y_layout, numbers


def _reduction(layout: Layout, reduced: list[int]) -> tuple[Layout, int, int, int, Layout] | None:
    """The reduction of one physical run, or None where the reduced axes are not one.

    Returns (layout, outer, reduced and inner counts, the result's layout).
    """
    gone = {atom for axis in reduced for atom in layout.axis_atoms(axis)}
    places = [place for place, atom in enumerate(layout.order) if atom in gone]
    first = places[0] if places else 0
    if places != list(range(first, first + len(places))):
        return None
    sizes = layout.physical_shape
    after = first + len(places)
    kept = [atom for atom in range(len(layout.order)) if atom not in gone]
    axes = tuple(() if axis in reduced else atoms for axis, atoms in enumerate(layout.axes))
    order = tuple(kept.index(atom) for atom in layout.order if atom not in gone)
    return (
        layout,
        prod(sizes[:first]),
        prod(sizes[first:after]),
        prod(sizes[after:]),
        Layout(axes, order),
    )


def _emit_average(ctx: Lowering, node: ir.Node, x_layout: Layout, y_layout: Layout,
                  numbers: dict[str, int], end: Shape, include: int) -> None:
    form = ctx.form(required_input(node, 0))
    epilogue = ctx.epilogue(node.outputs[0])
    q = epilogue.quantization
    window = numbers["kernel_h"] * numbers["kernel_w"]
    if isinstance(form, Scaled) and q is not None and (
            not is_wide(form, q) or window <= _WIDE_WINDOW):
        wide = is_wide(form, q)
        if wide:
            form = widened(ctx, node, form)
        x = ctx.relayout(form.buffer, x_layout, node)
        whole = (
            include == 0
            and not (numbers["pad_top"] or numbers["pad_left"] or any(end))
            and (
                (numbers["out_h"] - 1) * numbers["stride_h"] + numbers["kernel_h"]
                <= numbers["in_h"]
                and (numbers["out_w"] - 1) * numbers["stride_w"] + numbers["kernel_w"]
                <= numbers["in_w"]
            )
        )
        divisors = np.array([window]) if whole else np.arange(1, window + 1)
        ratios, bias = form.scale / q.scale / divisors, np.full(divisors.size, float(q.zero))
        constants = (requantize_wide(ratios, bias, divisors * BOUND, q) if wide
                     else requantize_constants(ratios, bias, divisors * 255))
        output = ctx.new(epilogue.value.name or "y", q.dtype, y_layout, q.offset)
        ctx.emit(
            "avgpool_i16" if wide else "avgpool_i8",
            node,
            x=x.tensor,
            y=output.tensor,
            m=ctx.data(f"{node.name}:m", constants.m, DType.I32),
            **numbers,
            pad_bottom=end[0],
            pad_right=end[1],
            include_pad=include,
            **({} if wide else {"x_zero": form.zero}),
            m_count=divisors.size,
            c=int(constants.c[0]),
            shift=int(constants.shift),
            lo=q.lo,
            hi=q.hi,
        )
        ctx.bind(epilogue.value, output)
        ctx.absorb(epilogue, node)
        return
    x = ctx.relayout(ctx.floats(required_input(node, 0), node), x_layout, node)
    output = ctx.new(node.outputs[0].name or "y", DType.F32, y_layout)
    ctx.emit("avgpool_f32", node, x=x.tensor, y=output.tensor, **numbers, pad_bottom=end[0],
             pad_right=end[1], include_pad=include)
    ctx.bind(node.outputs[0], output)
