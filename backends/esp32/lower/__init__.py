"""Lowering: the final ONNX graph (Q/DQ form, static shapes, opset 21 up) to a device program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower import (  # noqa: F401  (imported for their registrations)
    along_axis,
    conv,
    dense,
    elementwise,
    extremum,
    formats,
    hardmax,
    known,
    movement,
    rearrange,
    recurrent,
    reduction,
    resize,
    selection,
    unary,
    window,
)
from ternc.backends.esp32.lower.context import (
    DTYPES,
    QUANTIZED,
    Lowering,
    Quantization,
    Unsupported,
)
from ternc.backends.esp32.lower.dynamic import Match, find_dynamic, lower_dynamic
from ternc.backends.esp32.lower.forms import Codes, Constant, Lazy, Scaled
from ternc.backends.esp32.lower.kernel_choice import DEFAULT_SCRATCH
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.lower.layout import Layout
from ternc.backends.esp32.lower.nodes import label, operands, optional_input, required_input
from ternc.backends.esp32.lower.registry import OPERATORS
from ternc.backends.esp32.lower.unary import stored_as_uint8
from ternc.backends.esp32.program import DType, Port, Program
from ternc.diagnostics import Diagnostics
from ternc.quantize import RequantizationError

_VIEWS = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})


def lower(
    model: ir.Model, diagnostics: Diagnostics, *, fuse: bool = True, io_float: bool = False,
    channels_last_io: bool = False, stateful: bool = False,
    room: Callable[[str], Room] = lambda _: Room(DEFAULT_SCRATCH),
) -> tuple[Program, dict[str, str]]:
    """Lowers `model`; returns the program and which node absorbed each value that is not in it.

    Args:
        model: opset 21 or later, every shape static, constants folded.
        diagnostics: receives every problem; errors mean that the program is not usable.
        fuse: merge activations into the layers before them.
        io_float: keep float32 inputs and outputs even where they are only quantized.
        channels_last_io: inputs and outputs of rank 3 and 4 in NHWC order.
        stateful: recurrent layers keep their state between runs.
        room: by layer, the memory that its kernel may take.
    """
    ctx = Lowering(Program(), diagnostics, fuse, stateful, room)
    graph = model.graph
    for value in graph.inputs:
        _lower_input(ctx, value, io_float, channels_last_io)
    for node in graph:
        if node.op_type == "DequantizeLinear" and ctx.constant(node.inputs[0]) is not None:
            with _reported(ctx, node):
                OPERATORS[node.op_type].lower(ctx, node)
            ctx.done.add(node)
    dynamic = find_dynamic(ctx, graph)
    for last, match in dynamic.items():
        ctx.done.update(match.nodes - {last})
    _check_operators(ctx, graph, diagnostics)
    for node in graph:
        if node not in ctx.done:
            _lower_node(ctx, node, dynamic.get(node))
    if not diagnostics.errors:
        for value in graph.outputs:
            node = value.producer() or ir.Node("", "Identity", [value])
            with _reported(ctx, node):
                _lower_output(ctx, value, node, io_float, channels_last_io)
        _remove_dead(ctx.program)
    return ctx.program, ctx.folded


def source_of(node: ir.Node) -> str:
    """Where the exporter says the node came from (torch dynamo's metadata), or ""."""
    for key in ("pkg.torch.onnx.name_scopes", "namespace"):
        if text := node.metadata_props.get(key):
            return text
    return ""


def _check_operators(ctx: Lowering, graph: ir.Graph, diagnostics: Diagnostics) -> None:
    for node in graph:
        if node in ctx.done:
            continue
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            diagnostics.error(
                "TC0101", f"operator not supported: {name}", node=label(node),
                op_type=node.op_type, source=source_of(node),
                help="see `ternc ops` for what is; replace the layer, or cut the model before it")


def _lower_node(ctx: Lowering, node: ir.Node, dynamic: Match | None = None) -> None:
    spec = OPERATORS.get(node.op_type)
    if spec is None or node.domain not in ("", "ai.onnx"):
        return
    needed = operands(node) if dynamic is None else [dynamic.codes.x]
    if any(ctx.form_or_none(value) is None for value in needed):
        return  # an operand has its own diagnostic
    with _reported(ctx, node):
        if dynamic is not None:
            lower_dynamic(ctx, dynamic, node)
        elif not _is_empty(ctx, node):
            spec.lower(ctx, node)


@contextmanager
def _reported(ctx: Lowering, node: ir.Node) -> Iterator[None]:
    """Turns what cannot be lowered into a diagnostic about `node`."""
    try:
        yield
    except Unsupported as error:
        ctx.diagnostics.error(error.code, error.why, node=label(node), op_type=node.op_type,
                              source=source_of(node), help=error.help)
    except RequantizationError as error:
        ctx.diagnostics.error(
            "TC0202", f"the layer's scales cannot be requantized: {error}", node=label(node),
            op_type=node.op_type, source=source_of(node),
            help="keep this layer in float32 (--keep float32:NODE), or calibrate on more data")


def _is_empty(ctx: Lowering, node: ir.Node) -> bool:
    """Binds the outputs of a node that computes nothing: tensors without elements."""
    outputs = [value for value in node.outputs if value.uses() or value.is_graph_output()]
    if not outputs or any(0 not in ctx.shape(value) for value in outputs):
        # An empty operand of Resize is one that is not given.
        if node.op_type not in ("Concat", "Resize") and any(
                0 in ctx.shape(value) and value.dtype is not ir.DataType.INT64  # a list of axes
                for value in operands(node)):
            raise Unsupported("an operand has no elements")
        return False
    for value in outputs:
        dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
        ctx.bind(value, Constant(np.empty(ctx.shape(value), dtype)))
    return True


def _lower_input(ctx: Lowering, value: ir.Value, io_float: bool, channels_last: bool) -> None:
    shape = ctx.shape(value)
    assert value.dtype is not None
    name = value.name or "input"
    if value.dtype not in DTYPES and value.dtype is not ir.DataType.UINT16:
        ctx.diagnostics.error(
            "TC0104",
            f"input {name!r} has element type {value.dtype}",
            help="float32, int8, uint8, int16, int32, int64 and bool inputs are supported",
        )
        return
    if 0 in shape:
        ctx.diagnostics.error("TC0107", f"input {name!r} of shape {list(shape)} has no elements",
                              help="export the model with the sizes that it is used with")
        return
    layout = _io_layout(shape, channels_last)
    q = (
        None
        if io_float or value.dtype is not ir.DataType.FLOAT
        else _input_quantization(ctx, value)
    )
    # uint16 is given less 2^15, as int16
    moved = QUANTIZED[value.dtype][2] if value.dtype is ir.DataType.UINT16 else 0
    if q is None:
        buffer = ctx.new(name, DType.I16 if moved else DTYPES[value.dtype], layout, moved)
    else:
        buffer = ctx.new(name, q.dtype, layout, q.offset)
    scale, zero = (None, 0) if q is None else (q.scale, q.zero)
    consumer = ctx.sole_consumer(value)
    if q is None and consumer is not None and consumer.op_type == "DequantizeLinear":
        real, given = ctx.constant(consumer.inputs[1]), optional_input(consumer, 2)
        offset = np.zeros(1) if given is None else ctx.constant(given)
        if real is not None and offset is not None and real.size == 1:
            scale, zero = float(real.reshape(-1)[0]), int(offset.reshape(-1)[0]) - moved
    ctx.forms[value] = buffer
    if q is None:
        ctx.bind(value, buffer)
    ctx.program.inputs.append(Port(
        name, buffer.tensor, _io_shape(shape, channels_last), int(value.dtype), scale, zero))


def _io_layout(shape: tuple[int, ...], channels_last: bool) -> Layout:
    return (
        Layout.channels_last(shape)
        if channels_last and len(shape) > 2
        else Layout.row_major(shape)
    )


def _io_shape(shape: tuple[int, ...], channels_last: bool) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1]) if channels_last and len(shape) > 2 else shape


def _input_quantization(ctx: Lowering, value: ir.Value) -> Quantization | None:
    """The QuantizeLinear that alone reads a float input, directly or through views."""
    while (node := ctx.sole_consumer(value)) is not None:
        if node.op_type == "QuantizeLinear":
            q = ctx.quantization(node)
            # The application saturates at the limits of the type: a narrower one needs its own.
            return q if q is not None and q.is_full else None
        if node.op_type not in _VIEWS or required_input(node, 0) is not value:
            return None
        value = node.outputs[0]
    return None


def _lower_output(ctx: Lowering, value: ir.Value, node: ir.Node, io_float: bool,
                  channels_last: bool) -> None:
    shape = ctx.shape(value)
    assert value.dtype is not None
    if 0 in shape:
        ctx.diagnostics.error(
            "TC0107", f"output {value.name!r} of shape {list(shape)} has no elements",
            help="export the model with the sizes that it is used with")
        return
    form = ctx.form(value)
    scale, zero = None, 0
    if isinstance(form, Scaled) and not io_float:
        buffer, scale, zero = form.buffer, form.scale, form.zero
    elif isinstance(form, Lazy):
        buffer = form.floats()
    elif isinstance(form, (Constant, Codes)):
        buffer = ctx.buffer(value)
    else:
        buffer = form
    layout = _io_layout(shape, channels_last)
    buffer = ctx.relayout(buffer, layout, node)
    if value.dtype is ir.DataType.UINT8 and buffer.tensor.dtype is DType.I8:
        buffer = stored_as_uint8(ctx, node, buffer)
    producer = value.producer()
    if scale is None and producer is not None and producer.op_type == "QuantizeLinear":
        q = ctx.quantization(producer)
        if q is not None:
            scale, zero = q.scale, q.zero + (q.offset if buffer.tensor.dtype is DType.U8 else 0)
    assert prod(shape) == prod(buffer.layout.shape)
    ctx.program.outputs.append(Port(
        value.name or "output", buffer.tensor, _io_shape(shape, channels_last), int(value.dtype),
        scale, zero))


def _remove_dead(program: Program) -> None:
    """Drops instructions whose results nobody reads."""
    needed = {id(port.tensor) for port in program.outputs}
    kept = []
    for item in reversed(program.instructions):
        if any(id(tensor) in needed for tensor in item.writes):
            kept.append(item)
            needed.update(id(tensor) for tensor in item.reads)
    program.instructions[:] = reversed(kept)
    alive = {id(t) for t in program.tensors()}
    for name in [n for n, view in program.values.items() if id(view.tensor) not in alive]:
        del program.values[name]
