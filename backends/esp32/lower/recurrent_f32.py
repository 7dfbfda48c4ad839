"""Recurrent layers in float32, with float, int8 or ternary weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Work
from ternc.backends.esp32.lower.forms import Buffer
from ternc.backends.esp32.lower.nodes import label, required_input
from ternc.backends.esp32.lower.recurrence import Matrix, Recurrence, constant_state
from ternc.backends.esp32.lower.state import kept_state, show_state
from ternc.backends.esp32.lower.weights import Weights
from ternc.backends.esp32.lower.wide import is_wide
from ternc.backends.esp32.program import DType, OperandValue, Tensor

SCRATCH = {"LSTM": 6, "GRU": 4, "RNN": 2}  # of the kernels, in units of hidden


def _help(ctx: Lowering, node: ir.Node) -> str:
    if not is_wide(ctx.form(required_input(node, 0))):
        return ""
    return ("recurrent layers have no form for 16-bit inputs and outputs: give this one 8 "
            f"(--keep int8:{label(node)}), or accept the cost without an FPU")


def emit_float(ctx: Lowering, layer: Recurrence) -> None:
    """Emits the layer and binds its outputs."""
    node, name = layer.node, label(layer.node)
    floats = ctx.floats(required_input(node, 0), node, _help(ctx, node))
    x = ctx.relayout(floats, layer.x_layout, node)
    operands: dict[str, OperandValue] = {"x": x.tensor, "y": None}
    suffix, weights = _weights(ctx, layer)
    operands |= weights
    y = layer.output(0)
    if y is not None:
        buffer = ctx.new(y.name or "y", DType.F32, layer.y_layout)
        operands["y"] = buffer.tensor
        ctx.bind(y, buffer)
    shown: list[tuple[ir.Value, Tensor]] = []
    for letter, index in (("h", 5), ("c", 6))[: 2 if layer.is_lstm else 1]:
        first, last = _state(ctx, layer, letter, index, shown)
        operands |= {f"{letter}0": first, f"{letter}_last": last}
    if layer.node.op_type == "GRU":
        operands["linear_before_reset"] = int(layer.linear_before_reset)
    elif layer.node.op_type == "RNN":
        operands["relu"] = int(layer.relu)
    bias = ctx.data(f"{name}:b", layer.bias, DType.F32) if layer.bias.any() else None
    ctx.emit(
        f"{layer.kernel}_f32{suffix}", node, Work(layer.macs, nonzeros(layer)),
        b=bias, scratch=scratch(ctx, layer, DType.F32, SCRATCH[layer.node.op_type]), **operands,
        **sizes(layer),
    )
    for value, state in shown:
        show_state(ctx, layer, value, state)


def sizes(layer: Recurrence) -> dict[str, OperandValue]:
    """The geometry operands."""
    return {
        "steps": layer.steps, "batch": layer.batch, "in_features": layer.inputs,
        "hidden": layer.hidden, "directions": layer.directions, "reverse": int(layer.reverse),
    }


def scratch(ctx: Lowering, layer: Recurrence, dtype: DType, vectors: int) -> Tensor:
    """The kernel's scratch: for every sequence so many vectors as large as h."""
    count = vectors * layer.hidden * layer.directions * layer.batch
    return Tensor(ctx.unique(f"{label(layer.node)}:scratch"), dtype, (count,))


def nonzeros(layer: Recurrence) -> int | None:
    """Weights that are not 0, of ternary ones."""
    if not (layer.w.is_ternary and layer.r.is_ternary):
        return None
    assert layer.w.codes is not None
    assert layer.r.codes is not None
    return int(np.count_nonzero(layer.w.codes) + np.count_nonzero(layer.r.codes))


def store(ctx: Lowering, matrix: Matrix, name: str, ternary: bool) -> Tensor:
    """Codes as the kernel reads them."""
    assert matrix.codes is not None
    if not ternary:
        return ctx.data(name, matrix.codes, DType.I8)
    zero = np.zeros(matrix.codes.shape[0], np.int64)
    return Weights(matrix.codes.shape, codes=matrix.codes, zero=zero).store(ctx, name)


def _weights(ctx: Lowering, layer: Recurrence) -> tuple[str, dict[str, OperandValue]]:
    """The instruction's suffix, and its weight operands; W and R are in the same form."""
    operands: dict[str, OperandValue] = {}
    coded = layer.w.codes is not None and layer.r.codes is not None
    ternary = layer.w.is_ternary and layer.r.is_ternary
    for letter, matrix, index in (("w", layer.w, 1), ("r", layer.r, 2)):
        name = f"{required_input(layer.node, index).name or letter}:weights"
        if not coded:
            operands[letter] = ctx.data(name, matrix.real, DType.F32)
            continue
        assert matrix.scale is not None
        operands[letter] = store(ctx, matrix, name, ternary)
        operands[f"m_{letter}"] = ctx.data(f"{name}:m", matrix.scale, DType.F32)
    return ("" if not coded else "_t2" if ternary else "_w8"), operands


def _state(ctx: Lowering, layer: Recurrence, letter: str, index: int,
           shown: list[tuple[ir.Value, Tensor]]) -> tuple[Tensor | None, Tensor | None]:
    """The tensors of an initial and a last state; a kept one is both, and is shown afterwards."""
    node, name = layer.node, label(layer.node)
    initial, value = layer.initial(index), layer.output(index - 4)
    known = constant_state(ctx, layer, initial)
    if ctx.stateful:
        state = kept_state(ctx, layer, letter, known, DType.F32)
        if value is not None:
            shown.append((value, state))
        return state, state
    first: Tensor | None = None
    if known is None:
        assert initial is not None
        first = ctx.relayout(ctx.floats(initial, node), layer.state_layout, node).tensor
    elif known.any():
        first = ctx.data(f"{name}:{letter}0", known, DType.F32)
    if value is None:
        return first, None
    buffer: Buffer = ctx.new(value.name or f"y_{letter}", DType.F32, layer.state_layout)
    ctx.bind(value, buffer)
    return first, buffer.tensor
