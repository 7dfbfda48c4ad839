"""Ternary recurrent layers by look-up: weights and constants in the order of the kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.lower.forms import IntArray
from ternc.backends.esp32.lower.kernel_layouts import pack_recurrent_lut
from ternc.backends.esp32.lower.recurrence import GATES, Recurrence
from ternc.backends.esp32.lower.recurrent_gates import TernaryGates

_TABLE_WORDS = 41
# Instructions: building a table, a look-up, a gate, a multiply-accumulate of the plain kernel.
_BUILD, _LOOK_UP, _GATE, _PLAIN = 105, 4, 40, 12


@dataclass(frozen=True, eq=False, slots=True)
class LookUp:
    """Operands of a look-up kernel; scratch in 32-bit words."""

    weights: npt.NDArray[np.uint8]
    constants: IntArray
    scratch: int
    pays: bool


def look_up(layer: Recurrence, gates: TernaryGates) -> LookUp:
    """The layer's weights and constants."""
    w, r = layer.w.codes, layer.r.codes
    assert w is not None
    assert r is not None
    count, hidden, directions = GATES[layer.node.op_type], layer.hidden, layer.directions
    packed = pack_recurrent_lut(w, r, count)
    x_tables, h_tables = (-(-n // 8) * 2 for n in (layer.inputs, hidden))
    tables = x_tables + h_tables
    if layer.kernel == "gru" and not layer.linear_before_reset:
        tables += h_tables
    states = 1 if layer.kernel == "rnn" else 2
    padded = -(-hidden // 4) * 4
    gates_words = padded * gates.c.shape[1] // hidden
    rows = count * hidden
    fast = _BUILD * tables + rows * (_LOOK_UP * (x_tables + h_tables) + _GATE)
    return LookUp(
        packed, _constants(gates, count, directions, hidden),
        _TABLE_WORDS * tables + gates_words + -(-states * hidden // 2),
        fast < rows * (_PLAIN * (layer.inputs + hidden) + _GATE),
    )


def _constants(gates: TernaryGates, count: int, directions: int, hidden: int) -> IntArray:
    """For each block of rows m_w, m_r << (16 - h_shift) and c, then c of a GRU's h."""
    rows = count * hidden
    each = np.stack([gates.m_w, gates.m_r << (16 - gates.h_shift), gates.c[:, :rows]], 1)
    blocks = _blocks(each.reshape(directions, 3, count, hidden)).transpose(0, 2, 3, 1, 4)
    extra = gates.c[:, rows:].reshape(directions, gates.c.shape[1] // hidden - count, hidden)
    parts = [blocks.reshape(directions, -1), _blocks(extra).reshape(directions, -1)]
    return np.concatenate(parts, -1)


def _blocks(array: IntArray) -> IntArray:
    """The last axis as [blocks][4], with zeros where it ends."""
    missing = -array.shape[-1] % 4
    padded = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])
    return padded.reshape(*array.shape[:-1], padded.shape[-1] // 4, 4)
