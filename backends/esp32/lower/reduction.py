"""Reductions over any axes: the reduced elements are one run of memory, or are copied into one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Quantization, Unsupported, Work
from ternc.backends.esp32.lower.elementwise import emit_binary
from ternc.backends.esp32.lower.forms import STORED, Buffer, Scaled
from ternc.backends.esp32.lower.layout import Layout
from ternc.backends.esp32.lower.nodes import attr_int, attr_ints, optional_input, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.unary import emit_table, stored_as_int8
from ternc.backends.esp32.lower.wide import (
    BOUND,
    HIGHEST,
    LOWEST,
    is_wide,
    requantize_wide,
    widened,
)
from ternc.backends.esp32.lower.window import (
    emit_average,
    emit_max,
    emit_window_sum,
    window_numbers,
)
from ternc.backends.esp32.program import DType
from ternc.quantize import requantize_constants

_SUM, _PRODUCT, _SIZES, _SQUARES, _MINIMUM = range(5)  # reduce_f32's op
_SUBTRACT, _ADD = 1, 0  # binary_f32's
_LARGEST = float(np.finfo(np.float32).max)
_FUNCTIONS = {
    "ReduceSum": _SUM, "ReduceProd": _PRODUCT, "ReduceL1": _SIZES, "ReduceL2": _SQUARES,
    "ReduceSumSquare": _SQUARES, "ReduceLogSum": _SUM,
}
_AFTERWARDS = {"ReduceL2": "sqrt_f32", "ReduceLogSum": "log_f32"}


@dataclass(frozen=True, slots=True)
class _Reduction:
    """x in `source` is [outer][count][inner] in memory; the result, with and without the axes."""

    source: Layout
    kept: Layout
    result: Layout
    outer: int
    count: int
    inner: int

    @property
    def window(self) -> dict[str, int]:
        """As the operands of a pooling instruction."""
        size = (self.count, 1)
        return window_numbers(self.outer, size, self.inner, (1, 1), size, (1, 1), (1, 1), (0, 0))


def _reduced(ctx: Lowering, node: ir.Node) -> list[int]:
    """The reduced axes, in order; none where the operator says so."""
    shape = ctx.shape(required_input(node, 0))
    axes_value = optional_input(node, 1)
    axes_array = ctx.constant(axes_value)
    if axes_value is not None and axes_array is None:
        raise Unsupported(f"{node.op_type} with axes computed at run time",
                          help="export the model with constant axes")
    axes = attr_ints(node, "axes", ()) if axes_array is None else tuple(int(a) for a in axes_array)
    if not axes and not attr_int(node, "noop_with_empty_axes", 0):
        axes = tuple(range(len(shape)))
    return sorted({axis % len(shape) for axis in axes})


def _reduction(ctx: Lowering, node: ir.Node, reduced: list[int]) -> _Reduction:
    shape = ctx.shape(required_input(node, 0))
    form = ctx.form(required_input(node, 0))
    if isinstance(form, Scaled):
        form = form.buffer
    elif not isinstance(form, Buffer):
        form = ctx.floats(required_input(node, 0), node)
    order = (*(axis for axis in range(len(shape)) if axis not in reduced), *reduced)
    found = _one_run(form.layout, reduced) or _one_run(Layout.permuted(shape, order), reduced)
    assert found is not None
    source, outer, count, inner, kept = found
    result = kept
    if not attr_int(node, "keepdims", 1):
        for axis in reversed(reduced):
            result = result.drop_axis(axis)
    return _Reduction(source, kept, result, outer, count, inner)


def _one_run(layout: Layout, reduced: list[int]) -> tuple[Layout, int, int, int, Layout] | None:
    """The reduction of one physical run, or None where the reduced axes are not one.

    Returns (layout, outer, reduced and inner counts, the result's layout).
    """
    gone = {atom for axis in reduced for atom in layout.axis_atoms(axis)}
    places = [place for place, atom in enumerate(layout.order) if atom in gone]
    first = places[0] if places else 0
    if places != list(range(first, first + len(places))):
        return None
    sizes = layout.physical_shape
    after = first + len(places)
    kept = [atom for atom in range(len(layout.order)) if atom not in gone]
    axes = tuple(() if axis in reduced else atoms for axis, atoms in enumerate(layout.axes))
    order = tuple(kept.index(atom) for atom in layout.order if atom not in gone)
    return (
        layout,
        prod(sizes[:first]),
        prod(sizes[first:after]),
        prod(sizes[after:]),
        Layout(axes, order),
    )


@operator("ReduceMean", int8="requantized sums")
def lower_reduce_mean(ctx: Lowering, node: ir.Node) -> None:
    """ReduceMean over any axes, as one window over the reduced elements."""
    if not (reduced := _reduced(ctx, node)):
        ctx.bind(node.outputs[0], ctx.form(required_input(node, 0)))
        return
    found = _reduction(ctx, node, reduced)
    emit_average(ctx, node, found.source, found.result, found.window, (0, 0), 0)


@operator("ReduceMax", int8="on the integers")
def lower_reduce_max(ctx: Lowering, node: ir.Node) -> None:
    """ReduceMax over any axes, as one window over the reduced elements."""
    if not (reduced := _reduced(ctx, node)):
        ctx.bind(node.outputs[0], ctx.form(required_input(node, 0)))
        return
    found = _reduction(ctx, node, reduced)
    emit_max(ctx, node, found.source, found.result, found.window)


@operator("ReduceMin", int8="on the integers")
def lower_reduce_min(ctx: Lowering, node: ir.Node) -> None:
    """ReduceMin over any axes; of integers -1 - max(-1 - x), which no integer overflows."""
    if not (reduced := _reduced(ctx, node)):
        ctx.bind(node.outputs[0], ctx.form(required_input(node, 0)))
        return
    found = _reduction(ctx, node, reduced)
    form, name = ctx.form(required_input(node, 0)), node.outputs[0].name or "y"
    source = form.buffer if isinstance(form, Scaled) else ctx.buffer(required_input(node, 0))
    source = stored_as_int8(ctx, node, source)
    if source.tensor.dtype not in (DType.I8, DType.I16):
        ctx.bind(node.outputs[0], _reduce(ctx, node, ctx.floats(required_input(node, 0), node),
                                          found, _MINIMUM, found.result))
        return
    x = _complement(ctx, node, ctx.relayout(source, found.source, node))
    most = ctx.new(name, x.tensor.dtype, found.result, source.offset)
    kernel = "maxpool_i8" if x.tensor.dtype is DType.I8 else "maxpool_i16"
    ctx.emit(kernel, node, x=x.tensor, y=most.tensor, **found.window)
    least = _complement(ctx, node, most)
    if not isinstance(form, Scaled):
        ctx.bind(node.outputs[0], least)
        return
    scale, zero = form.scale, form.zero

    def compute() -> Buffer:
        y = ctx.new(f"{name}:real", DType.F32, found.result)
        ctx.dequantize(node, least.tensor, y.tensor, scale, zero)
        return y

    ctx.bind(node.outputs[0], Scaled(least, compute, scale=scale, zero=zero))


def _complement(ctx: Lowering, node: ir.Node, x: Buffer) -> Buffer:
    """-1 - x of int8 or int16."""
    if x.tensor.dtype is DType.I8:
        return emit_table(ctx, node, x, -1 - STORED, x.offset)
    y = ctx.new(f"{node.name}:complement", DType.I16, x.layout, x.offset)
    ctx.emit("rescale", node, x=x.tensor, y=y.tensor, count=prod(x.layout.shape), m=-(1 << 16),
             c=-1, shift=0, lo=LOWEST, hi=HIGHEST)
    return y


@operator("ReduceSum", "ReduceL1", "ReduceSumSquare", int8="requantized sums")
def lower_reduce_sum(ctx: Lowering, node: ir.Node) -> None:
    """Sums of x, |x| or x^2 over any axes, in integers where both ends are quantized."""
    found = _reduction(ctx, node, _reduced(ctx, node))
    form = ctx.form(required_input(node, 0))
    q = ctx.epilogue(node.outputs[0]).quantization
    if isinstance(form, Scaled) and q is not None:
        if node.op_type == "ReduceSumSquare":
            if _sum_of_squares(ctx, node, form, q, found):
                return
        else:
            if node.op_type == "ReduceL1":
                form = _sizes(ctx, node, form)
            if emit_window_sum(ctx, node, form, found.source, found.result, found.window,
                               mean=False):
                return
    _lower_float(ctx, node, found)


def _sizes(ctx: Lowering, node: ir.Node, form: Scaled) -> Scaled:
    """|x| of the same scale: of int8, less 128 to fit; of int16, of the lowest one less."""
    source = form.buffer
    if not form.is_wide:
        y = emit_table(ctx, node, source, np.abs(STORED - form.zero) - 128, source.offset)
        return Scaled(y, form.floats, scale=form.scale, zero=-128)
    y = ctx.new(f"{node.name}:sizes", DType.I16, source.layout)
    one = 1 << 16
    ctx.emit("affine_i16", node, x=source.tensor, y=y.tensor,
             m=ctx.data(f"{node.name}:m", np.array([one]), DType.I32),
             n=ctx.data(f"{node.name}:n", np.array([-one]), DType.I32),
             c=ctx.data(f"{node.name}:c", np.array([0]), DType.I32), outer=1, channels=1,
             inner=prod(source.layout.shape), shift=0, lo=LOWEST, hi=HIGHEST)
    return Scaled(y, form.floats, scale=form.scale, zero=0)


def _sum_of_squares(ctx: Lowering, node: ir.Node, form: Scaled, q: Quantization,
                    found: _Reduction) -> bool:
    """The product of each row with itself; False where 32 bits are too few."""
    wide = is_wide(form, q)
    if wide:
        form = widened(ctx, node, form)
    elif found.count * 255**2 >= 2**31:
        return False
    x = ctx.relayout(form.buffer, found.source, node).tensor
    ratio = form.scale**2 / q.scale
    constants = (
        requantize_wide([ratio], [q.zero], [found.count * BOUND**2], q) if wide
        else requantize_constants(
            np.array([ratio]), np.array([float(q.zero)]), np.array([found.count * 255**2])))
    epilogue = ctx.epilogue(node.outputs[0])
    y = ctx.new(epilogue.value.name or "y", q.dtype, found.result, q.offset)
    row = found.count * found.inner
    ctx.emit("matmul_i16" if wide else "matmul_i8", node, Work(prod(x.shape)), a=x, b=x,
             y=y.tensor, batch0=found.outer, batch1=found.inner, rows=1, inner=found.count,
             cols=1, a_batch0=row, a_batch1=1, a_row=0, a_inner=found.inner,
             b_batch0=row, b_batch1=1, b_inner=found.inner, b_col=0,
             **({} if wide else {"a_zero": form.zero, "b_zero": form.zero}),
             m=int(constants.m[0]), c=int(constants.c[0]), shift=int(constants.shift),
             lo=q.lo, hi=q.hi)
    ctx.bind(epilogue.value, y)
    ctx.absorb(epilogue, node)
    return True


@operator("ReduceProd", "ReduceL2", "ReduceLogSum")
def lower_reduce_float(ctx: Lowering, node: ir.Node) -> None:
    """Reductions in float32."""
    _lower_float(ctx, node, _reduction(ctx, node, _reduced(ctx, node)))


def _lower_float(ctx: Lowering, node: ir.Node, found: _Reduction) -> None:
    y = _reduce(ctx, node, ctx.floats(required_input(node, 0), node), found,
                _FUNCTIONS[node.op_type], found.result)
    if node.op_type in _AFTERWARDS:
        y = _map(ctx, node, _AFTERWARDS[node.op_type], y)
    ctx.bind(node.outputs[0], y)


@operator("ReduceLogSumExp", note="the maximum is taken out first")
def lower_reduce_log_sum_exp(ctx: Lowering, node: ir.Node) -> None:
    """ReduceLogSumExp as m + log(sum(exp(x - m))) with m the nearest finite to max(x)."""
    found = _reduction(ctx, node, _reduced(ctx, node))
    name = node.outputs[0].name or "y"
    x = ctx.relayout(ctx.floats(required_input(node, 0), node), found.source, node)
    most = ctx.new(f"{name}:most", DType.F32, found.kept)
    ctx.emit("maxpool_f32", node, x=x.tensor, y=most.tensor, **found.window)
    most = _map(ctx, node, "unary_f32", most, op=0, alpha=-_LARGEST, beta=_LARGEST)
    below = emit_binary(ctx, node, _SUBTRACT, x, most, x.layout.shape, f"{name}:below")
    total = _reduce(ctx, node, _map(ctx, node, "exp_f32", below), found, _SUM, found.kept)
    y = emit_binary(ctx, node, _ADD, _map(ctx, node, "log_f32", total), most, found.kept.shape,
                    name)
    ctx.bind(node.outputs[0], Buffer(ctx.relayout(y, found.kept, node).tensor, found.result))


def _reduce(ctx: Lowering, node: ir.Node, x: Buffer, found: _Reduction, op: int,
            layout: Layout) -> Buffer:
    x = ctx.relayout(x, found.source, node)
    y = ctx.new(node.outputs[0].name or "y", DType.F32, layout)
    ctx.emit("reduce_f32", node, x=x.tensor, y=y.tensor, outer=found.outer, n=found.count,
             inner=found.inner, op=op)
    return y


def _map(ctx: Lowering, node: ir.Node, kernel: str, x: Buffer, **numbers: float) -> Buffer:
    """A function of each element."""
    y = ctx.new(node.outputs[0].name or "y", DType.F32, x.layout)
    ctx.emit(kernel, node, x=x.tensor, y=y.tensor, count=prod(x.layout.shape), **numbers)
    return y
