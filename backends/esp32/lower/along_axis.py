"""Operators along one axis: softmax, layer normalization, arg max, cumulative sum, top k."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Buffer, IntArray, Scaled, WideArray
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.moving import moved
from ternc.backends.esp32.lower.nodes import attr_float, attr_int, optional_input, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.unary import stored_as_int8
from ternc.backends.esp32.lower.wide import is_wide, requantize_wide, widened
from ternc.backends.esp32.program import DType
from ternc.quantize import requantize_constants

_SOFTMAX_BITS = 22  # of exp's table entries: the largest is 2^22
_NORM_MOST = 4096  # values that layernorm_i8 takes the mean of
_NORM_BITS = 12  # fraction bits of a normalised value (isa.py, layernorm_i8)
_NORM_BITS_WIDE = 20
_SOFTMAX_MOST = 1 << 16  # values that softmax_i16 sums


def split_at(
    buffer: Buffer, axis: int, node: ir.Node, ctx: Lowering
) -> tuple[Buffer, int, int, int]:
    """The buffer with `axis` as one physical atom, and (outer, n, inner) around it."""
    layout = buffer.layout.canonical()
    if len(layout.axes[axis]) > 1:
        buffer = ctx.row_major(buffer, node)
        layout = buffer.layout
    sizes = layout.physical_shape
    if not layout.axes[axis]:
        return buffer, prod(sizes), 1, 1
    place = layout.order.index(layout.axis_atoms(axis)[0])
    return buffer, prod(sizes[:place]), sizes[place], prod(sizes[place + 1 :])


@operator("Softmax", int8="exp by a 256-entry table", int16="exp by two tables")
def lower_softmax(ctx: Lowering, node: ir.Node) -> None:
    """Softmax over one axis (opset 13 and later)."""
    _softmax(ctx, node, log=0)


@operator("LogSoftmax")
def lower_log_softmax(ctx: Lowering, node: ir.Node) -> None:
    """LogSoftmax over one axis, in float32."""
    _softmax(ctx, node, log=1)


def _softmax(ctx: Lowering, node: ir.Node, log: int) -> None:
    shape = ctx.shape(node.outputs[0])
    axis = attr_int(node, "axis", -1) % max(len(shape), 1)
    form = ctx.form(required_input(node, 0))
    epilogue = ctx.epilogue(node.outputs[0])
    q = epilogue.quantization
    # Above, the multiplier would not fit 32 bits; no use of softmax needs so fine a scale.
    if isinstance(form, Scaled) and q is not None and not log and is_wide(form, q) and (
            q.scale > 2.0**-16 and shape[axis] <= _SOFTMAX_MOST):
        buffer, outer, n, inner = split_at(widened(ctx, node, form).buffer, axis, node, ctx)
        each = np.arange(256) * form.scale
        table = np.rint(np.exp(-np.concatenate([256 * each, each])) * 2.0**31)
        output = ctx.new(epilogue.value.name or "y", q.dtype, buffer.layout, q.offset)
        ctx.emit("softmax_i16", node, x=buffer.tensor, y=output.tensor, outer=outer, n=n,
                 table=ctx.data(f"{node.name}:exp", _as_signed(table), DType.I32), inner=inner,
                 multiplier=round(2**16 / q.scale), zero=q.zero, lo=q.lo, hi=q.hi)
        ctx.bind(epilogue.value, output)
        ctx.absorb(epilogue, node)
        return
    if isinstance(form, Scaled) and q is not None and not is_wide(form, q) and not log and (
            q.scale > 2.0**-15 and shape[axis] <= 1024):
        buffer, outer, n, inner = split_at(form.buffer, axis, node, ctx)
        table = np.rint(np.exp(-np.arange(256) * form.scale) * 2.0**_SOFTMAX_BITS)
        output = ctx.new(epilogue.value.name or "y", DType.I8, buffer.layout, q.offset)
        ctx.emit(
            "softmax_i8",
            node,
            x=buffer.tensor,
            y=output.tensor,
            table=ctx.data(f"{node.name}:exp", table, DType.I32),
            outer=outer,
            n=n,
            inner=inner,
            multiplier=round(2**16 / q.scale),
            zero=q.zero,
            lo=q.lo,
            hi=q.hi,
        )
        ctx.bind(epilogue.value, output)
        ctx.absorb(epilogue, node)
        return
    buffer, outer, n, inner = split_at(ctx.floats(required_input(node, 0), node), axis, node, ctx)
    output = ctx.new(node.outputs[0].name or "y", DType.F32, buffer.layout)
    ctx.emit(
        "softmax_f32",
        node,
        x=buffer.tensor,
        y=output.tensor,
        outer=outer,
        n=n,
        inner=inner,
        log=log,
    )
    ctx.bind(node.outputs[0], output)


def _as_signed(table: WideArray) -> IntArray:
    """Unsigned 32-bit numbers as the signed ones of the same bits."""
    bits: IntArray = table.astype(np.uint32).view(np.int32).astype(np.int64)
    return bits


@operator("LayerNormalization", int8="integer mean, variance and square root")
def lower_layer_normalization(ctx: Lowering, node: ir.Node) -> None:
    """LayerNormalization over the last axes."""
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise Unsupported("LayerNormalization whose mean or inverse deviation is used")
    shape = ctx.shape(required_input(node, 0))
    axis = attr_int(node, "axis", -1) % len(shape)
    n, outer = prod(shape[axis:]), prod(shape[:axis])
    epsilon = attr_float(node, "epsilon", 1e-5)
    gamma, beta = (_flat_constant(ctx, node, place, shape[axis:]) for place in (1, 2))
    form = ctx.form(required_input(node, 0))
    epilogue = ctx.epilogue(node.outputs[0])
    q = epilogue.quantization
    if isinstance(form, Scaled) and q is not None and n <= _NORM_MOST:
        wide = is_wide(form, q)
        fraction = _NORM_BITS_WIDE if wide else _NORM_BITS
        buffer = ctx.relayout(form.buffer, _trailing(form.buffer.layout, axis), node)
        scale = (np.ones(n) if gamma is None else gamma.astype(np.float64)) / q.scale
        offset = np.zeros(n) if beta is None else beta.astype(np.float64)
        bound = int(np.ceil(np.sqrt(n) * 2**fraction)) + 1
        numbers = (scale / 2**fraction, offset / q.scale + q.zero, np.full(n, bound))
        constants = requantize_wide(*numbers, q) if wide else requantize_constants(*numbers)
        wanted = epsilon / form.scale**2 * n * n
        exact = round(wanted)
        # Half of the relative error of the variance, the least of which is n - 1 (or 0, and then
        # every value is the mean), and two units of the normalised values: in steps of the result.
        least = max(n - 1 + exact, 1)
        error = 0.5 * abs(exact - wanted) / least * np.sqrt(n) + 2.0 ** (1 - fraction)
        if exact < 2**60 and error * np.abs(scale).max(initial=0) < 0.5:
            if wide:
                placed = Scaled(buffer, form.floats, scale=form.scale, zero=form.zero)
                buffer = widened(ctx, node, placed).buffer
            output = ctx.new(epilogue.value.name or "y", q.dtype, buffer.layout, q.offset)
            ctx.emit("layernorm_i16" if wide else "layernorm_i8", node, x=buffer.tensor,
                     y=output.tensor,
                     m=ctx.data(f"{node.name}:m", constants.m, DType.I32),
                     c=ctx.data(f"{node.name}:c", constants.c, DType.I32), outer=outer, n=n,
                     epsilon_lo=exact & 0xFFFFFFFF, epsilon_hi=exact >> 32,
                     shift=int(constants.shift), lo=q.lo, hi=q.hi)
            ctx.bind(epilogue.value, output)
            ctx.absorb(epilogue, node)
            return
    x = ctx.floats(required_input(node, 0), node)
    x = ctx.relayout(x, _trailing(x.layout, axis), node)
    output = ctx.new(node.outputs[0].name or "y", DType.F32, x.layout)
    ctx.emit("layernorm_f32", node, x=x.tensor, y=output.tensor, outer=outer, n=n, epsilon=epsilon,
             gamma=None if gamma is None else ctx.data(f"{node.name}:gamma", gamma, DType.F32),
             beta=None if beta is None else ctx.data(f"{node.name}:beta", beta, DType.F32))
    ctx.bind(node.outputs[0], output)


def _flat_constant(ctx: Lowering, node: ir.Node, place: int, shape: Shape) -> np.ndarray | None:
    value = optional_input(node, place)
    if value is None:
        return None
    array = ctx.constant(value)
    if array is None:
        raise Unsupported("scale and bias must be constant")
    return np.broadcast_to(array, shape).reshape(-1)


def _trailing(layout: Layout, axis: int) -> Layout:
    """A layout whose axes from `axis` on are innermost and in logical order."""
    first = layout.axis_atoms(axis).start
    tail = tuple(range(first, len(layout.order)))
    if layout.order[len(layout.order) - len(tail) :] == tail:
        return layout
    return Layout.row_major(layout.shape)


@operator("ArgMax", "ArgMin", int8="on the integers")
def lower_arg_max(ctx: Lowering, node: ir.Node) -> None:
    """ArgMax and ArgMin; the index is int32 on the device."""
    shape = ctx.shape(required_input(node, 0))
    axis = attr_int(node, "axis", 0) % len(shape)
    form = ctx.form(required_input(node, 0))
    source = form.buffer if isinstance(form, Scaled) else ctx.buffer(required_input(node, 0))
    source = stored_as_int8(ctx, node, source)
    kinds = {DType.I8: "argmax_i8", DType.I16: "argmax_i16", DType.F32: "argmax_f32"}
    if source.tensor.dtype not in kinds:
        raise Unsupported(f"ArgMax of {source.tensor.dtype.name}", code="TC0104")
    buffer, outer, n, inner = split_at(source, axis, node, ctx)
    layout = buffer.layout.with_axis(axis, 1) if shape[axis] != 1 else buffer.layout
    assert layout is not None
    if not attr_int(node, "keepdims", 1):
        layout = layout.drop_axis(axis)
    output = ctx.new(node.outputs[0].name or "y", DType.I32, layout)
    ctx.emit(kinds[source.tensor.dtype], node, x=buffer.tensor, y=output.tensor, outer=outer, n=n,
             inner=inner, select_last=attr_int(node, "select_last_index", 0),
             minimum=int(node.op_type == "ArgMin"))
    ctx.bind(node.outputs[0], output)


@operator("CumSum", note="float32 and int32")
def lower_cumulative_sum(ctx: Lowering, node: ir.Node) -> None:
    """CumSum along a constant axis."""
    x_value, axis_value = required_input(node, 0), required_input(node, 1)
    given = ctx.constant(axis_value)
    if given is None:
        raise Unsupported("CumSum with an axis computed at run time",
                          help="export the model with a constant axis")
    whole = x_value.dtype is ir.DataType.INT32
    x = ctx.buffer(x_value) if whole else ctx.floats(x_value, node)
    axis = int(given.reshape(-1)[0]) % len(x.layout.shape)
    x, outer, n, inner = split_at(x, axis, node, ctx)
    y = ctx.new(node.outputs[0].name or "y", x.tensor.dtype, x.layout)
    ctx.emit("cumsum", node, x=x.tensor, y=y.tensor, outer=outer, n=n, inner=inner,
             exclusive=attr_int(node, "exclusive", 0), reverse=attr_int(node, "reverse", 0))
    ctx.bind(node.outputs[0], y)


@operator("TopK", int8="on the integers", note="constant k")
def lower_top_k(ctx: Lowering, node: ir.Node) -> None:
    """TopK; the indices are int32 on the device."""
    if ctx.constant(required_input(node, 1)) is None:
        raise Unsupported("TopK with a k computed at run time",
                          help="export the model with a constant k")
    value = required_input(node, 0)
    shape, out = ctx.shape(value), ctx.shape(node.outputs[0])
    axis = attr_int(node, "axis", -1) % len(shape)
    source, wrap = moved(ctx, value)
    buffer, outer, n, inner = split_at(stored_as_int8(ctx, node, source), axis, node, ctx)
    if buffer.tensor.dtype is DType.BOOL:
        raise Unsupported("TopK of bool", code="TC0104")
    layout = buffer.layout if shape == out else buffer.layout.with_axis(axis, out[axis])
    assert layout is not None  # split_at made the axis one atom
    values = ctx.new(node.outputs[0].name or f"{node.name}:values", buffer.tensor.dtype,
                     layout, buffer.offset)
    indices = ctx.new(node.outputs[1].name or f"{node.name}:indices", DType.I32, layout)
    ctx.emit("topk", node, x=buffer.tensor, y=values.tensor, indices=indices.tensor,
             outer=outer, n=n, inner=inner, k=out[axis],
             smallest=int(not attr_int(node, "largest", 1)))
    ctx.bind(node.outputs[0], wrap(values))
    ctx.bind(node.outputs[1], indices)
