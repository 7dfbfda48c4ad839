"""LSTM, GRU and RNN step by step in numpy: what every gate reads, and how much its error matters.

One direction of an ONNX node with the default activations: W [rows, inputs], R [rows, hidden],
biases Wb and Rb [rows], gates in ONNX's order (LSTM i o f c, GRU z r h).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Cell:
    """The weights of one direction; `reset_after` is ONNX's linear_before_reset."""

    op_type: str
    w: Array
    r: Array
    w_bias: Array
    r_bias: Array
    reset_after: bool = False

    @property
    def hidden(self) -> int:
        """The size of the state."""
        return int(self.r.shape[-1])

    def copies(self, count: int) -> Cell:
        """As many cells with these weights, [count, ...]."""
        return self.map(lambda array: np.repeat(array[None], count, axis=0))

    def map(self, change: Callable[[Array], Array]) -> Cell:
        """The cell with each array of weights changed so."""
        return replace(self, w=change(self.w), r=change(self.r), w_bias=change(self.w_bias),
                       r_bias=change(self.r_bias))


@dataclass(frozen=True, slots=True)
class Trace:
    """Of each step and sample, [steps, samples, ...].

    `states` [hidden] come after the step. Row k's value before its activation, `before`, is
    w[k].x + r[k].(hidden * factor[k]) + biases, where hidden is `previous` [hidden], or for the
    rows of `reset`, [hidden]; factor is 1 but for a GRU that resets after its product. `slope` is
    the derivative of the new state (LSTM: of the cell, of the state for its output gate).
    """

    states: Array
    previous: Array
    reset: Array | None
    factor: Array
    before: Array
    slope: Array


def simulate(cell: Cell, x: Array, h: Array, c: Array) -> Trace:
    """Runs `cell` over x [steps, samples, inputs] from the states h and c [samples, hidden]."""
    steps, samples, _ = x.shape
    rows, hidden = cell.r.shape
    states, previous, reset = (np.empty((steps, samples, hidden)) for _ in range(3))
    before, slope = (np.empty((steps, samples, rows)) for _ in range(2))
    factor = np.ones((steps, samples, rows))
    given = x @ cell.w.T + cell.w_bias
    for step in range(steps):
        previous[step] = h
        match cell.op_type:
            case "LSTM":
                h, c = _lstm(cell, given[step], h, c, before[step], slope[step])
            case "GRU":
                h = _gru(cell, given[step], h, before[step], slope[step], reset[step],
                         factor[step])
            case _:
                before[step] = given[step] + h @ cell.r.T + cell.r_bias
                h = np.tanh(before[step])
                slope[step] = 1 - h**2
        states[step] = h
    resets = cell.op_type == "GRU" and not cell.reset_after
    return Trace(states, previous, reset if resets else None, factor, before, slope)


def _lstm(cell: Cell, given: Array, h: Array, c: Array, before: Array, slope: Array
          ) -> tuple[Array, Array]:
    before[:] = given + h @ cell.r.T + cell.r_bias
    i, o, f, g = np.split(before, 4, axis=1)
    i, o, f, g = _sigmoid(i), _sigmoid(o), _sigmoid(f), np.tanh(g)
    new = f * c + i * g
    squashed = np.tanh(new)
    slope[:] = np.concatenate(
        [g * i * (1 - i), squashed * o * (1 - o), c * f * (1 - f), i * (1 - g**2)], axis=1)
    return o * squashed, new


def _gru(cell: Cell, given: Array, h: Array, before: Array, slope: Array, reset: Array,
         factor: Array) -> Array:
    n = cell.hidden
    recurrent = h @ cell.r[: 2 * n].T + cell.r_bias[: 2 * n]
    before[:, : 2 * n] = given[:, : 2 * n] + recurrent
    z, r = _sigmoid(before[:, :n]), _sigmoid(before[:, n : 2 * n])
    reset[:] = r * h
    if cell.reset_after:
        product = h @ cell.r[2 * n :].T + cell.r_bias[2 * n :]
        factor[:, 2 * n :] = r
        before[:, 2 * n :] = given[:, 2 * n :] + r * product
    else:
        product = reset @ cell.r[2 * n :].T
        before[:, 2 * n :] = given[:, 2 * n :] + product + cell.r_bias[2 * n :]
    new = np.tanh(before[:, 2 * n :])
    inner = (1 - z) * (1 - new**2)
    slope[:] = np.concatenate([(h - new) * z * (1 - z), inner * product * r * (1 - r), inner],
                              axis=1)
    return (1 - z) * new + z * h


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
