"""Comparisons, logic and what is chosen by them: Where and OneHot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.broadcasting import binary_loops
from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Buffer, Scaled, Table
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.moving import at_one_scale
from ternc.backends.esp32.lower.nodes import attr_int, operands, required_input
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.unary import emit_table, stored_as_int8
from ternc.backends.esp32.program import DType

Array = npt.NDArray[Any]
_Function = Callable[[Array, Array], Array]
# Which outcomes make each true (isa.py, compare).
_TABLES: Final = {"Less": 1, "Equal": 2, "LessOrEqual": 3, "Greater": 4, "GreaterOrEqual": 6}
_LOGIC: Final = {"And": 0b1000, "Or": 0b1110, "Xor": 0b0110, "Equal": 0b1001}
_NUMPY: Final[dict[str, _Function]] = {
    "Less": np.less, "Equal": np.equal, "LessOrEqual": np.less_equal, "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
}


def _emit(ctx: Lowering, node: ir.Node, table: int, a: Buffer, b: Buffer, shape: Shape) -> Buffer:
    """One compare instruction, of operands of one type."""
    if a.tensor.dtype is not b.tensor.dtype or a.offset != b.offset:
        a, b = stored_as_int8(ctx, node, a), stored_as_int8(ctx, node, b)
    if a.tensor.dtype is not b.tensor.dtype or a.offset != b.offset:
        raise Unsupported("operands of different element types", code="TC0104")
    nest, layout, (a, b) = binary_loops(ctx, node, [a, b], shape)
    target = ctx.new(node.outputs[0].name or "y", DType.BOOL, layout)
    ctx.emit("compare", node, a=a.tensor, b=b.tensor, y=target.tensor, table=table, **nest)
    return target


def _constant(ctx: Lowering, node: ir.Node, number: npt.ArrayLike, dtype: DType) -> Buffer:
    """A number as an operand that broadcasts."""
    array = np.asarray(number).astype(dtype.numpy)
    return Buffer(ctx.data(f"{node.name}:constant", array, dtype), Layout.row_major(array.shape))


@operator("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
          int8="with a scalar constant, as a table")
def lower_comparison(ctx: Lowering, node: ir.Node) -> None:
    """A comparison of two operands of any one type; of real ones as float32."""
    if _lower_as_table(ctx, node):
        return
    values = operands(node)
    real = [value.dtype is ir.DataType.FLOAT for value in values]
    a, b = (ctx.floats(value, node) if is_real else ctx.buffer(value)
            for value, is_real in zip(values, real, strict=True))
    table = (_LOGIC if a.tensor.dtype is DType.BOOL else _TABLES)[node.op_type]
    ctx.bind(node.outputs[0], _emit(ctx, node, table, a, b, ctx.shape(node.outputs[0])))


def _lower_as_table(ctx: Lowering, node: ir.Node) -> bool:
    """Binds the comparison of quantized bytes with one constant as a look-up."""
    forms = [ctx.form(value) for value in operands(node)]
    for place in (0, 1):
        form, other = forms[place], ctx.constant(operands(node)[1 - place])
        if (isinstance(form, (Scaled, Table)) and not form.is_wide and other is not None
                and other.size == 1 and form.buffer.layout.shape == ctx.shape(node.outputs[0])):
            real = form.table(), np.broadcast_to(other.reshape(()), 256)
            outcome = _NUMPY[node.op_type](real[place], real[1 - place])
            ctx.bind(node.outputs[0], emit_table(ctx, node, form.buffer, outcome.astype(np.int64),
                                                 0, dtype=DType.BOOL))
            return True
    return False


@operator("And", "Or", "Xor")
def lower_logic(ctx: Lowering, node: ir.Node) -> None:
    """Logic on bool."""
    a, b = (ctx.buffer(value) for value in operands(node))
    ctx.bind(node.outputs[0],
             _emit(ctx, node, _LOGIC[node.op_type], a, b, ctx.shape(node.outputs[0])))


@operator("Not")
def lower_not(ctx: Lowering, node: ir.Node) -> None:
    """Not: the exclusive or with true."""
    x = ctx.buffer(required_input(node, 0))
    true = _constant(ctx, node, True, DType.BOOL)
    ctx.bind(node.outputs[0],
             _emit(ctx, node, _LOGIC["Xor"], x, true, ctx.shape(node.outputs[0])))


@operator("IsNaN")
def lower_is_nan(ctx: Lowering, node: ir.Node) -> None:
    """IsNaN: not equal, nor more, nor less than 0."""
    x = ctx.floats(required_input(node, 0), node)
    zero = _constant(ctx, node, 0.0, DType.F32)
    shape = ctx.shape(node.outputs[0])
    ordered = _emit(ctx, node, 0b111, x, zero, shape)
    true = _constant(ctx, node, True, DType.BOOL)
    ctx.bind(node.outputs[0], _emit(ctx, node, _LOGIC["Xor"], ordered, true, shape))


@operator("IsInf")
def lower_is_inf(ctx: Lowering, node: ir.Node) -> None:
    """IsInf: equal to one of the infinities that are asked for."""
    x = ctx.floats(required_input(node, 0), node)
    shape = ctx.shape(node.outputs[0])
    wanted = [attr_int(node, f"detect_{name}", 1) for name in ("negative", "positive")]
    tables = [_TABLES["Equal"] if is_wanted else 0 for is_wanted in wanted]
    below, above = (
        _emit(ctx, node, table, x, _constant(ctx, node, infinity, DType.F32), shape)
        for table, infinity in zip(tables, (-np.inf, np.inf), strict=True))
    ctx.bind(node.outputs[0], _emit(ctx, node, _LOGIC["Or"], below, above, shape))


@operator("Where", int8="chooses bytes, after requantizing where scales differ")
def lower_where(ctx: Lowering, node: ir.Node) -> None:
    """Where with broadcasting; quantized operands are brought to the output's scale first."""
    condition, shape = ctx.buffer(required_input(node, 0)), ctx.shape(node.outputs[0])
    buffers, output, offset = at_one_scale(ctx, node, operands(node)[1:])
    ctx.bind(output, _choose(ctx, node, condition, buffers, shape, output.name or "y", offset))


def _choose(ctx: Lowering, node: ir.Node, condition: Buffer, buffers: list[Buffer], shape: Shape,
            name: str, offset: int = 0) -> Buffer:
    """One where instruction."""
    nest, layout, (a, b) = binary_loops(ctx, node, buffers, shape)
    condition = ctx.relayout(ctx.expanded(condition, shape, node), layout, node)
    target = ctx.new(name, a.tensor.dtype, layout, offset)
    ctx.emit("where", node, condition=condition.tensor, a=a.tensor, b=b.tensor, y=target.tensor,
             size=a.tensor.dtype.size, **nest)
    return target


@operator("OneHot", note="constant depth")
def lower_one_hot(ctx: Lowering, node: ir.Node) -> None:
    """OneHot: where an index is the position along a new axis, counted from either end."""
    index, depth = ctx.buffer(required_input(node, 0)), ctx.constant(required_input(node, 1))
    values, out = required_input(node, 2), ctx.shape(node.outputs[0])
    if depth is None:
        raise Unsupported("OneHot with a depth computed at run time",
                          help="export the model with a constant depth")
    axis = attr_int(node, "axis", -1) % len(out)
    indices = ctx.row_major(index, node)
    spread = Buffer(indices.tensor, Layout.row_major((*out[:axis], 1, *out[axis + 1:])))
    dtype = indices.tensor.dtype
    along = (-1, *(1,) * (len(out) - axis - 1))
    count = int(depth.reshape(-1)[0])
    forward, backward = (
        _emit(ctx, node, _TABLES["Equal"], spread,
              _constant(ctx, node, (np.arange(count) - less).reshape(along), dtype), out)
        for less in (0, count))
    hot = _emit(ctx, node, _LOGIC["Or"], forward, backward, out)
    both = ctx.row_major(ctx.buffer(values), node)
    vector = Buffer(both.tensor, Layout.row_major((2,)), both.offset)
    off, on = (_element(ctx, node, vector, place) for place in (0, 1))
    ctx.bind(node.outputs[0], _choose(ctx, node, hot, [on, off], out,
                                      node.outputs[0].name or "y", both.offset))


def _element(ctx: Lowering, node: ir.Node, vector: Buffer, place: int) -> Buffer:
    """One of the values as an operand that broadcasts."""
    one = ctx.new(f"{node.outputs[0].name}:value", vector.tensor.dtype, Layout.row_major((1,)),
                  vector.offset)
    ctx.copy(node, vector, one, (1,), source_at=(place,))
    return one
