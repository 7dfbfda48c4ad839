"""QuantizeLinear, DequantizeLinear and Cast: the borders between number formats."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import DTYPES, Lowering, Quantization, Unsupported
from ternc.backends.esp32.lower.elementwise import quantize_affine
from ternc.backends.esp32.lower.forms import STORED, Affine, Buffer, Codes, Constant, Scaled, Table
from ternc.backends.esp32.lower.interpolation import emit_interpolated
from ternc.backends.esp32.lower.nodes import attr_int, optional_input, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.unary import emit_table, stored_as_int8, stored_as_uint8
from ternc.backends.esp32.lower.wide import is_wide, rescaled
from ternc.backends.esp32.program import DType


@operator("QuantizeLinear", int8="per tensor; int8, uint8 and narrower", int16="zero point 0")
def lower_quantize(ctx: Lowering, node: ir.Node) -> None:
    """QuantizeLinear that no layer before it could absorb."""
    q = ctx.quantization(node)
    if q is None and node.outputs[0].dtype in (ir.DataType.INT16, ir.DataType.UINT16):
        raise Unsupported(
            "QuantizeLinear to 16 bits needs one positive constant scale and a symmetric range",
            help="use the zero point 0 (int16) or 32768 (uint16)")
    if q is None:
        raise Unsupported(
            "QuantizeLinear needs one positive constant scale, one zero point and at most 8 bits",
            help="quantize activations per tensor; weights may be per channel",
        )
    form = ctx.form(required_input(node, 0))
    value, q = _with_clip(ctx, node, q)
    if isinstance(form, Scaled) and is_wide(form, q):
        ctx.bind(value, rescaled(ctx, node, form, value, q))
        return
    if isinstance(form, Table) and is_wide(form, q):
        interpolated = emit_interpolated(ctx, node, form, value, q)
        if interpolated is not None:
            ctx.bind(value, interpolated)
            return
    elif isinstance(form, (Scaled, Table)):
        codes = q.codes(form.table())
        if np.array_equal(codes, STORED):
            ctx.bind(value, Buffer(form.buffer.tensor, form.buffer.layout, q.offset))
        else:
            ctx.bind(value, emit_table(ctx, node, form.buffer, codes, q.offset, value))
        return
    if isinstance(form, Affine):
        quantize_affine(ctx, node, form, value, q)
        return
    x = ctx.buffer(required_input(node, 0))
    if x.tensor.dtype is q.dtype:  # a graph input that is taken as integers already
        ctx.bind(value, x)
        return
    x = ctx.floats(required_input(node, 0), node)
    output = ctx.new(value.name or "y", q.dtype, x.layout, q.offset)
    if q.dtype is DType.I16:
        ctx.emit("convert_i16", node, x=x.tensor, y=output.tensor, count=prod(x.layout.shape),
                 scale=q.scale, lo=q.lo, hi=q.hi)
    else:
        ctx.emit("quantize_i8", node, x=x.tensor, y=output.tensor, count=prod(x.layout.shape),
                 scale=q.scale, zero=q.zero, lo=q.lo, hi=q.hi)
    ctx.bind(value, output)


def _with_clip(ctx: Lowering, node: ir.Node, q: Quantization) -> tuple[ir.Value, Quantization]:
    """The quantization narrowed by the integer Clip that follows, and the value it makes."""
    clip = ctx.integer_clip(node.outputs[0])
    x = ctx.form_or_none(required_input(node, 0))
    if clip is None or (isinstance(x, Buffer) and x.tensor.dtype in (DType.I8, DType.I16)):
        return node.outputs[0], q
    clip_node, lo, hi = clip
    ctx.done.add(clip_node)
    ctx.folded[node.outputs[0].name or ""] = node.name or ""
    bounds = [int(np.clip(edge, lo - q.offset, hi - q.offset)) for edge in (q.lo, q.hi)]
    return clip_node.outputs[0], replace(q, lo=bounds[0], hi=bounds[1])


@operator("DequantizeLinear", int8="constants per tensor or channel; activations per tensor",
          int16="zero point 0")
def lower_dequantize(ctx: Lowering, node: ir.Node) -> None:
    """DequantizeLinear: nothing is computed until somebody needs the real values."""
    scale = ctx.constant(required_input(node, 1))
    zero_value = optional_input(node, 2)
    zero = ctx.constant(zero_value)
    if scale is None or (zero is None and zero_value is not None):
        raise Unsupported("DequantizeLinear with a scale or zero point computed at run time")
    form = ctx.form(required_input(node, 0))
    output = node.outputs[0]
    axis = attr_int(node, "axis", 1)
    if isinstance(form, Constant):
        ctx.bind(output, _constant_codes(form, scale, zero, axis, attr_int(node, "block_size", 0)))
        return
    if not isinstance(form, Buffer) or scale.size != 1 or not 0 < scale.item() < np.inf:
        raise Unsupported("DequantizeLinear of an activation needs one positive scale")
    if form.tensor.dtype is DType.U8:
        form = stored_as_int8(ctx, node, form)
        ctx.forms[required_input(node, 0)] = form
    if form.tensor.dtype not in (DType.I8, DType.I16):
        raise Unsupported(f"DequantizeLinear of {required_input(node, 0).dtype}", code="TC0104")
    real_scale, real_zero = (
        float(scale.reshape(-1)[0]),
        0 if zero is None else int(zero.reshape(-1)[0]),
    )
    if form.tensor.dtype is DType.I16 and real_zero != form.offset:
        raise Unsupported("DequantizeLinear of 16 bits needs a symmetric range",
                          help="use the zero point 0 (int16) or 32768 (uint16)")
    source = form

    def compute() -> Buffer:
        y = ctx.new(output.name or "y", DType.F32, source.layout)
        ctx.dequantize(node, source.tensor, y.tensor, real_scale, real_zero - source.offset)
        return y

    ctx.bind(output, Scaled(source, compute, scale=real_scale, zero=real_zero - source.offset))


def _constant_codes(form: Constant, scale: np.ndarray, zero: np.ndarray | None, axis: int,
                    block: int) -> Codes | Constant:
    codes = form.array.astype(np.int64)
    if scale.size == 1:
        flat = np.zeros(1, np.int64) if zero is None else zero.reshape(-1).astype(np.int64)
        return Codes(codes, scale.reshape(-1).astype(np.float64), flat, None)
    axis %= codes.ndim
    if block or scale.ndim > 1:
        block = block or codes.shape[axis] // scale.shape[axis]
        wide = np.repeat(scale, block, axis)
        zeros = np.zeros(()) if zero is None else np.repeat(zero.astype(np.int64), block, axis)
        rows = tuple(slice(0, dim) for dim in codes.shape)
        zeros = zeros[rows] if zeros.ndim else zeros
        return Constant(((codes - zeros).astype(np.float32) * wide[rows]).astype(np.float32))
    zeros = np.zeros(scale.size, np.int64) if zero is None else zero.astype(np.int64)
    return Codes(codes, scale.astype(np.float64), zeros, axis)


@operator("Cast", int8="to and from float32 in float mode", int16="no")
def lower_cast(ctx: Lowering, node: ir.Node) -> None:
    """Cast between element types."""
    output = node.outputs[0]
    assert output.dtype is not None
    if output.dtype not in DTYPES:
        raise Unsupported(f"Cast to {output.dtype}", code="TC0104")
    target = DTYPES[output.dtype]
    x = stored_as_uint8(ctx, node, ctx.buffer(required_input(node, 0)))
    if x.tensor.dtype is target:
        ctx.bind(output, x)
        return
    y = ctx.new(output.name or "y", target, x.layout)
    ctx.emit("cast", node, x=x.tensor, y=y.tensor, count=prod(x.layout.shape))
    ctx.bind(output, y)


