"""Recurrent layers in integers: int8 or int16 in and out, states in 16 bits.

h has 15 fraction bits: tanh and its means with numbers below 1 stay within that. Cells have as
many as their range leaves. With int16 at either end the layer runs in its int16 instruction, on an
int8 x widened. Ternary int8 layers are computed by look-up where there is room for the
tables, int8 weights in blocks of rows, else by the plain kernel, which gives the same bytes.
"""

from __future__ import annotations

from math import ceil, log2, prod
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Epilogue, Lowering, Quantization, Work
from ternc.backends.esp32.lower.forms import Buffer, Codes, Constant, Scaled
from ternc.backends.esp32.lower.kernel_layouts import MOST_MIXED_ROWS, pack_mixed_rows
from ternc.backends.esp32.lower.nodes import label, required_input
from ternc.backends.esp32.lower.recurrence import Recurrence, constant_state
from ternc.backends.esp32.lower.recurrent_f32 import SCRATCH, nonzeros, scratch, sizes, store
from ternc.backends.esp32.lower.recurrent_fast import fast_form
from ternc.backends.esp32.lower.recurrent_gates import (
    STATE_BITS,
    Gates,
    NarrowGates,
    gate_constants,
)
from ternc.backends.esp32.lower.state import kept_state
from ternc.backends.esp32.lower.wide import BOUND, is_wide, requantize_wide, widened
from ternc.backends.esp32.program import DType, OperandValue, Tensor
from ternc.quantize import Requantization, requantize_constants

_FAR_CELL: Final = 16.0  # no gate sees the difference between tanh of more, and 1
_LARGEST: Final = 32767
# Of an int16 layer, in hidden units: h and its next value; of an LSTM c in 32 bits; of a GRU r*h
# and what h lacks of 32 bits.
_SCRATCH_I16: Final = {"lstm": 4, "gru": 4, "rnn": 2}


def emit_integer(ctx: Lowering, layer: Recurrence) -> bool:
    """Emits the layer in integers and binds its outputs; False when it needs floats."""
    node = layer.node
    x = ctx.form(required_input(node, 0))
    outputs = {i: ctx.epilogue(v) for i in range(3) if (v := layer.output(i)) is not None}
    if not isinstance(x, Scaled) or layer.relu:
        return False
    if layer.w.codes is None or layer.r.codes is None:
        return False
    if any(e.quantization is None for e in outputs.values()):
        return False
    if not all(_is_usable_state(ctx, layer, index) for index in (5, 6)):
        return False
    if any(is_wide(x, e.quantization) for e in outputs.values()):
        x = widened(ctx, node, x)
    ternary = layer.w.is_ternary and layer.r.is_ternary
    mixed = None if ternary else _mixed_rows(layer)
    gates = gate_constants(layer, x, narrow=mixed is None)
    if gates is None:
        return False
    bits = {"h": STATE_BITS, "c": _cell_bits(ctx, layer, outputs.get(2))}
    kernel, operands = _kernel(ctx, layer, gates, x.is_wide, mixed)
    operands |= _output_operands(ctx, layer, outputs.get(0))
    last: dict[str, Tensor] = {}
    for letter, index in (("h", 5), ("c", 6))[: 2 if layer.is_lstm else 1]:
        operands |= _state(ctx, layer, letter, index, bits[letter], index - 4 in outputs, last)
    if layer.is_lstm:
        operands["cell_bits"] = bits["c"]
    elif layer.kernel == "gru":
        operands["linear_before_reset"] = int(layer.linear_before_reset)
    ctx.emit(
        kernel, node, Work(layer.macs, nonzeros(layer)), shift=gates.shift,
        x=ctx.relayout(x.buffer, layer.x_layout, node).tensor, **operands, **sizes(layer),
    )
    for letter, index in (("h", 1), ("c", 2)):
        if index in outputs:
            _narrow(ctx, layer, outputs[index], last[letter], bits[letter])
    for epilogue in outputs.values():
        ctx.absorb(epilogue, node)
    return True


def _kernel(
    ctx: Lowering, layer: Recurrence, gates: Gates, wide: bool,
    mixed: list[npt.NDArray[np.uint8]] | None,
) -> tuple[str, dict[str, OperandValue]]:
    """The kernel's name, with its weights, constants and scratch."""
    names = [required_input(layer.node, i).name or letter for i, letter in ((1, "w"), (2, "r"))]
    where = label(layer.node)
    if isinstance(gates, NarrowGates):
        fast = fast_form(layer, gates)
        room = ctx.room(layer.node.name or layer.node.op_type)
        if fast.pays and not room.least and fast.scratch * DType.I32.size <= room.scratch:
            return fast.kernel, {
                "w": ctx.data(f"{names[0]}:weights", fast.weights, fast.dtype),
                "k": ctx.data(f"{where}:k", fast.constants, DType.I32), "h_shift": gates.h_shift,
                "scratch": Tensor(ctx.unique(f"{where}:scratch"), DType.I32, (fast.scratch,)),
            }
    ternary = layer.w.is_ternary and layer.r.is_ternary
    narrow = isinstance(gates, NarrowGates) and not ternary
    form = "t2" if ternary else None if mixed is None else "mixed"
    weights = [store(ctx, matrix, f"{name}:weights", ternary) if mixed is None
               else ctx.data(f"{name}:weights", mixed[index], DType.U8)
               for index, (matrix, name) in enumerate(zip((layer.w, layer.r), names, strict=True))]
    return f"{layer.kernel}_{'i16' if wide else 'i8'}{f'_{form}' if form else ''}", {
        "w": weights[0], "r": weights[1],
        "m_w": ctx.data(f"{where}:m_w", gates.m_w << (16 if narrow else 0), DType.I32),
        "m_r": ctx.data(f"{where}:m_r", gates.m_r, DType.I32),
        "c": ctx.data(f"{where}:c", gates.c, DType.I32),
        "scratch": scratch(ctx, layer, DType.I16, _SCRATCH_I16[layer.kernel] if wide
                           else SCRATCH[layer.node.op_type] + int(ternary)),
    }


def _mixed_rows(layer: Recurrence) -> list[npt.NDArray[np.uint8]] | None:
    """W and R with ternary rows in two bits a weight, where that takes fewer bytes."""
    matrices = []
    for matrix in (layer.w, layer.r):
        assert matrix.codes is not None
        matrices.append(matrix.codes.reshape(-1, matrix.codes.shape[-1]))
    if len(matrices[0]) > MOST_MIXED_ROWS:
        return None
    packed = [pack_mixed_rows(codes) for codes in matrices]
    return packed if sum(p.size for p in packed) < sum(c.size for c in matrices) else None


def _is_usable_state(ctx: Lowering, layer: Recurrence, index: int) -> bool:
    """Whether an initial state is absent, constant, or quantized; an h must lie within -1..1."""
    value = layer.initial(index)
    if value is None:
        return True
    form = ctx.form(value)
    if isinstance(form, (Constant, Codes)):
        known = constant_state(ctx, layer, value)
        return known is not None and (index == 6 or float(np.abs(known).max(initial=0)) <= 1.0)
    if not isinstance(form, Scaled):
        return False
    # int16 has twice the range that calibration saw.
    return index == 6 or _reach(form) <= (2.1 if form.is_wide else 1.05)


def _reach(form: Scaled) -> float:
    """The largest size of an element."""
    least, most = form.stored.min(), form.stored.max()
    return float(max(most - form.zero, form.zero - least)) * form.scale


def _cell_bits(ctx: Lowering, layer: Recurrence, output: Epilogue | None) -> int:
    """Fraction bits of the cells, from the range that they are known to have."""
    if not layer.is_lstm:
        return 0
    initial = 0.0
    if (value := layer.initial(6)) is not None:
        known, form = constant_state(ctx, layer, value), ctx.form(value)
        if known is not None:
            initial = float(np.abs(known).max(initial=0))
        elif isinstance(form, Scaled):
            initial = _reach(form)
    seen = 0.0
    if output is not None and (q := output.quantization) is not None:
        seen = max(q.hi - q.zero, q.zero - q.lo) * q.scale
    likely = max(_FAR_CELL, 2 * seen)  # calibration saw only some inputs
    # A step adds less than 1, unless the state outlives the run.
    most = likely if ctx.stateful else min(likely, layer.steps + initial)
    needed = max(most, initial, 1.0)
    return max(0, STATE_BITS - ceil(log2(needed)))


def _output_operands(ctx: Lowering, layer: Recurrence,
                     epilogue: Epilogue | None) -> dict[str, OperandValue]:
    """The operands of y, and y itself, bound."""
    if epilogue is None or (q := epilogue.quantization) is None:
        return {"y": None, "out_m": 0, "out_c": 0, "out_shift": 0, "lo": 0, "hi": 0}
    constants = _requantized(q, STATE_BITS)
    y = ctx.new(epilogue.value.name or "y", q.dtype, layer.y_layout, q.offset)
    ctx.bind(epilogue.value, y)
    return {"y": y.tensor, "out_m": int(constants.m[0]), "out_c": int(constants.c[0]),
            "out_shift": int(constants.shift), "lo": q.lo, "hi": q.hi}


def _requantized(q: Quantization, bits: int) -> Requantization:
    """From a state with `bits` fraction bits to an output."""
    ratio, zero, bound = [2.0**-bits / q.scale], [float(q.zero)], [BOUND]
    if q.dtype is DType.I16:
        return requantize_wide(ratio, zero, bound, q)
    return requantize_constants(ratio, zero, bound)


def _state(ctx: Lowering, layer: Recurrence, letter: str, index: int, bits: int, wanted: bool,
           last: dict[str, Tensor]) -> dict[str, OperandValue]:
    """The tensors of an initial and a last state, in 16 bits; `last` gets the one to show."""
    name = f"{label(layer.node)}:{letter}"
    initial = layer.initial(index)
    known = constant_state(ctx, layer, initial)
    if ctx.stateful:
        state = kept_state(ctx, layer, letter, known, DType.I16)
        last[letter] = state
        return {f"{letter}0": state, f"{letter}_last": state}
    first: Tensor | None = None
    if known is None:
        assert initial is not None
        first = _widen(ctx, layer, initial, bits, f"{name}0")
    elif known.any():
        codes = np.clip(np.rint(known.astype(np.float64) * 2.0**bits), -_LARGEST, _LARGEST)
        first = ctx.data(f"{name}0", codes, DType.I16)
    if wanted:
        last[letter] = ctx.new(f"{name}_last", DType.I16, layer.state_layout).tensor
    return {f"{letter}0": first, f"{letter}_last": last.get(letter)}


def _widen(ctx: Lowering, layer: Recurrence, value: ir.Value, bits: int, name: str) -> Tensor:
    """A quantized initial state in 16 bits."""
    form = ctx.form(value)
    assert isinstance(form, Scaled)
    x = ctx.relayout(form.buffer, layer.state_layout, layer.node)
    scale = form.scale * 2.0**bits
    constants = requantize_constants(
        [scale], [-form.zero * scale], [BOUND if form.is_wide else 128], output_bits=16,
        wide=form.is_wide)
    y = ctx.new(name, DType.I16, layer.state_layout).tensor
    ctx.emit("rescale", layer.node, x=x.tensor, y=y, count=prod(layer.state_sizes),
             m=int(constants.m[0]), c=int(constants.c[0]), shift=int(constants.shift),
             lo=-_LARGEST, hi=_LARGEST)
    return y


def _narrow(ctx: Lowering, layer: Recurrence, epilogue: Epilogue, state: Tensor,
            bits: int) -> None:
    """A last state as the int8 or int16 tensor that the model makes of it."""
    q = epilogue.quantization
    assert q is not None
    constants = _requantized(q, bits)
    y: Buffer = ctx.new(epilogue.value.name or "y", q.dtype, layer.state_layout, q.offset)
    ctx.emit("rescale", layer.node, x=state, y=y.tensor, count=prod(layer.state_sizes),
             m=int(constants.m[0]), c=int(constants.c[0]), shift=int(constants.shift),
             lo=q.lo, hi=q.hi)
    ctx.bind(epilogue.value, y)
