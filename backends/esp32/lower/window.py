"""Pooling over windows of an NHWC image; reductions are windows as well."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.conv import spatial_pair, window_pads
from ternc.backends.esp32.lower.forms import Buffer, Form, Scaled
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.nodes import attr_int, attr_ints, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.unary import stored_as_int8
from ternc.backends.esp32.lower.wide import BOUND, is_wide, requantize_wide, widened
from ternc.backends.esp32.program import DType
from ternc.quantize import requantize_constants

_MAXPOOL = {DType.I8: "maxpool_i8", DType.I16: "maxpool_i16"}
_WINDOW = 1 << 23  # taps of which avgpool_i8's sums fit 32 bits
_WIDE_WINDOW = 1 << 16  # taps that avgpool_i16 sums


def window_numbers(n: int, size: tuple[int, int], channels: int, out: tuple[int, int],
                   kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int],
                   begin: tuple[int, int]) -> dict[str, int]:
    """The operands of a pooling instruction."""
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
    emit_max(ctx, node, Layout.channels_last(x_shape), Layout.channels_last(y_shape), numbers)


def emit_max(ctx: Lowering, node: ir.Node, x_layout: Layout, layout: Layout,
             numbers: dict[str, int]) -> None:
    """The maximum of each window; of quantized operands on the integers."""
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
        return window_numbers(
            x_shape[0], pair, x_shape[1], (1, 1), pair, (1, 1), (1, 1), (0, 0)
        ), (0, 0)
    kernel = attr_ints(node, "kernel_shape", ())
    strides = attr_ints(node, "strides", (1,) * rank)
    dilations = attr_ints(node, "dilations", (1,) * rank)
    begin, end = window_pads(node, x_shape[2:], kernel, strides, dilations)
    return window_numbers(
        x_shape[0], spatial_pair(x_shape[2:], 1), x_shape[1], spatial_pair(y_shape[2:], 1),
        spatial_pair(kernel, 1), spatial_pair(strides, 1), spatial_pair(dilations, 1),
        spatial_pair(begin, 0)), spatial_pair(end, 0)


@operator("AveragePool", "GlobalAveragePool", int8="requantized sums")
def lower_average_pool(ctx: Lowering, node: ir.Node) -> None:
    """AveragePool with both padding conventions."""
    x_shape, y_shape = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    numbers, end = _pool_geometry(node, x_shape, y_shape)
    include = attr_int(node, "count_include_pad", 0)
    emit_average(ctx, node, Layout.channels_last(x_shape), Layout.channels_last(y_shape), numbers,
                  end, include)


def emit_average(ctx: Lowering, node: ir.Node, x_layout: Layout, y_layout: Layout,
                 numbers: dict[str, int], end: Shape, include: int) -> None:
    """The mean of each window, in integers where both ends are quantized."""
    if emit_window_sum(ctx, node, ctx.form(required_input(node, 0)), x_layout, y_layout, numbers,
                       end, include):
        return
    x = ctx.relayout(ctx.floats(required_input(node, 0), node), x_layout, node)
    output = ctx.new(node.outputs[0].name or "y", DType.F32, y_layout)
    ctx.emit("avgpool_f32", node, x=x.tensor, y=output.tensor, **numbers, pad_bottom=end[0],
             pad_right=end[1], include_pad=include)
    ctx.bind(node.outputs[0], output)


def emit_window_sum(
    ctx: Lowering, node: ir.Node, form: Form, x_layout: Layout, y_layout: Layout,
    numbers: dict[str, int], end: Shape = (0, 0), include: int = 0, *, mean: bool = True,
) -> bool:
    """Requantized means or sums over windows; False where floats are needed.

    Sums are of windows that lie in the image as a whole.
    """
    epilogue = ctx.epilogue(node.outputs[0])
    q = epilogue.quantization
    window = numbers["kernel_h"] * numbers["kernel_w"]
    if not isinstance(form, Scaled) or q is None:
        return False
    if window > (_WIDE_WINDOW if is_wide(form, q) else _WINDOW):
        return False
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
    ratios = form.scale / q.scale / divisors if mean else np.array([form.scale / q.scale])
    bias = np.full(divisors.size, float(q.zero))
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
    return True
