"""Hardmax: 1 at the first maximum along an axis, 0 elsewhere."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.along_axis import split_at
from ternc.backends.esp32.lower.context import Lowering
from ternc.backends.esp32.lower.elementwise import emit_binary
from ternc.backends.esp32.lower.forms import Buffer, Scaled
from ternc.backends.esp32.lower.nodes import attr_int, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.program import DType

_SUBTRACT, _ABS = 1, 4  # ops of binary_f32 and unary_f32


@operator("Hardmax", note="maxima are found on the integers")
def lower_hardmax(ctx: Lowering, node: ir.Node) -> None:
    """max(1 - |i - argmax(x)|, 0) for the places i along the axis."""
    shape = ctx.shape(node.outputs[0])
    axis = attr_int(node, "axis", -1) % len(shape)
    form, name = ctx.form(required_input(node, 0)), node.outputs[0].name or "y"
    source = (form.buffer if isinstance(form, Scaled)
              else ctx.floats(required_input(node, 0), node))
    x, outer, n, inner = split_at(source, axis, node, ctx)
    layout = x.layout.with_axis(axis, 1) if n != 1 else x.layout
    assert layout is not None
    place = ctx.new(f"{name}:place", DType.I32, layout)
    kernel = {DType.I8: "argmax_i8", DType.I16: "argmax_i16"}.get(x.tensor.dtype, "argmax_f32")
    ctx.emit(kernel, node, x=x.tensor, y=place.tensor, outer=outer, n=n, inner=inner,
             select_last=0, minimum=0)
    real = ctx.new(f"{name}:place", DType.F32, layout)
    ctx.emit("cast", node, x=place.tensor, y=real.tensor, count=prod(layout.shape))
    each = [1] * len(shape)
    each[axis] = n
    places = ctx.store_constant(f"{name}:places", np.arange(n, dtype=np.float32).reshape(each))
    away = emit_binary(ctx, node, _SUBTRACT, places, real, shape, f"{name}:away")
    far = ctx.new(f"{name}:far", DType.F32, away.layout)
    ctx.emit("unary_f32", node, x=away.tensor, y=far.tensor, op=_ABS, count=prod(shape),
             alpha=0.0, beta=0.0)
    one = ctx.store_constant(f"{name}:one", np.ones([1] * len(shape), np.float32))
    y: Buffer = emit_binary(ctx, node, _SUBTRACT, one, far, shape, name, lo=0.0)
    ctx.bind(node.outputs[0], y)
