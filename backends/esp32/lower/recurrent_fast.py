"""Fast forms of recurrent layers: weights and constants in the order of the kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.lower.forms import IntArray
from ternc.backends.esp32.lower.kernel_layouts import pack_recurrent_blocks, pack_recurrent_lut
from ternc.backends.esp32.lower.recurrence import GATES, Recurrence
from ternc.backends.esp32.lower.recurrent_gates import NarrowGates
from ternc.backends.esp32.program import DType

_TABLE_WORDS = 41
# Instructions: building a table, a look-up, a gate; a multiply-accumulate of the plain ternary
# kernel, of that with int8 weights, and in blocks of eight rows.
_BUILD, _LOOK_UP, _GATE, _PLAIN, _PLAIN_I8, _BLOCKED = 105, 4, 40, 12, 8, 3.3
_ROWS, _TABLE_ROWS = 8, 4  # of a block


@dataclass(frozen=True, eq=False, slots=True)
class FastForm:
    """Operands of a fast kernel; scratch in 32-bit words."""

    kernel: str
    weights: npt.NDArray[np.generic]
    dtype: DType
    constants: IntArray
    scratch: int
    pays: bool


def fast_form(layer: Recurrence, gates: NarrowGates) -> FastForm:
    """The layer by look-up where its weights are ternary, else in blocks of rows."""
    if layer.w.is_ternary and layer.r.is_ternary:
        return _look_up(layer, gates)
    w, r = layer.w.codes, layer.r.codes
    assert w is not None
    assert r is not None
    packed = pack_recurrent_blocks(w, r, GATES[layer.node.op_type])
    fast = _BLOCKED * packed.size / layer.directions + _GATE * _rows(layer)
    return FastForm(
        f"{layer.kernel}_i8_blocked", packed, DType.I8, _constants(layer, gates, _ROWS),
        _state_words(layer, gates, _ROWS), fast < _plain(layer, _PLAIN_I8))


def _look_up(layer: Recurrence, gates: NarrowGates) -> FastForm:
    w, r = layer.w.codes, layer.r.codes
    assert w is not None
    assert r is not None
    x_tables, h_tables = (-(-n // 8) * 2 for n in (layer.inputs, layer.hidden))
    tables = x_tables + h_tables
    if layer.kernel == "gru" and not layer.linear_before_reset:
        tables += h_tables
    fast = _BUILD * tables + _rows(layer) * (_LOOK_UP * (x_tables + h_tables) + _GATE)
    return FastForm(
        f"{layer.kernel}_i8_t2_lut", pack_recurrent_lut(w, r, GATES[layer.node.op_type]),
        DType.U8, _constants(layer, gates, _TABLE_ROWS),
        _TABLE_WORDS * tables + _state_words(layer, gates, _TABLE_ROWS),
        fast < _plain(layer, _PLAIN))


def _rows(layer: Recurrence) -> int:
    """Of one direction."""
    return GATES[layer.node.op_type] * layer.hidden


def _plain(layer: Recurrence, each: int) -> int:
    """Instructions of the plain kernel for a step of one direction."""
    return _rows(layer) * (each * (layer.inputs + layer.hidden) + _GATE)


def _state_words(layer: Recurrence, gates: NarrowGates, block: int) -> int:
    """Words for what goes into the gates, and for the states."""
    padded = -(-layer.hidden // block) * block
    states = 1 if layer.kernel == "rnn" else 2
    biases = int(gates.c.shape[1]) // layer.hidden
    return padded * biases + -(-states * layer.hidden // 2)


def _constants(layer: Recurrence, gates: NarrowGates, block: int) -> IntArray:
    """For each block of rows m_w, m_r << (16 - h_shift) and c, then c of a GRU's h."""
    rows, hidden, directions = _rows(layer), layer.hidden, layer.directions
    each = np.stack([gates.m_w, gates.m_r << (16 - gates.h_shift), gates.c[:, :rows]], 1)
    blocks = _blocks(each.reshape(directions, 3, -1, hidden), block).transpose(0, 2, 3, 1, 4)
    extra = gates.c[:, rows:].reshape(directions, -1, hidden) if gates.c.shape[1] > rows else (
        np.zeros((directions, 0, hidden), np.int64))
    parts = [blocks.reshape(directions, -1), _blocks(extra, block).reshape(directions, -1)]
    return np.concatenate(parts, -1)


def _blocks(array: IntArray, block: int) -> IntArray:
    """The last axis as [blocks][rows], with zeros where it ends."""
    missing = -array.shape[-1] % block
    padded = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])
    return padded.reshape(*array.shape[:-1], padded.shape[-1] // block, block)
