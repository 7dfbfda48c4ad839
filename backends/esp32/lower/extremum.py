"""Minimum and maximum of two tensors."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.broadcasting import binary_loops
from ternc.backends.esp32.lower.context import Lowering, Quantization, Unsupported
from ternc.backends.esp32.lower.elementwise import lower_float, lower_one_code
from ternc.backends.esp32.lower.forms import STORED, Buffer, Scaled
from ternc.backends.esp32.lower.nodes import operands
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.unary import emit_table
from ternc.backends.esp32.lower.wide import is_wide, rescaled
from ternc.backends.esp32.program import DType


@operator("Min", "Max", int8="two activations, or one and a scalar constant")
def lower_extremum(ctx: Lowering, node: ir.Node) -> None:
    """Min and Max: of quantized operands in the result's scale, which keeps their order."""
    if lower_one_code(ctx, node) or _emit_extremum(ctx, node):
        return
    lower_float(ctx, node)


def _emit_extremum(ctx: Lowering, node: ir.Node) -> bool:
    """On integers: as they are, or of quantized tensors in the result's scale."""
    forms = [ctx.form(value) for value in operands(node)]
    epilogue = ctx.epilogue(node.outputs[0])
    q, value = epilogue.quantization, epilogue.value
    if node.outputs[0].dtype is not ir.DataType.FLOAT:
        buffers, value = [ctx.buffer(operand) for operand in operands(node)], node.outputs[0]
    elif q is not None and all(isinstance(form, Scaled) for form in forms):
        buffers = [_in_scale(ctx, node, form, value, q) for form in forms
                   if isinstance(form, Scaled)]
        ctx.absorb(epilogue, node)
    else:
        return False
    kinds = {(buffer.tensor.dtype, buffer.offset) for buffer in buffers}
    dtype, offset = kinds.pop()
    if kinds or dtype not in (DType.I8, DType.U8, DType.I16, DType.I32):
        raise Unsupported(f"{node.op_type} of {operands(node)[0].dtype}", code="TC0104",
                          help="cast to float32 before it")
    nest, layout, (a, b) = binary_loops(ctx, node, buffers, ctx.shape(node.outputs[0]))
    y = ctx.new(value.name or "y", dtype, layout, offset)
    ctx.emit("extremum", node, a=a.tensor, b=b.tensor, y=y.tensor, **nest,
             minimum=int(node.op_type == "Min"))
    ctx.bind(value, y)
    return True


def _in_scale(ctx: Lowering, node: ir.Node, form: Scaled, value: ir.Value,
              q: Quantization) -> Buffer:
    """The tensor as `q` quantizes it."""
    if is_wide(form, q):
        return rescaled(ctx, node, form, value, q)
    codes = q.codes(form.table())
    if np.array_equal(codes, STORED):
        return Buffer(form.buffer.tensor, form.buffer.layout, q.offset)
    return emit_table(ctx, node, form.buffer, codes, q.offset, value)
