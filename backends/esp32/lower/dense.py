"""Gemm and MatMul: dense layers with constant weights, and products of two activations."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Epilogue, Lowering, Unsupported, Work
from ternc.backends.esp32.lower.elementwise import emit_binary
from ternc.backends.esp32.lower.forms import Buffer, Codes, Constant, Scaled
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.nodes import (
    attr_float,
    attr_int,
    operands,
    optional_input,
    required_input,
)
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.weights import (
    Layer,
    Weights,
    bias_vector,
    emit_layer,
    has_integer_form,
    normalised,
    weights,
)
from ternc.backends.esp32.lower.wide import BOUND, is_wide, requantize_wide, widened
from ternc.backends.esp32.program import DType
from ternc.quantize import requantize_constants


@operator("MatMul", int8="ternary or int8 weights per output channel, or two activations")
def lower_matmul(ctx: Lowering, node: ir.Node) -> None:
    """MatMul; a constant Add that follows becomes the bias."""
    a, b = required_input(node, 0), required_input(node, 1)
    b_shape = ctx.shape(b)
    constant_b = isinstance(ctx.form(b), (Constant, Codes))
    constant_a = isinstance(ctx.form(a), (Constant, Codes))
    if constant_b and not constant_a and prod(b_shape[:-2]) == 1 and len(b_shape) >= 2:
        lead = len(b_shape) - 2
        w = weights(ctx, b, (*range(lead), lead + 1, lead))
        if w is not None and lead:
            w = _weights_2d(ctx, b, (lead + 1, lead))
        assert w is not None
        value, bias, absorbed = _following_bias(ctx, node, w.shape[0])
        _emit_dense(ctx, node, a, ctx.shape(a), w, bias, absorbed, value)
        return
    _emit_product(ctx, node, a, b, False, False)


def _weights_2d(ctx: Lowering, value: ir.Value, perm: tuple[int, int]) -> Weights:
    """Weights with leading dims of 1 dropped (dequantized if their scale is in the way)."""
    array = ctx.constant(value)
    assert array is not None
    form = ctx.form(value)
    lead = array.ndim - 2
    if isinstance(form, Codes) and form.axis in (None, perm[0]):
        codes = form.codes.reshape(form.codes.shape[lead:]).transpose(1, 0)
        return normalised(Codes(codes, form.scale, form.zero, None if form.axis is None else 0))
    real = array.reshape(array.shape[lead:]).T.astype(np.float32)
    return Weights(tuple(real.shape), real=real)


def _following_bias(ctx: Lowering, node: ir.Node, channels: int) -> tuple[
        ir.Value, np.ndarray | None, tuple[ir.Node, ...]]:
    """The constant Add on the layer's output, if it is one number per channel."""
    output = node.outputs[0]
    add = ctx.sole_consumer(output)
    if add is None or add.op_type not in ("Add", "Sub") or not ctx.fuse:
        return output, None, ()
    left, right = operands(add)
    if add.op_type == "Sub" and left is not output:
        return output, None, ()
    other = right if left is output else left
    if other is output or ctx.shape(add.outputs[0]) != ctx.shape(output):
        return output, None, ()
    if not isinstance(ctx.form_or_none(other), (Constant, Codes)):
        return output, None, ()
    bias = bias_vector(ctx, other, channels)
    if bias is None:
        return output, None, ()
    return add.outputs[0], -bias if add.op_type == "Sub" else bias, (add,)


@operator("Gemm", int8="ternary or int8 weights per output channel")
def lower_gemm(ctx: Lowering, node: ir.Node) -> None:
    """Gemm with any alpha, beta and transposes."""
    a, b, c = required_input(node, 0), required_input(node, 1), optional_input(node, 2)
    alpha, beta = attr_float(node, "alpha", 1.0), attr_float(node, "beta", 1.0)
    trans_a, trans_b = bool(attr_int(node, "transA", 0)), bool(attr_int(node, "transB", 0))
    out = ctx.shape(node.outputs[0])
    constant_b = isinstance(ctx.form(b), (Constant, Codes))
    bias = bias_vector(ctx, c, out[1])
    if constant_b and not isinstance(ctx.form(a), (Constant, Codes)) and bias is not None:
        w = weights(ctx, b, (0, 1) if trans_b else (1, 0))
        assert w is not None
        if alpha != 1.0:
            w = _scaled(w, alpha)
        a_shape = ctx.shape(a)
        if trans_a:
            a_shape = (a_shape[1], a_shape[0])
        _emit_dense(ctx, node, a, a_shape, w, bias * beta if c is not None else None, (),
                    node.outputs[0], transposed=trans_a)
        return
    if alpha != 1.0 or c is not None:
        _emit_general_gemm(ctx, node, a, b, c, alpha, beta, trans_a, trans_b)
        return
    _emit_product(ctx, node, a, b, trans_a, trans_b)


def _scaled(w: Weights, alpha: float) -> Weights:
    if w.real is not None:
        return Weights(w.shape, real=(w.real * np.float32(alpha)).astype(np.float32))
    assert w.scale is not None
    return replace(w, scale=w.scale * alpha)


def _emit_general_gemm(ctx: Lowering, node: ir.Node, a: ir.Value, b: ir.Value, c: ir.Value | None,
                       alpha: float, beta: float, trans_a: bool, trans_b: bool) -> None:
    """alpha*A B + beta*C in separate float32 instructions."""
    shape = ctx.shape(node.outputs[0])
    product = _product_buffer(
        ctx,
        node,
        ctx.floats(a, node),
        ctx.floats(b, node),
        trans_a,
        trans_b,
        shape,
        f"{node.outputs[0].name}:product",
    )
    if alpha != 1.0:
        factor = ctx.store_constant("alpha", np.full((), alpha, np.float32))
        product = emit_binary(
            ctx, node, 2, product, factor, shape, f"{node.outputs[0].name}:alpha"
        )
    if c is not None:
        addend = ctx.floats(c, node)
        if beta != 1.0:
            factor = ctx.store_constant("beta", np.full((), beta, np.float32))
            addend = emit_binary(ctx, node, 2, addend, factor, ctx.shape(c), f"{c.name}:beta")
        product = emit_binary(ctx, node, 0, product, addend, shape, node.outputs[0].name or "y")
    ctx.bind(node.outputs[0], product)


def _emit_dense(ctx: Lowering, node: ir.Node, x_value: ir.Value, x_shape: Shape, w: Weights,
                bias: np.ndarray | None, absorbed: tuple[ir.Node, ...], value: ir.Value,
                transposed: bool = False) -> None:
    form = ctx.form(x_value)
    epilogue = ctx.epilogue(value)
    x = form if has_integer_form(form, w, epilogue) else ctx.floats(x_value, node)
    assert isinstance(x, (Scaled, Buffer))
    buffer = x.buffer if isinstance(x, Scaled) else x
    layout = buffer.layout.transpose((1, 0)) if transposed else buffer.layout
    # Weights with leading dims of 1 may give the result more dims than the operand has.
    layout = layout.with_rank(max(len(ctx.shape(value)), len(x_shape)))
    x_shape = layout.shape
    buffer = Buffer(buffer.tensor, layout, buffer.offset)
    x = Scaled(buffer, x.compute, x.scale, x.zero) if isinstance(x, Scaled) else buffer
    x_layout, columns = innermost(layout)
    if columns is not None:
        w = w.map(lambda array: array[:, columns])
    out_layout = x_layout.with_axis(len(x_shape) - 1, w.shape[0])
    if out_layout is None:  # the features are several atoms (a flattened image) or a single one
        outer = Layout(x_layout.axes[:-1], tuple(
            a for a in x_layout.order if a < len(x_layout.atoms) - len(x_layout.axes[-1])))
        features = (w.shape[0],) if w.shape[0] != 1 else ()
        out_layout = Layout(
            (*outer.axes, features),
            (*outer.order, *range(len(outer.order), len(outer.order) + len(features))),
        )
    rows = prod(x_shape[:-1])
    epilogue = Epilogue(epilogue.value, epilogue.lo, epilogue.hi, epilogue.quantization,
                        (*absorbed, *epilogue.nodes))
    emit_layer(ctx, Layer(
        node, "dense", x, w, np.zeros(w.shape[0]) if bias is None else bias,
        bias is not None, out_layout, rows * prod(w.shape),
        {"rows": rows, "in_features": w.shape[1], "out_features": w.shape[0]},
        x_layout, epilogue,
    ))


def innermost(layout: Layout) -> tuple[Layout, np.ndarray | None]:
    """A layout whose last axis is physically innermost, and the columns' order in it.

    When the last axis' atoms are already innermost, in whatever order, the buffer can be read as
    it is and the weights' columns are permuted instead; otherwise the layout is row-major.
    """
    canonical = layout.canonical()
    last = canonical.axis_atoms(len(canonical.axes) - 1)
    tail = canonical.order[len(canonical.order) - len(last) :]
    if set(tail) != set(last):
        return Layout.row_major(layout.shape), None
    if list(tail) == list(last):
        return canonical, None
    sizes = [canonical.atoms[a] for a in last]
    columns = (
        np.arange(prod(sizes)).reshape(sizes).transpose([a - last[0] for a in tail]).reshape(-1)
    )
    return canonical, columns


def _emit_product(ctx: Lowering, node: ir.Node, a: ir.Value, b: ir.Value, trans_a: bool,
                  trans_b: bool) -> None:
    """Two activations: int8 when both are quantized and the result is, else float32."""
    form_a, form_b = ctx.form(a), ctx.form(b)
    epilogue = ctx.epilogue(node.outputs[0])
    shape = ctx.shape(node.outputs[0])
    q = epilogue.quantization
    if q is None or not isinstance(form_a, Scaled) or not isinstance(form_b, Scaled):
        output = _product_buffer(ctx, node, ctx.floats(a, node), ctx.floats(b, node), trans_a,
                                 trans_b, shape, node.outputs[0].name or "y")
        ctx.bind(node.outputs[0], output)
        return
    inner = ctx.shape(a)[-2 if trans_a else -1]
    multiplier = form_a.scale * form_b.scale / q.scale
    if is_wide(form_a, q) or is_wide(form_b):
        form_a, form_b = widened(ctx, node, form_a), widened(ctx, node, form_b)
        constants = requantize_wide([multiplier], [q.zero], [inner * BOUND**2], q)
        a_buffer, b_buffer, numbers, layout = _matmul_operands(
            ctx, node, form_a.buffer, form_b.buffer, trans_a, trans_b, shape)
        output = ctx.new(epilogue.value.name or "y", q.dtype, layout, q.offset)
        ctx.emit("matmul_i16", node, Work(prod(shape) * inner), a=a_buffer.tensor,
                 b=b_buffer.tensor, y=output.tensor, **numbers, m=int(constants.m[0]),
                 c=int(constants.c[0]), shift=int(constants.shift), lo=q.lo, hi=q.hi)
        ctx.bind(epilogue.value, output)
        ctx.absorb(epilogue, node)
        return
    bound = np.array([inner * 255 * 255])
    if bound[0] >= 2**31:
        raise Unsupported("the integer accumulator would overflow 32 bits")
    constants = requantize_constants(np.array([multiplier]), np.array([float(q.zero)]), bound)
    a_buffer, b_buffer, numbers, layout = _matmul_operands(
        ctx, node, form_a.buffer, form_b.buffer, trans_a, trans_b, shape)
    output = ctx.new(epilogue.value.name or "y", DType.I8, layout, q.offset)
    ctx.emit(
        "matmul_i8",
        node,
        Work(prod(shape) * inner),
        a=a_buffer.tensor,
        b=b_buffer.tensor,
        y=output.tensor,
        **numbers,
        a_zero=form_a.zero,
        b_zero=form_b.zero,
        m=int(constants.m[0]),
        c=int(constants.c[0]),
        shift=int(constants.shift),
        lo=q.lo,
        hi=q.hi,
    )
    ctx.bind(epilogue.value, output)
    ctx.absorb(epilogue, node)


def _product_buffer(ctx: Lowering, node: ir.Node, a: Buffer, b: Buffer, trans_a: bool,
                    trans_b: bool, shape: Shape, name: str) -> Buffer:
    a, b, numbers, layout = _matmul_operands(ctx, node, a, b, trans_a, trans_b, shape)
    output = ctx.new(name, DType.F32, layout)
    ctx.emit("matmul_f32", node, Work(prod(shape) * numbers["inner"]), a=a.tensor, b=b.tensor,
             y=output.tensor, **numbers)
    return output


def _matmul_operands(ctx: Lowering, node: ir.Node, a: Buffer, b: Buffer, trans_a: bool,
                     trans_b: bool, shape: Shape) -> tuple[Buffer, Buffer, dict[str, int], Layout]:
    """The operands (copied where their layout has no strided form) and the strides."""
    if trans_a:
        a = Buffer(a.tensor, a.layout.transpose((1, 0)), a.offset)
    if trans_b:
        b = Buffer(b.tensor, b.layout.transpose((1, 0)), b.offset)
    if len(a.layout.axes) == 1:
        a = Buffer(a.tensor, Layout(((), *a.layout.axes), a.layout.order), a.offset)
    if len(b.layout.axes) == 1:
        b = Buffer(b.tensor, Layout((*b.layout.axes, ()), b.layout.order), b.offset)
    a_shape, b_shape = a.layout.shape, b.layout.shape
    batch = max(len(a_shape), len(b_shape)) - 2
    a_batch = (1,) * (batch + 2 - len(a_shape)) + a_shape[:-2]
    b_batch = (1,) * (batch + 2 - len(b_shape)) + b_shape[:-2]
    dims = [
        (max(p, q), i)
        for i, (p, q) in enumerate(zip(a_batch, b_batch, strict=True))
        if max(p, q) > 1
    ]
    if len(dims) > 2:
        full = tuple(np.broadcast_shapes(a_batch, b_batch))
        a = ctx.row_major(ctx.expanded(a, (*full, *a_shape[-2:]), node), node)
        b = ctx.row_major(ctx.expanded(b, (*full, *b_shape[-2:]), node), node)
        count = prod(full)
        flat_a = a.layout.reshape((count, *a_shape[-2:]))
        flat_b = b.layout.reshape((count, *b_shape[-2:]))
        assert flat_a is not None
        assert flat_b is not None
        a, b = Buffer(a.tensor, flat_a, a.offset), Buffer(b.tensor, flat_b, b.offset)
        a_batch = b_batch = (count,)
        dims = [(count, 0)]
    strides: list[list[int]] = []
    for place, (operand, batches) in enumerate(((a, a_batch), (b, b_batch))):
        axes = [i - (len(batches) + 2 - len(operand.layout.axes)) for _, i in dims]
        axes += [len(operand.layout.axes) - 2, len(operand.layout.axes) - 1]
        found = [0 if axis < 0 else operand.layout.axis_stride(axis) for axis in axes]
        if any(stride is None for stride in found):
            operand = ctx.row_major(operand, node)
            found = [0 if axis < 0 else operand.layout.axis_stride(axis) for axis in axes]
            a, b = (operand, b) if place == 0 else (a, operand)
        strides.append([stride or 0 for stride in found])
    sizes = [1] * (2 - len(dims)) + [size for size, _ in dims]
    lead = [0] * (2 - len(dims))
    sa, sb = lead + strides[0], lead + strides[1]
    numbers = {
        "batch0": sizes[0], "batch1": sizes[1], "rows": a.layout.shape[-2],
        "inner": a.layout.shape[-1], "cols": b.layout.shape[-1],
        "a_batch0": sa[0], "a_batch1": sa[1], "a_row": sa[2], "a_inner": sa[3],
        "b_batch0": sb[0], "b_batch1": sb[1], "b_inner": sb[2], "b_col": sb[3],
    }
    return a, b, numbers, Layout.row_major(shape)
