"""Elementwise instructions of int16 tensors."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.broadcasting import binary_loops
from ternc.backends.esp32.lower.context import Epilogue, Lowering, Quantization
from ternc.backends.esp32.lower.forms import Buffer, Scaled, WideArray
from ternc.backends.esp32.lower.wide import BOUND, requantize_wide, widened
from ternc.backends.esp32.program import DType
from ternc.quantize import RequantizationError


def emit_affine(
    ctx: Lowering, node: ir.Node, x: Buffer, value: ir.Value, q: Quantization,
    sizes: tuple[int, int, int], multiplier: WideArray, addend: WideArray,
    negative: WideArray | None = None,
) -> None:
    """One affine_i16: per channel, x times `multiplier` (below 0: times `negative`) + `addend`."""
    outer, channels, inner = sizes
    both = multiplier if negative is None else np.concatenate([multiplier, negative])
    constants = requantize_wide(
        both, np.resize(addend, both.size) + q.zero, np.full(both.size, BOUND), q)
    output = ctx.new(value.name or "y", q.dtype, x.layout, q.offset)
    ctx.emit(
        "affine_i16", node, x=x.tensor, y=output.tensor,
        m=ctx.data(f"{node.name}:m", constants.m[:channels], DType.I32),
        n=None if negative is None else ctx.data(
            f"{node.name}:n", constants.m[channels:], DType.I32),
        c=ctx.data(f"{node.name}:c", constants.c[:channels], DType.I32), outer=outer,
        channels=channels, inner=inner, shift=int(constants.shift), lo=q.lo, hi=q.hi)
    ctx.bind(value, output)


def emit_arithmetic(ctx: Lowering, node: ir.Node, a: Scaled, b: Scaled, epilogue: Epilogue,
                    q: Quantization) -> bool:
    """Add, Sub, Mul or Div of two quantized tensors; False where floats are needed."""
    shape = ctx.shape(node.outputs[0])
    numbers: dict[str, int] = {"lo": q.lo, "hi": q.hi}
    if node.op_type in ("Add", "Sub"):
        sign = -1.0 if node.op_type == "Sub" else 1.0
        try:
            found = requantize_wide(
                [a.scale / q.scale, sign * b.scale / q.scale], [q.zero] * 2, [BOUND] * 2, q)
        except RequantizationError:
            return False
        # Both multipliers are off by up to 1, the products by 2^15: 2^-shift of a step in all.
        if found.shift < 2:
            return False
        numbers |= {"ma": int(found.m[0]), "mb": int(found.m[1]), "c": int(found.c[0])}
        name, numbers["shift"] = "add_i16", int(found.shift)
    elif node.op_type == "Mul":
        found = requantize_wide([a.scale * b.scale / q.scale], [q.zero], [BOUND**2], q)
        numbers |= {"m": int(found.m[0]), "c": int(found.c[0]), "shift": int(found.shift)}
        name = "mul_i16"
    else:
        quotient = division(a, b, q)
        if quotient is None:
            return False
        numbers |= {"m": quotient[0], "zero": q.zero, "shift": quotient[1]}
        name = "div_i16"
    buffers = [widened(ctx, node, form).buffer for form in (a, b)]
    nest, layout, (x, y) = binary_loops(ctx, node, buffers, shape)
    output = ctx.new(epilogue.value.name or "y", q.dtype, layout, q.offset)
    ctx.emit(name, node, a=x.tensor, b=y.tensor, y=output.tensor, **nest, **numbers)
    ctx.bind(epilogue.value, output)
    ctx.absorb(epilogue, node)
    return True


def division(a: Scaled, b: Scaled, q: Quantization) -> tuple[int, int] | None:
    """Multiplier and shift of a quotient, or None where the multiplier would not fit."""
    ratio = a.scale / (b.scale * q.scale)
    shift = 0
    while ratio * 2**shift < 2**28 and shift < 30:
        shift += 1
    return None if ratio * 2**shift >= 2**31 else (round(ratio * 2**shift), shift)
