"""Activations of 16 bits: int16 with zero point 0, beside int8 ones in the same model.

An operator whose operands or whose result are int16 runs in its int16 instruction. An int8 operand
is widened first, which is exact; an int8 result is written by that same instruction.
"""

from __future__ import annotations

from math import prod

import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Quantization
from ternc.backends.esp32.lower.forms import Buffer, Form, Lazy, Scaled
from ternc.backends.esp32.program import DType
from ternc.quantize import Requantization, requantize_constants

LOWEST, HIGHEST = -(2**15), 2**15 - 1
BOUND = 2**15  # largest size of a stored integer


def is_wide(form: Form, q: Quantization | None = None) -> bool:
    """Whether the operand, or the result that `q` describes, has 16 bits."""
    return (isinstance(form, Lazy) and form.is_wide) or (q is not None and q.dtype is DType.I16)


def requantize_wide(
    multipliers: npt.ArrayLike, bias: npt.ArrayLike, acc_bound: npt.ArrayLike, q: Quantization
) -> Requantization:
    """The constants of an int16 instruction, which computes in 64 bits."""
    return requantize_constants(multipliers, bias, acc_bound, output_bits=8 * q.dtype.size,
                                wide=True)


def widened(ctx: Lowering, node: ir.Node, form: Scaled) -> Scaled:
    """The same real values as int16 with zero point 0: exact, int8 less its zero point fits."""
    if form.is_wide:
        return form
    return Scaled(widened_buffer(ctx, node, form.buffer, form.zero), form.floats,
                  scale=form.scale, zero=0)


def widened_buffer(
    ctx: Lowering, node: ir.Node, source: Buffer, zero: int, gain: int = 1
) -> Buffer:
    """The int8 elements less `zero`, times `gain`, as int16; made once."""
    key = (id(source.tensor), zero, gain)
    if key not in ctx.wide:
        wide = ctx.new(f"{source.tensor.name}:int16", DType.I16, source.layout)
        # With shift 0 the definition of requantization is then (x - zero)*gain.
        ctx.emit("rescale", node, x=source.tensor, y=wide.tensor, m=gain << 16, c=-zero * gain,
                 shift=0,
                 count=prod(source.layout.shape), lo=LOWEST, hi=HIGHEST)
        ctx.wide[key] = wide.tensor
    return Buffer(ctx.wide[key], source.layout)


def rescaled(ctx: Lowering, node: ir.Node, form: Scaled, value: ir.Value,
             q: Quantization) -> Buffer:
    """A quantized tensor in another scale or width."""
    source = form.buffer
    if source.tensor.dtype is q.dtype and (form.scale, form.zero) == (q.scale, q.zero) and (
            q.is_full):
        return Buffer(source.tensor, source.layout, q.offset)
    ratio = form.scale / q.scale
    bound = BOUND if form.is_wide else 128
    constants = requantize_wide([ratio], [q.zero - form.zero * ratio], [bound], q)
    output = ctx.new(value.name or "y", q.dtype, source.layout, q.offset)
    ctx.emit("rescale", node, x=source.tensor, y=output.tensor, count=prod(source.layout.shape),
             m=int(constants.m[0]), c=int(constants.c[0]), shift=int(constants.shift),
             lo=q.lo, hi=q.hi)
    return output
