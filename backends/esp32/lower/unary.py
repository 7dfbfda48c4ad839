"""Unary elementwise operators: one byte table in int8, one instruction in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.elementwise import as_affine
from ternc.backends.esp32.lower.forms import STORED, Affine, Buffer, Scaled, Table
from ternc.backends.esp32.lower.nodes import attr_float, attr_str, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.program import DType, OperandValue

Wide = npt.NDArray[np.float64]
_erf = np.vectorize(erf, otypes=[np.float64])


@dataclass(frozen=True, slots=True)
class Unary:
    """One function: its value in float64 for tables, and its float32 instruction."""

    function: Callable[[Wide], Wide]
    instruction: str
    operands: dict[str, OperandValue]


def _piecewise(op: int, alpha: float, beta: float, function: Callable[[Wide], Wide]) -> Unary:
    return Unary(function, "unary_f32", {"op": op, "alpha": alpha, "beta": beta})


def _activation(op: int, alpha: float, beta: float, function: Callable[[Wide], Wide]) -> Unary:
    return Unary(function, "activation_f32", {"op": op, "alpha": alpha, "beta": beta})


def _threshold(op: int, alpha: float, beta: float, function: Callable[[Wide], Wide]) -> Unary:
    return Unary(function, "threshold_f32", {"op": op, "alpha": alpha, "beta": beta})


def _clip(ctx: Lowering, node: ir.Node) -> Unary:
    bounds = ctx.clip_bounds(node)
    if bounds is None:
        raise Unsupported("Clip with bounds that are computed at run time")
    lo, hi = bounds
    return _piecewise(0, lo, hi, lambda x: np.minimum(np.maximum(x, lo), hi))


def _leaky(ctx: Lowering, node: ir.Node) -> Unary:
    alpha = attr_float(node, "alpha", 0.01)
    return _piecewise(1, alpha, 0.0, lambda x: np.where(x < 0, x * alpha, x))


def _hard_sigmoid(ctx: Lowering, node: ir.Node) -> Unary:
    alpha, beta = attr_float(node, "alpha", 0.2), attr_float(node, "beta", 0.5)
    return _piecewise(2, alpha, beta, lambda x: np.clip(alpha * x + beta, 0, 1))


def _gelu(ctx: Lowering, node: ir.Node) -> Unary:
    if attr_str(node, "approximate", "none") == "tanh":
        return Unary(lambda x: 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x**3))),
                     "gelu_f32", {"tanh": 1})
    return Unary(lambda x: 0.5 * x * (1 + _erf(x * 0.7071067811865476)), "gelu_f32", {"tanh": 0})


def _shrink(ctx: Lowering, node: ir.Node) -> Unary:
    edge, bias = attr_float(node, "lambd", 0.5), attr_float(node, "bias", 0.0)
    return _threshold(2, edge, bias, lambda x: np.where(
        x < -edge, x + bias, np.where(x > edge, x - bias, 0.0)))


def _thresholded_relu(ctx: Lowering, node: ir.Node) -> Unary:
    alpha = attr_float(node, "alpha", 1.0)
    return _threshold(1, alpha, 0.0, lambda x: np.where(x > alpha, x, 0.0))


def _elu(ctx: Lowering, node: ir.Node) -> Unary:
    """Elu and Selu."""
    selu = node.op_type == "Selu"
    alpha = attr_float(node, "alpha", 1.67326319217681884765625 if selu else 1.0)
    gamma = attr_float(node, "gamma", 1.05070102214813232421875) if selu else 1.0
    return _activation(0, alpha, gamma,
                       lambda x: gamma * np.where(x > 0, x, alpha * np.expm1(x)))


def _celu(ctx: Lowering, node: ir.Node) -> Unary:
    alpha = attr_float(node, "alpha", 1.0)
    if alpha == 0:
        raise Unsupported("Celu with alpha 0, by which it divides", help="use Relu")
    return _activation(1, alpha, 0.0, lambda x: np.where(x > 0, x, alpha * np.expm1(x / alpha)))


def _swish(ctx: Lowering, node: ir.Node) -> Unary:
    alpha = attr_float(node, "alpha", 1.0)
    return _activation(4, alpha, 0.0, lambda x: x * _sigmoid(alpha * x))


def _softplus(x: Wide) -> Wide:
    result: Wide = np.logaddexp(x, 0)
    return result


def _sigmoid(x: Wide) -> Wide:
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def _hard_swish(x: Wide) -> Wide:
    return x * np.clip(x / 6 + 0.5, 0, 1)


_FIXED: dict[str, Unary] = {
    "Relu": _piecewise(0, 0.0, np.inf, lambda x: np.maximum(x, 0)),
    "HardSwish": _piecewise(3, 0.0, 0.0, _hard_swish),
    "Abs": _piecewise(4, 0.0, 0.0, np.abs),
    "Neg": _piecewise(5, 0.0, 0.0, np.negative),
    "Floor": _piecewise(6, 0.0, 0.0, np.floor),
    "Ceil": _piecewise(7, 0.0, 0.0, np.ceil),
    "Round": _piecewise(8, 0.0, 0.0, np.rint),
    "Sign": _piecewise(9, 0.0, 0.0, np.sign),
    "Reciprocal": _piecewise(10, 0.0, 0.0, np.reciprocal),
    "Sigmoid": Unary(_sigmoid, "sigmoid_f32", {}),
    "Tanh": Unary(np.tanh, "tanh_f32", {}),
    "Exp": Unary(np.exp, "exp_f32", {}),
    "Log": Unary(np.log, "log_f32", {}),
    "Sqrt": Unary(np.sqrt, "sqrt_f32", {}),
    "Erf": Unary(_erf, "erf_f32", {}),
    "Softplus": _activation(2, 0.0, 0.0, _softplus),
    "Mish": _activation(3, 0.0, 0.0, lambda x: x * np.tanh(_softplus(x))),
    "Softsign": _threshold(0, 0.0, 0.0, lambda x: x / (1 + np.abs(x))),
    "Sin": Unary(np.sin, "trigonometric_f32", {"op": 0}),
    "Cos": Unary(np.cos, "trigonometric_f32", {"op": 1}),
    "Tan": Unary(np.tan, "trigonometric_f32", {"op": 2}),
    "Asin": Unary(np.arcsin, "arc_f32", {"op": 0}),
    "Acos": Unary(np.arccos, "arc_f32", {"op": 1}),
    "Atan": Unary(np.arctan, "arc_f32", {"op": 2}),
    "Sinh": Unary(np.sinh, "hyperbolic_f32", {"op": 0}),
    "Cosh": Unary(np.cosh, "hyperbolic_f32", {"op": 1}),
    "Asinh": Unary(np.arcsinh, "hyperbolic_f32", {"op": 2}),
    "Acosh": Unary(np.arccosh, "hyperbolic_f32", {"op": 3}),
    "Atanh": Unary(np.arctanh, "hyperbolic_f32", {"op": 4}),
}
_WITH_ATTRIBUTES = {
    "Clip": _clip, "LeakyRelu": _leaky, "HardSigmoid": _hard_sigmoid, "Gelu": _gelu,
    "Elu": _elu, "Selu": _elu, "Celu": _celu, "Swish": _swish, "Shrink": _shrink,
    "ThresholdedRelu": _thresholded_relu,
}


@operator(*_FIXED, *_WITH_ATTRIBUTES, int8="one 256-byte table", int16="interpolated")
def lower_unary(ctx: Lowering, node: ir.Node) -> None:
    """A unary function: lazily on a quantized operand, else one float32 instruction."""
    unary = (
        _FIXED[node.op_type]
        if node.op_type in _FIXED
        else _WITH_ATTRIBUTES[node.op_type](ctx, node)
    )
    form = ctx.form(required_input(node, 0))
    output = node.outputs[0]

    def compute() -> Buffer:
        x = ctx.floats(required_input(node, 0), node)
        y = ctx.new(output.name or "y", DType.F32, x.layout)
        ctx.emit(unary.instruction, node, x=x.tensor, y=y.tensor,
                 count=prod(ctx.shape(output)), **unary.operands)
        return y

    if isinstance(form, (Scaled, Table)):
        with np.errstate(all="ignore"):
            values = unary.function(form.table().astype(np.float64)).astype(np.float32)
        ctx.bind(output, Table(form.buffer, compute, values=values))
    elif isinstance(form, Affine) and node.op_type in ("Relu", "Clip"):
        lazy = as_affine(form, compute)
        assert lazy is not None
        lo, hi = (0.0, np.inf) if node.op_type == "Relu" else (ctx.clip_bounds(node) or (0.0, 0.0))
        lazy.lo, lazy.hi = (min(max(edge, lo), hi) for edge in (lazy.lo, lazy.hi))
        ctx.bind(output, lazy)
    elif isinstance(form, Buffer) and node.op_type == "Clip" and (
            form.tensor.dtype in (DType.I8, DType.I16)):
        _clip_integers(ctx, node, form)
    else:
        ctx.bind(output, compute())


def _clip_integers(ctx: Lowering, node: ir.Node, form: Buffer) -> None:
    """Clip of a quantized integer tensor."""
    bounds = ctx.clip_bounds(node)
    if bounds is None:
        raise Unsupported("Clip with bounds that are computed at run time")
    edge = 2 ** (8 * form.tensor.dtype.size - 1)
    lo, hi = max(bounds[0] - form.offset, -edge), min(bounds[1] - form.offset, edge - 1)
    if form.tensor.dtype is DType.I16:
        y = ctx.new(node.outputs[0].name or "y", DType.I16, form.layout, form.offset)
        ctx.emit("rescale", node, x=form.tensor, y=y.tensor, count=prod(form.layout.shape),
                 m=1 << 16, c=0, shift=0, lo=int(lo), hi=int(hi))
        ctx.bind(node.outputs[0], y)
        return
    clipped = np.clip(STORED, lo, hi)
    ctx.bind(node.outputs[0], emit_table(ctx, node, form, clipped, form.offset))


def emit_table(ctx: Lowering, node: ir.Node, source: Buffer, codes: npt.NDArray[np.int64],
               offset: int, value: ir.Value | None = None, dtype: DType = DType.I8) -> Buffer:
    """A table lookup of every stored byte of `source`."""
    value = value or node.outputs[0]
    output = ctx.new(value.name or "y", dtype, source.layout, offset)
    ctx.emit("lut_i8", node, x=source.tensor, y=output.tensor, count=prod(source.layout.shape),
             table=ctx.data(f"{node.name}:table", codes, dtype))
    return output


def stored_as_int8(ctx: Lowering, node: ir.Node, buffer: Buffer) -> Buffer:
    """uint8 elements as int8 with an offset of 128."""
    if buffer.tensor.dtype is not DType.U8:
        return buffer
    return emit_table(ctx, node, buffer, np.arange(256, dtype=np.int64) - 128, 128)


def stored_as_uint8(ctx: Lowering, node: ir.Node, buffer: Buffer) -> Buffer:
    """int8 elements with an offset as the uint8 that they stand for."""
    if not buffer.offset:
        return buffer
    if buffer.tensor.dtype is not DType.I8:
        raise Unsupported("uint16 elements as such", code="TC0104",
                          help="use int16 with the zero point 0")
    return emit_table(ctx, node, buffer, np.clip(STORED + buffer.offset, 0, 255), 0,
                      dtype=DType.U8)
