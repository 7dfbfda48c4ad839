"""Binary elementwise operators, PRelu and BatchNormalization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.broadcasting import binary_loops, periodic
from ternc.backends.esp32.lower.context import Epilogue, Lowering, Quantization, Unsupported
from ternc.backends.esp32.lower.elementwise_i16 import division, emit_affine, emit_arithmetic
from ternc.backends.esp32.lower.forms import (
    Affine,
    Buffer,
    FloatArray,
    Form,
    Scaled,
    Table,
)
from ternc.backends.esp32.lower.layout import Shape
from ternc.backends.esp32.lower.nodes import attr_float, operands, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.wide import is_wide, widened, widened_buffer
from ternc.backends.esp32.program import DType
from ternc.quantize import requantize_constants

_OPS = {"Add": 0, "Sub": 1, "Mul": 2, "Div": 3, "Min": 4, "Max": 5, "Pow": 6, "PRelu": 7}
_NUMPY: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide,
    "Min": np.minimum, "Max": np.maximum, "Pow": np.power,
    "PRelu": lambda x, slope: np.where(x < 0, x * slope, x),
}


@operator("Add", "Sub", "Mul", "Div", int8="two activations, or one and a constant")
def lower_arithmetic(ctx: Lowering, node: ir.Node) -> None:
    """Arithmetic with broadcasting, in integers when both ends are quantized."""
    if lower_one_code(ctx, node) or _lower_affine(ctx, node):
        return
    left, right = (ctx.form(value) for value in operands(node))
    epilogue = ctx.epilogue(node.outputs[0])
    q = epilogue.quantization
    if q is None or not isinstance(left, Scaled) or not isinstance(right, Scaled):
        lower_float(ctx, node)
        return
    wide = is_wide(left, q) or is_wide(right)
    emit = emit_arithmetic if wide else _emit_integer
    if not emit(ctx, node, left, right, epilogue, q):
        lower_float(ctx, node)


@operator("Pow", int8="with one scalar constant, as a table", int16="interpolated",
          note="float32 by exp and log")
def lower_power(ctx: Lowering, node: ir.Node) -> None:
    """Pow, which has no integer form for two activations."""
    if not lower_one_code(ctx, node):
        lower_float(ctx, node)


@operator("PRelu", int8="slope per channel")
def lower_prelu(ctx: Lowering, node: ir.Node) -> None:
    """PRelu with a constant slope (one, or one per channel)."""
    shape, slopes = (ctx.shape(required_input(node, index)) for index in (0, 1))
    tail = shape[len(shape) - len(slopes):]
    if len(slopes) > len(shape) or any(n not in (1, m) for n, m in zip(slopes, tail, strict=True)):
        raise Unsupported(
            f"slopes of shape {slopes} do not broadcast to {shape}", code="TC0003",
            help="one slope per channel has the shape [C, 1, ...]")
    if lower_one_code(ctx, node):
        return
    x, slope = ctx.form(required_input(node, 0)), ctx.constant(required_input(node, 1))
    epilogue = ctx.epilogue(node.outputs[0])
    q = epilogue.quantization
    if isinstance(x, Scaled) and slope is not None and q is not None and is_wide(x, q):
        x = widened(ctx, node, x)
        layout, ratio = x.buffer.layout, x.scale / q.scale
        period = periodic(layout, ctx.shape(node.outputs[0]), [slope.astype(np.float64)])
        emit_affine(ctx, node, x.buffer, epilogue.value, q, period[:3],
                    np.full(period[1], ratio), np.zeros(period[1]), period[3][0] * ratio)
        ctx.absorb(epilogue, node)
        return
    if isinstance(x, Scaled) and slope is not None and q is not None:
        shape = ctx.shape(node.outputs[0])
        period = periodic(x.buffer.layout, shape, [slope.astype(np.float64)])
        outer, channels, inner, (values,) = period
        ratio = x.scale / q.scale
        constants = requantize_constants(
            np.concatenate([[ratio], values * ratio]),
            np.full(channels + 1, float(q.zero)), np.full(channels + 1, 255))
        output = ctx.new(epilogue.value.name or "y", DType.I8, x.buffer.layout, q.offset)
        ctx.emit("prelu_i8", node, x=x.buffer.tensor, y=output.tensor,
                 m=ctx.data(f"{node.name}:slope", constants.m[1:], DType.I32), outer=outer,
                 channels=channels, inner=inner, x_zero=x.zero, m_pos=int(constants.m[0]),
                 c=int(constants.c[0]), shift=int(constants.shift), lo=q.lo, hi=q.hi)
        ctx.bind(epilogue.value, output)
        ctx.absorb(epilogue, node)
        return
    lower_float(ctx, node)


@operator("BatchNormalization", int8="scale and offset per channel")
def lower_batch_normalization(ctx: Lowering, node: ir.Node) -> None:
    """BatchNormalization (inference) where no layer before it could absorb it."""
    parameters = [ctx.constant(value) for value in node.inputs[1:5]]
    if any(p is None for p in parameters):
        raise Unsupported("scale, bias, mean and variance must be constant")
    gamma, beta, mean, variance = (p.astype(np.float64) for p in parameters if p is not None)
    factor = gamma / np.sqrt(variance + attr_float(node, "epsilon", 1e-5))
    shape = ctx.shape(node.outputs[0])
    each = (1, -1, *([1] * (len(shape) - 2)))
    multiplier, addend = factor.reshape(each), (beta - mean * factor).reshape(each)
    form = ctx.form(required_input(node, 0))

    def compute() -> Buffer:
        x = ctx.floats(required_input(node, 0), node)
        outer, channels, inner, (m, b) = periodic(x.layout, shape, [multiplier, addend])
        output = ctx.new(node.outputs[0].name or "y", DType.F32, x.layout)
        ctx.emit("affine_f32", node, x=x.tensor, y=output.tensor,
                 m=ctx.data(f"{node.name}:m", m, DType.F32),
                 b=ctx.data(f"{node.name}:b", b, DType.F32),
                 outer=outer, channels=channels, inner=inner, lo=-np.inf, hi=np.inf)
        return output

    if isinstance(form, (Scaled, Affine)):
        lazy = as_affine(form, compute)
        if lazy is not None and not np.isfinite([lazy.lo, lazy.hi]).any():
            lazy.multiplier = lazy.multiplier * multiplier
            lazy.addend = lazy.addend * multiplier + addend
            ctx.bind(node.outputs[0], lazy)
            return
    ctx.bind(node.outputs[0], compute())


def lower_one_code(ctx: Lowering, node: ir.Node) -> bool:
    """Binds the result as a table when it depends on one stored byte alone."""
    known: list[FloatArray] = []
    source: Scaled | Table | None = None
    out_shape = ctx.shape(node.outputs[0])
    for value in operands(node):
        form = ctx.form(value)
        if isinstance(form, (Scaled, Table)):
            if source is not None and (source.buffer.tensor is not form.buffer.tensor
                                       or not source.buffer.layout.same_as(form.buffer.layout)):
                return False
            if ctx.shape(value) != out_shape:
                return False
            source = form
            known.append(form.table())
        elif (array := ctx.constant(value)) is not None and array.size == 1:
            known.append(array.astype(np.float32).reshape(()))
        else:
            return False
    if source is None:
        return False
    result = known[0]
    with np.errstate(all="ignore"):
        for other in known[1:]:
            result = _NUMPY[node.op_type](result, other)

    def compute() -> Buffer:
        return _float_buffer(ctx, node)

    ctx.bind(node.outputs[0], Table(source.buffer, compute, values=result.astype(np.float32)))
    return True


def as_affine(form: Form, compute: Callable[[], Buffer]) -> Affine | None:
    """A lazy affine expression that starts from `form`."""
    if isinstance(form, Scaled):
        return Affine(form.buffer, compute, np.asarray(form.scale, np.float64),
                      np.asarray(-form.zero * form.scale, np.float64))
    if isinstance(form, Affine):
        return Affine(form.buffer, compute, form.multiplier, form.addend, form.lo, form.hi)
    return None


def _lower_affine(ctx: Lowering, node: ir.Node) -> bool:
    """Binds `quantized op constant` as a lazy affine expression."""
    left, right = (ctx.form(value) for value in operands(node))
    flipped = not isinstance(left, (Scaled, Affine))
    source = right if flipped else left
    other = ctx.constant(required_input(node, 0) if flipped else required_input(node, 1))
    x_value = required_input(node, 1) if flipped else required_input(node, 0)
    if other is None or ctx.shape(x_value) != ctx.shape(node.outputs[0]):
        return False
    lazy = as_affine(source, lambda: _float_buffer(ctx, node))
    if (
        lazy is None
        or np.isfinite([lazy.lo, lazy.hi]).any()
        or (flipped and node.op_type == "Div")
    ):
        return False
    constant = other.astype(np.float64)
    if node.op_type in ("Mul", "Div"):
        with np.errstate(divide="ignore"):
            factor = constant if node.op_type == "Mul" else 1.0 / constant
        if not np.isfinite(factor).all():
            return False
        lazy.multiplier, lazy.addend = lazy.multiplier * factor, lazy.addend * factor
    elif node.op_type == "Add":
        lazy.addend = lazy.addend + constant
    elif flipped:
        lazy.multiplier, lazy.addend = -lazy.multiplier, constant - lazy.addend
    else:
        lazy.addend = lazy.addend - constant
    ctx.bind(node.outputs[0], lazy)
    return True


def quantize_affine(ctx: Lowering, node: ir.Node, lazy: Affine, value: ir.Value,
                    q: Quantization) -> None:
    """Emits one affine instruction for a lazy affine expression that is quantized."""
    shape = ctx.shape(value)
    layout = lazy.buffer.layout
    outer, channels, inner, (m, b) = periodic(layout, shape, [lazy.multiplier, lazy.addend])
    if is_wide(lazy, q):
        # Of an int8 tensor the zero point is in the addend.
        source = lazy.buffer if lazy.is_wide else widened_buffer(ctx, node, lazy.buffer, 0)
        narrowed = replace(q, lo=q.bound(lazy.lo, q.lo), hi=q.bound(lazy.hi, q.hi))
        emit_affine(ctx, node, source, value, narrowed, (outer, channels, inner),
                    m / q.scale, b / q.scale)
        return
    constants = requantize_constants(m / q.scale, b / q.scale + q.zero, np.full(channels, 128))
    output = ctx.new(value.name or "y", DType.I8, layout, q.offset)
    ctx.emit(
        "affine_i8",
        node,
        x=lazy.buffer.tensor,
        y=output.tensor,
        m=ctx.data(f"{node.name}:m", constants.m, DType.I32),
        c=ctx.data(f"{node.name}:c", constants.c, DType.I32),
        outer=outer,
        channels=channels,
        inner=inner,
        shift=int(constants.shift),
        lo=q.bound(lazy.lo, q.lo),
        hi=q.bound(lazy.hi, q.hi),
    )
    ctx.bind(value, output)


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """`(a*ma + b*mb + c) >> shift`, which provably stays within int32."""

    ma: int
    mb: int
    c: int
    shift: int


def weighted_sum(a: Scaled, b: Scaled, q: Quantization, sign: int = 1) -> WeightedSum | None:
    """The sum (sign 1) or difference (-1) of two quantized tensors in the output's scale."""
    ra, rb = a.scale / q.scale, sign * b.scale / q.scale
    largest = 256 * (abs(ra) + abs(rb)) + abs(q.zero)
    if largest >= 2**30:
        return None
    shift = 24
    while shift > 0 and largest * 2**shift >= 2**30:
        shift -= 1
    ma, mb = round(ra * 2**shift), round(rb * 2**shift)
    c = (q.zero << shift) - a.zero * ma - b.zero * mb + ((1 << shift) >> 1)
    return WeightedSum(ma, mb, c, shift)


def _emit_integer(ctx: Lowering, node: ir.Node, a: Scaled, b: Scaled, epilogue: Epilogue,
                  q: Quantization) -> bool:
    shape = ctx.shape(node.outputs[0])
    nest, layout, (x, y) = binary_loops(ctx, node, [a.buffer, b.buffer], shape)
    output = ctx.new(epilogue.value.name or "y", DType.I8, layout, q.offset)
    numbers = {**nest, "lo": q.lo, "hi": q.hi}
    if node.op_type in ("Add", "Sub"):
        sum_ = weighted_sum(a, b, q, -1 if node.op_type == "Sub" else 1)
        if sum_ is None:
            return False
        ctx.emit("add_i8", node, a=x.tensor, b=y.tensor, y=output.tensor, **numbers,
                 ma=sum_.ma, mb=sum_.mb, c=sum_.c, shift=sum_.shift)
    elif node.op_type == "Mul":
        constants = requantize_constants(
            np.array([a.scale * b.scale / q.scale]),
            np.array([float(q.zero)]),
            np.array([255 * 255]),
        )
        ctx.emit("mul_i8", node, a=x.tensor, b=y.tensor, y=output.tensor, **numbers,
                 a_zero=a.zero, b_zero=b.zero, m=int(constants.m[0]), c=int(constants.c[0]),
                 shift=int(constants.shift))
    else:
        quotient = division(a, b, q)
        if quotient is None:
            return False
        ctx.emit("div_i8", node, a=x.tensor, b=y.tensor, y=output.tensor, **numbers,
                 a_zero=a.zero, b_zero=b.zero, m=quotient[0], zero=q.zero, shift=quotient[1])
    ctx.bind(epilogue.value, output)
    ctx.absorb(epilogue, node)
    return True


def emit_binary(ctx: Lowering, node: ir.Node, op: int, a: Buffer, b: Buffer, shape: Shape,
                name: str, lo: float = -np.inf, hi: float = np.inf) -> Buffer:
    """One float32 elementwise instruction."""
    nest, layout, (a, b) = binary_loops(ctx, node, [a, b], shape)
    output = ctx.new(name, DType.F32, layout)
    ctx.emit(
        "binary_f32", node, a=a.tensor, b=b.tensor, y=output.tensor, op=op, lo=lo, hi=hi, **nest
    )
    return output


def _float_buffer(ctx: Lowering, node: ir.Node, name: str = "", lo: float = -np.inf,
                  hi: float = np.inf) -> Buffer:
    shape = ctx.shape(node.outputs[0])
    name = name or node.outputs[0].name or "y"
    result = ctx.floats(required_input(node, 0), node)
    for place, value in enumerate(operands(node)[1:], start=1):
        last = place == len(node.inputs) - 1
        between = tuple(np.broadcast_shapes(result.layout.shape, ctx.shape(value)))
        result = emit_binary(ctx, node, _OPS[node.op_type], result, ctx.floats(value, node),
                             shape if last else between, name if last else f"{name}:{place}",
                             lo if last else -np.inf, hi if last else np.inf)
    return result


def lower_float(ctx: Lowering, node: ir.Node) -> None:
    """A chain of float32 instructions, with the clamp that follows."""
    if node.outputs[0].dtype is not ir.DataType.FLOAT:
        raise Unsupported(f"element type {node.outputs[0].dtype}", code="TC0104")
    epilogue = ctx.epilogue(node.outputs[0]).in_float()
    output = _float_buffer(ctx, node, epilogue.value.name or "y", epilogue.lo, epilogue.hi)
    ctx.bind(epilogue.value, output)
    ctx.absorb(epilogue, node)
