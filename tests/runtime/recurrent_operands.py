"""Operands of an int8 recurrent layer: what its plain kernel and its fast ones share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tests.runtime.harness import Array, Number
from tests.runtime.recurrent_reference import BIASES, GATES, Sizes

SIZES = st.builds(Sizes, st.integers(1, 4), st.integers(1, 2), st.integers(1, 37),
                  st.integers(1, 37), st.integers(1, 2), st.integers(0, 1))
Case = tuple[dict[str, Array | None], dict[str, Number]]


@dataclass(frozen=True, slots=True)
class Constants:
    """Multipliers [directions, rows] of W and R, and the gates' constants."""

    m_w: Array
    m_r: Array
    c: Array

    def packed(self, cell: str, hidden: int, block: int, h_shift: int) -> Array:
        """As the fast kernels read them, for `block` rows of a gate at a time."""
        d, gates = len(self.c), GATES[cell]
        shape = -(-hidden // block) * block
        w, r, c = (np.zeros((d, count, shape), np.int64)
                   for count in (gates, gates, BIASES[cell]))
        for target, source in ((w, self.m_w), (r, self.m_r << (16 - h_shift)), (c, self.c)):
            target[..., :hidden] = source.reshape(d, -1, hidden)
        each = np.stack([w, r, c[:, :gates]], 2).reshape(d, gates, 3, -1, block)
        return np.concatenate([each.swapaxes(2, 3).reshape(d, -1), c[:, gates:].reshape(d, -1)],
                              1).astype(np.int32)


def constants(rng: np.random.Generator, cell: str, sizes: Sizes, w_bits: int, r_bits: int
              ) -> Constants:
    """Multipliers below 2^bits."""
    d, rows = sizes.directions, GATES[cell] * sizes.hidden
    return Constants(rng.integers(1, 2**w_bits, (d, rows)), rng.integers(1, 2**r_bits, (d, rows)),
                     rng.integers(-(2**26), 2**26, (d, BIASES[cell] * sizes.hidden)))


def operands(rng: np.random.Generator, cell: str, sizes: Sizes, x: Array, h0: Array, option: int
             ) -> Case:
    """All but weights, constants and scratch; `option` is a form of LSTM and GRU, 0 or 1."""
    states = (sizes.batch, sizes.directions, sizes.hidden)
    tensors: dict[str, Array | None] = {
        "x": x.astype(np.int8), "h0": h0.astype(np.int16),
        "y": np.zeros((sizes.steps, *states), np.int8), "h_last": np.zeros(states, np.int16),
    }
    numbers: dict[str, Number] = {
        "steps": sizes.steps, "batch": sizes.batch, "in_features": sizes.in_features,
        "hidden": sizes.hidden, "directions": sizes.directions, "reverse": sizes.reverse,
        "shift": 9, "out_m": 2**18, "out_c": 3 << 7, "out_shift": 7, "lo": -100, "hi": 120,
    }
    if cell == "lstm":
        tensors["c0"] = rng.integers(-32767, 32768, states).astype(np.int16)
        tensors["c_last"] = np.zeros(states, np.int16)
        numbers["cell_bits"] = 15 * option
    elif cell == "gru":
        numbers["linear_before_reset"] = option
    return tensors, numbers


def scratch(cell: str, hidden: int, block: int, tables: int) -> Array:
    """Of a fast kernel: words of tables, of what goes into the gates, and of states."""
    padded = -(-hidden // block) * block
    states = -(-(1 if cell == "rnn" else 2) * hidden // 2)
    return np.full(tables + BIASES[cell] * padded + states, 0x5A5A5A5A, np.int32)
