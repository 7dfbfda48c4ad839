"""What operators that move elements share: their bytes, and operands at one scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Quantization, Unsupported
from ternc.backends.esp32.lower.forms import (
    STORED,
    Buffer,
    Codes,
    Constant,
    Form,
    Scaled,
    Table,
)
from ternc.backends.esp32.lower.interpolation import emit_interpolated
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.unary import emit_table, stored_as_int8
from ternc.backends.esp32.lower.wide import is_wide, rescaled
from ternc.backends.esp32.program import DType


def moved(ctx: Lowering, value: ir.Value) -> tuple[Buffer, Callable[[Buffer], Form]]:
    """The bytes to move (integers where quantized) and how the result is to be bound."""
    form = ctx.form(value)
    if isinstance(form, Scaled):
        scale, zero = form.scale, form.zero

        def wrap(buffer: Buffer) -> Form:
            def compute() -> Buffer:
                y = ctx.new(f"{buffer.tensor.name}:real", DType.F32, buffer.layout)
                ctx.dequantize(_node_of(value), buffer.tensor, y.tensor, scale, zero)
                return y

            return Scaled(buffer, compute, scale=scale, zero=zero)

        return form.buffer, wrap
    return ctx.buffer(value), as_it_is


def _node_of(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None
    return node


def resized(layout: Layout, out: Shape) -> Layout | None:
    """The layout with other axis sizes in the same order, where the axes are single atoms."""
    result: Layout | None = layout
    for axis, (before, after) in enumerate(zip(layout.shape, out, strict=True)):
        if before != after and result is not None:
            result = result.with_axis(axis, after)
    return result


def at_one_scale(
    ctx: Lowering, node: ir.Node, values: list[ir.Value]
) -> tuple[list[Buffer], ir.Value, int]:
    """The operands as elements of one kind; which value is made of them, and its offset.

    Quantized operands are brought to the scale of a result that is quantized, which is the value
    then; else all are floats, or the integers that they are.
    """
    forms = [ctx.form(value) for value in values]
    epilogue = ctx.epilogue(node.outputs[0])
    q = epilogue.quantization
    if q is not None and all(
            isinstance(form, (Scaled, Table, Constant, Codes)) for form in forms):
        integers = _requantized(ctx, node, values, q)
        if integers is not None:
            ctx.absorb(epilogue, node)
            return integers, epilogue.value, q.offset
    buffers = _alike(ctx, node, [
        ctx.buffer(value) if isinstance(form, (Buffer, Constant, Codes))
        else ctx.floats(value, node) for value, form in zip(values, forms, strict=True)])
    return buffers, node.outputs[0], buffers[0].offset


def _requantized(ctx: Lowering, node: ir.Node, values: list[ir.Value],
                 q: Quantization) -> list[Buffer] | None:
    """The stored integers of real operands at the scale of the result, None where it has none."""
    buffers = [_requantize(ctx, node, value, q) for value in values]
    found = [buffer for buffer in buffers if buffer is not None]
    return found if len(found) == len(buffers) else None


def _requantize(ctx: Lowering, node: ir.Node, value: ir.Value, q: Quantization) -> Buffer | None:
    form = ctx.form(value)
    if isinstance(form, Scaled) and is_wide(form, q):
        return rescaled(ctx, node, form, value, q)
    if isinstance(form, Table) and is_wide(form, q):
        return emit_interpolated(ctx, node, form, value, q)
    if isinstance(form, (Scaled, Table)):
        codes = q.codes(form.table())
        if np.array_equal(codes, STORED):
            return form.buffer
        return emit_table(ctx, node, form.buffer, codes, q.offset, value)
    array = ctx.constant(value)
    assert array is not None
    codes = q.codes(array.astype(np.float32))
    return ctx.store_constant(f"{value.name}:codes", codes.astype(q.dtype.numpy))


def _alike(ctx: Lowering, node: ir.Node, buffers: list[Buffer]) -> list[Buffer]:
    """The operands with the element type and offset of the first that is no constant.

    uint8 is held as such (a graph input, a constant) or as int8 with an offset (a result).
    """
    kinds = {(buffer.tensor.dtype, buffer.offset) for buffer in buffers}
    if len(kinds) == 1:
        return buffers
    if not {dtype for dtype, _ in kinds} <= {DType.I8, DType.U8}:
        raise Unsupported("operands of different element types", code="TC0104")
    return [stored_as_int8(ctx, node, buffer) for buffer in buffers]


def as_it_is(buffer: Buffer) -> Form:
    """What is moved without a scale, bound as it is."""
    return buffer


def representable(real: float, form: Scaled) -> bool:
    """Whether a stored integer stands for exactly this number."""
    return bool(np.any(form.table() == np.float32(real)))


def fill_bits(real: float, source: Buffer, form: Form | None) -> int:
    """The bytes of the fill value as the buffer holds it."""
    if isinstance(form, Scaled):
        return int(np.flatnonzero(form.table() == np.float32(real))[0])
    if source.tensor.dtype is DType.F32:
        return int.from_bytes(np.array(real, "<f4").tobytes(), "little")
    return (int(real) - source.offset) & ((1 << 8 * source.tensor.dtype.size) - 1)
