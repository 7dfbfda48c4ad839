"""Constant weights of a multiply-accumulate layer, and the instruction that computes it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Epilogue, Lowering, Unsupported, Work
from ternc.backends.esp32.lower.forms import (
    Buffer,
    Codes,
    Constant,
    Form,
    IntArray,
    Scaled,
    WideArray,
)
from ternc.backends.esp32.lower.kernel_choice import ADDING, RESIDUAL_OUTPUT, choose
from ternc.backends.esp32.lower.kernel_cost import Choice
from ternc.backends.esp32.lower.layout import Layout
from ternc.backends.esp32.lower.nodes import required_input
from ternc.backends.esp32.lower.residual import Residual, following_residual
from ternc.backends.esp32.lower.short_form import constant_operands, short_form
from ternc.backends.esp32.lower.wide import BOUND, is_wide, requantize_wide, widened
from ternc.backends.esp32.program import DType, OperandValue, Tensor
from ternc.quantize import Requantization, pack_ternary, requantize_constants

WeightMap = Callable[[Any], Any]  # rearranges an array of any element type


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights with the output channel first.

    `real` is float32 of the whole shape; quantized weights have `codes`, `scale[out]` (never
    negative) and `zero[out]` instead.
    """

    shape: tuple[int, ...]
    real: npt.NDArray[np.float32] | None = None
    codes: IntArray | None = None
    scale: WideArray | None = None
    zero: IntArray | None = None

    @property
    def suffix(self) -> str:
        """The instruction's suffix for float32 activations: "", "_w8" or "_t2"."""
        if self.codes is None:
            return ""
        return "_t2" if self.is_ternary else "_w8"

    @property
    def is_ternary(self) -> bool:
        """Whether every code is -1, 0 or +1 and there is no zero point."""
        return (self.codes is not None and self.zero is not None and not self.zero.any()
                and bool(np.isin(self.codes, (-1, 0, 1)).all()))

    def map(self, function: WeightMap) -> Weights:
        """Applies a rearrangement that keeps the output channel first."""
        real = None if self.real is None else function(self.real)
        codes = None if self.codes is None else function(self.codes)
        array = real if real is not None else codes
        assert array is not None
        return Weights(tuple(array.shape), real, codes, self.scale, self.zero)

    def store(self, ctx: Lowering, name: str) -> Tensor:
        """The constant tensor in the kernel's layout."""
        if self.real is not None:
            return ctx.data(name, self.real, DType.F32)
        assert self.codes is not None
        if self.is_ternary:
            packed = np.frombuffer(pack_ternary(self.codes.astype(np.int8)), np.uint8)
            return ctx.data(name, packed, DType.U8)
        return ctx.data(name, self.codes, DType.I8)


def weights(ctx: Lowering, value: ir.Value, perm: tuple[int, ...]) -> Weights | None:
    """The constant weights behind `value`, transposed so that axis 0 is the output channel."""
    form = ctx.form(value)
    if isinstance(form, Constant):
        if form.array.dtype != np.float32:
            raise Unsupported(f"weights of type {form.array.dtype}", code="TC0104")
        array = form.array.transpose(perm).astype(np.float32)
        return Weights(tuple(array.shape), real=array)
    if not isinstance(form, Codes):
        return None
    codes = form.transpose(perm)
    if codes.axis not in (None, 0):  # scales along an input axis are no per-channel scales
        return Weights(tuple(codes.codes.shape), real=codes.real())
    return normalised(codes)


def normalised(codes: Codes) -> Weights:
    """Weights with int8 codes and scales that are not negative (or float32 where impossible)."""
    channels = codes.codes.shape[0]
    scale = np.broadcast_to(codes.scale, (channels,)).astype(np.float64)
    zero = np.broadcast_to(codes.zero, (channels,)).astype(np.int64)
    each = (channels, *([1] * (codes.codes.ndim - 1)))
    centred = codes.codes - zero.reshape(each)
    negative = scale < 0
    centred = np.where(negative.reshape(each), -centred, centred)
    scale = np.abs(scale)
    if centred.min(initial=0) >= -128 and centred.max(initial=0) <= 127:
        return Weights(
            tuple(centred.shape), codes=centred, scale=scale, zero=np.zeros(channels, np.int64)
        )
    # A zero point does not centre within int8: shift the channel and correct by it exactly.
    flat = centred.reshape(channels, -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    if (high - low).max() > 255:
        return Weights(tuple(centred.shape), real=codes.real())
    shift = np.where(low < -128, -128 - low, np.minimum(127 - high, 0))
    return Weights(tuple(centred.shape), codes=centred + shift.reshape(each), scale=scale,
                   zero=shift)


@dataclass(frozen=True, slots=True)
class Layer:
    """A multiply-accumulate layer ready to be emitted: `x` is `Scaled` for integer arithmetic."""

    node: ir.Node
    kernel: str  # "conv2d" or "dense"
    x: Scaled | Buffer
    weights: Weights
    bias: WideArray  # real, one per output channel
    has_bias: bool
    output_layout: Layout
    macs: int
    numbers: dict[str, int]  # geometry operands
    x_layout: Layout  # that the kernel reads
    epilogue: Epilogue


def has_integer_form(form: Form, w: Weights, epilogue: Epilogue) -> bool:
    """Whether the layer's sums are of integers: of 16 bits only when the result is quantized."""
    return isinstance(form, Scaled) and w.codes is not None and (
        not form.is_wide or epilogue.quantization is not None)


def emit_layer(ctx: Lowering, layer: Layer) -> None:
    """Emits the layer in the best arithmetic that its operands allow, and binds its output."""
    if isinstance(layer.x, Scaled):
        if is_wide(layer.x, layer.epilogue.quantization):
            _emit_wide(ctx, layer, layer.x)
        elif id(layer.x.buffer.tensor) in ctx.row_factors:
            _emit_dynamic(ctx, layer, layer.x)
        elif layer.epilogue.quantization is not None:
            _emit_integer(ctx, layer, layer.x)
        else:
            _emit_integer_to_float(ctx, layer, layer.x)
    else:
        _emit_float(ctx, layer)


def _shared(ctx: Lowering, layer: Layer, buffer: Buffer) -> dict[str, OperandValue]:
    x = ctx.relayout(buffer, layer.x_layout, layer.node)
    name = _weight_name(layer.node)
    return {"x": x.tensor, "w": layer.weights.store(ctx, name), **layer.numbers}


def _weight_name(node: ir.Node) -> str:
    value = required_input(node, 1) if len(node.inputs) > 1 else None
    return f"{(value.name if value is not None else None) or node.name or node.op_type}:weights"


def _nonzeros(layer: Layer) -> int | None:
    if not layer.weights.is_ternary or layer.weights.codes is None:
        return None
    return int(np.count_nonzero(layer.weights.codes))


def _centred(layer: Layer) -> IntArray:
    """The weights' codes less their zero point, a row for each output channel."""
    codes, zero = layer.weights.codes, layer.weights.zero
    assert codes is not None
    assert zero is not None
    rows: IntArray = codes.reshape(codes.shape[0], -1) - zero[:, None]
    return rows


def _code_sums(layer: Layer) -> tuple[IntArray, IntArray]:
    """Per output channel: sum of the weights, and the largest |accumulator|."""
    flat = _centred(layer)
    bound = np.abs(flat).sum(axis=1) * 128
    if bound.max(initial=0) >= 2**31:
        raise Unsupported("the integer accumulator would overflow 32 bits")
    return flat.sum(axis=1), bound


def _zero_tensor(ctx: Lowering, layer: Layer) -> dict[str, OperandValue]:
    if layer.weights.is_ternary:
        return {}
    zero = layer.weights.zero
    assert zero is not None
    stored = ctx.data(f"{_weight_name(layer.node)}:zero", zero, DType.I32) if zero.any() else None
    return {"w_zero": stored}


def _layer_name(layer: Layer) -> str:
    return layer.node.name or layer.node.op_type


def _fast_kernel(ctx: Lowering, layer: Layer, residual: bool, spare: bool,
                 linked: Collection[str]) -> Choice | None:
    """The fast form that the cost model prefers, or None for the plain kernel."""
    codes, zero = layer.weights.codes, layer.weights.zero
    assert codes is not None
    assert zero is not None
    if zero.any():
        return None
    return choose(layer.kernel, codes, layer.weights.is_ternary, layer.numbers, layer.macs,
                  ctx.room(_layer_name(layer)), residual, spare, linked)


def _has_spare(constants: Requantization, bound: IntArray) -> bool:
    """Whether results 256 output units larger still fit 32 bits before the shift."""
    highest = (constants.m.astype(np.int64) * bound >> 16) + np.abs(constants.c.astype(np.int64))
    return int(highest.max(initial=0)) + (256 << constants.shift) < 2**31


def _emit_integer(ctx: Lowering, layer: Layer, x: Scaled) -> None:
    q = layer.epilogue.quantization
    scale = layer.weights.scale
    assert q is not None
    assert scale is not None
    sums, bound = _code_sums(layer)
    multiplier = x.scale * scale / q.scale
    bias = layer.bias / q.scale + q.zero - x.zero * sums * multiplier
    short = None
    if layer.kernel == "dense" and layer.weights.is_ternary:
        short = short_form(_centred(layer), multiplier, bias, q.lo, q.hi)
    constants = (requantize_constants(multiplier, bias, bound) if short is None
                 else short.long())
    linked = {item.opcode.name for item in ctx.program.instructions}
    name = _weight_name(layer.node)
    padding = {"x_zero": x.zero} if layer.kernel == "conv2d" else {}
    epilogue = layer.epilogue
    residual = None
    if not (layer.weights.is_ternary and ctx.room(_layer_name(layer)).generates):
        residual = following_residual(ctx, epilogue.value, q, layer.output_layout)
    choice = _fast_kernel(ctx, layer, residual is not None, _has_spare(constants, bound), linked)
    if choice is None or choice.name not in ADDING:
        residual = None
    if residual is not None:
        epilogue = Epilogue(residual.epilogue.value, quantization=residual.quantization,
                            nodes=(*epilogue.nodes, *residual.epilogue.nodes))
    last = q if residual is None else residual.quantization
    output = ctx.new(epilogue.value.name or "y", DType.I8, layer.output_layout, last.offset)
    if choice is None:
        kernel = f"{layer.kernel}_i8{'_t2' if layer.weights.is_ternary else ''}"
        specific = {"w": layer.weights.store(ctx, name), **_zero_tensor(ctx, layer)}
    else:
        kernel = choice.name
        specific = {"w": ctx.data(name, choice.weights, choice.dtype), **choice.numbers}
        if choice.scratch:
            count = 4 * choice.scratch // choice.scratch_type.size
            specific["scratch"] = Tensor(
                ctx.unique(f"{name}:scratch"), choice.scratch_type, (count,))
        if choice.name in ADDING:
            specific.update(_residual_operands(residual))
    source = ctx.relayout(x.buffer, layer.x_layout, layer.node)
    numbers = layer.numbers if kernel.startswith(layer.kernel) else {}  # or bring its own
    other, requantization = constant_operands(ctx, name, choice, short, constants, linked)
    ctx.emit(
        other or kernel,
        layer.node,
        Work(layer.macs, _nonzeros(layer), layer.weights.codes,
             None if choice is None else _instructions(choice, residual, layer)),
        x=source.tensor,
        y=output.tensor,
        lo=q.lo,
        hi=q.hi,
        **requantization,
        **{**numbers, **padding, **specific},  # a fast form may turn the geometry
    )
    ctx.bind(epilogue.value, output)
    ctx.absorb(epilogue, layer.node)


def _emit_wide(ctx: Lowering, layer: Layer, x: Scaled) -> None:
    """int16 in, int16 or int8 out."""
    q, scale = layer.epilogue.quantization, layer.weights.scale
    assert q is not None
    assert scale is not None
    x = widened(ctx, layer.node, x)
    constants = requantize_wide(
        x.scale * scale / q.scale, layer.bias / q.scale + q.zero,
        np.abs(_centred(layer)).sum(axis=1) * BOUND, q)
    name, ternary = _weight_name(layer.node), layer.weights.is_ternary
    one_for_both = layer.kernel == "dense"
    output = ctx.new(layer.epilogue.value.name or "y", q.dtype, layer.output_layout, q.offset)
    ctx.emit(
        f"{layer.kernel}_i16{'_t2' if ternary and not one_for_both else ''}", layer.node,
        Work(layer.macs, _nonzeros(layer), layer.weights.codes),
        y=output.tensor, m=ctx.data(f"{name}:m", constants.m, DType.I32),
        c=ctx.data(f"{name}:c", constants.c, DType.I32), shift=int(constants.shift),
        lo=q.lo, hi=q.hi, **_shared(ctx, layer, x.buffer),
        **({"w_zero": None} if ternary and one_for_both else _zero_tensor(ctx, layer)),
    )
    ctx.bind(layer.epilogue.value, output)
    ctx.absorb(layer.epilogue, layer.node)


def _instructions(choice: Choice, residual: Residual | None, layer: Layer) -> float:
    """The estimate for the layer with what its kernel adds."""
    added = 0 if residual is None else RESIDUAL_OUTPUT * prod(layer.output_layout.shape)
    return choice.instructions + added


def _residual_operands(residual: Residual | None) -> dict[str, OperandValue]:
    if residual is None:
        return {
            "r": None,
            "y_m": 0,
            "r_m": 0,
            "sum_c": 0,
            "sum_shift": 0,
            "sum_lo": 0,
            "sum_hi": 0,
        }
    constants, q = residual.constants, residual.quantization
    return {
        "r": residual.branch.buffer.tensor, "y_m": constants.ma, "r_m": constants.mb,
        "sum_c": constants.c, "sum_shift": constants.shift, "sum_lo": q.lo, "sum_hi": q.hi,
    }


def _emit_integer_to_float(ctx: Lowering, layer: Layer, x: Scaled) -> None:
    scale = layer.weights.scale
    assert scale is not None
    sums, _ = _code_sums(layer)
    factor = x.scale * scale
    name = _weight_name(layer.node)
    output = ctx.new(layer.epilogue.value.name or "y", DType.F32, layer.output_layout)
    padding = {"x_zero": x.zero} if layer.kernel == "conv2d" else {}
    ctx.emit(
        f"{layer.kernel}_i8f{'_t2' if layer.weights.is_ternary else ''}", layer.node,
        Work(layer.macs, _nonzeros(layer)), y=output.tensor,
        m=ctx.data(f"{name}:m", factor, DType.F32),
        b=ctx.data(f"{name}:b", layer.bias - x.zero * sums * factor, DType.F32),
        lo=layer.epilogue.lo, hi=layer.epilogue.hi, **_shared(ctx, layer, x.buffer),
        **_zero_tensor(ctx, layer), **padding,
    )
    ctx.bind(layer.epilogue.value, output)
    ctx.absorb(layer.epilogue, layer.node)


def _emit_dynamic(ctx: Lowering, layer: Layer, x: Scaled) -> None:
    """Integers with a factor for each row of the input, which is known only at run time."""
    _, factor, rows = ctx.row_factors[id(x.buffer.tensor)]
    if rows > 1 and layer.kernel == "dense" and not x.buffer.layout.same_as(layer.x_layout):
        raise Unsupported("the rows of a dynamically quantized tensor are not contiguous")
    channels = layer.weights.shape[0]
    epilogue = layer.epilogue.in_float()
    product = ir.Value(name=f"{epilogue.value.name}:product")
    plain = Epilogue(product, -np.inf, np.inf, None, ())
    _emit_integer_to_float(
        ctx, replace(layer, bias=np.zeros(channels), has_bias=False, epilogue=plain), x)
    unscaled = ctx.forms[product]
    assert isinstance(unscaled, Buffer)
    output = ctx.new(epilogue.value.name or "y", DType.F32, layer.output_layout)
    bias = layer.bias if layer.has_bias and np.any(layer.bias) else None
    name = _weight_name(layer.node)
    ctx.emit(
        "scale_rows_f32", layer.node, x=unscaled.tensor, r=factor, y=output.tensor, rows=rows,
        b=None if bias is None else ctx.data(f"{name}:b", bias, DType.F32),
        n=prod(layer.output_layout.shape) // rows, channels=channels, lo=epilogue.lo,
        hi=epilogue.hi)
    ctx.bind(epilogue.value, output)
    ctx.absorb(epilogue, layer.node)


def _emit_float(ctx: Lowering, layer: Layer) -> None:
    weights_ = layer.weights
    if weights_.zero is not None and weights_.zero.any():
        assert weights_.codes is not None
        assert weights_.scale is not None
        each = (-1, *([1] * (weights_.codes.ndim - 1)))
        real = (weights_.codes - weights_.zero.reshape(each)) * weights_.scale.reshape(each)
        weights_ = Weights(weights_.shape, real=real.astype(np.float32))
    name = _weight_name(layer.node)
    epilogue = layer.epilogue.in_float()
    x = layer.x
    assert isinstance(x, Buffer)
    output = ctx.new(epilogue.value.name or "y", DType.F32, layer.output_layout)
    scale = (
        {} if weights_.scale is None else {"m": ctx.data(f"{name}:m", weights_.scale, DType.F32)}
    )
    bias = ctx.data(f"{name}:b", layer.bias, DType.F32) if layer.has_bias else None
    layer = replace(layer, weights=weights_, epilogue=epilogue)
    ctx.emit(
        f"{layer.kernel}_f32{weights_.suffix}", layer.node,
        Work(layer.macs, _nonzeros(layer)), y=output.tensor, b=bias,
        lo=epilogue.lo, hi=epilogue.hi, **_shared(ctx, layer, x), **scale,
    )
    ctx.bind(epilogue.value, output)
    ctx.absorb(epilogue, layer.node)


def bias_vector(ctx: Lowering, value: ir.Value | None, channels: int) -> WideArray | None:
    """A constant that is one number per output channel on the last axis, as a vector, or None."""
    if value is None:
        return np.zeros(channels)
    array = ctx.constant(value)
    if array is None or array.dtype != np.float32 or prod(array.shape) not in (1, channels):
        return None
    if array.size > 1 and array.shape[-1] != channels:
        return None
    return np.broadcast_to(array.reshape(-1), (channels,)).astype(np.float64)
