"""A residual addition that a layer does itself, in place of the other branch.

`Conv -> Q -> DQ -> Add(., other) [-> Relu] -> Q` with `other` quantized and already computed: the
layer's kernel requantizes as the first Q says, saturation included, and then adds. Its own output
never exists in memory, and the sum takes the other branch's place.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ternc.backends.esp32.lower.context import Epilogue, Lowering, Quantization
from ternc.backends.esp32.lower.elementwise import WeightedSum, weighted_sum
from ternc.backends.esp32.lower.forms import Buffer, Scaled
from ternc.backends.esp32.lower.layout import Layout
from ternc.backends.esp32.lower.wide import is_wide


@dataclass(frozen=True, slots=True)
class Residual:
    """The other branch, the sum's constants (ma for the layer, mb for the branch) and its end."""

    branch: Scaled
    constants: WeightedSum
    quantization: Quantization
    epilogue: Epilogue  # of the Add, with the nodes between the layer and it


def following_residual(ctx: Lowering, value: ir.Value, q: Quantization,
                       layout: Layout) -> Residual | None:
    """The addition that alone reads a layer's quantized output `value`, if it can be fused."""
    if not ctx.fuse:
        return None
    dequantize = ctx.sole_consumer(value)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    real = dequantize.outputs[0]
    add = ctx.sole_consumer(real)
    if add is None or add.op_type != "Add" or len(add.inputs) != 2:
        return None
    other = add.inputs[1] if add.inputs[0] is real else add.inputs[0]
    if other is None or other is real:
        return None
    branch = ctx.form_or_none(other)
    scale = ctx.constant(dequantize.inputs[1])
    zero = ctx.constant(dequantize.inputs[2]) if len(dequantize.inputs) > 2 else None
    if not isinstance(branch, Scaled) or scale is None or scale.size != 1:
        return None
    shape = ctx.shape(value)
    if ctx.shape(other) != shape or ctx.shape(add.outputs[0]) != shape:
        return None
    if not branch.buffer.layout.same_as(layout):
        return None
    epilogue = ctx.epilogue(add.outputs[0])
    if epilogue.quantization is None or is_wide(branch, epilogue.quantization):
        return None
    own_zero = (0 if zero is None else int(zero.reshape(-1)[0])) - q.offset
    own = Scaled(Buffer(branch.buffer.tensor, layout), branch.compute,
                 scale=float(scale.reshape(-1)[0]), zero=own_zero)
    constants = weighted_sum(own, branch, epilogue.quantization)
    if constants is None:
        return None
    return Residual(branch, constants, epilogue.quantization, Epilogue(
        epilogue.value, epilogue.lo, epilogue.hi, epilogue.quantization,
        (dequantize, add, *epilogue.nodes)))
