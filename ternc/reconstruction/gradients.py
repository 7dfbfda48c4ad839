"""Gradients of the error of LSTM, GRU and RNN over whole sequences, back through time.

The cells are those of `cells`: one direction, x [steps, samples, inputs], the default
activations, gates in ONNX's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ternc.reconstruction.cells import Cell

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Gradients:
    """Derivatives by W, R and the biases, of the same shapes."""

    w: Array
    r: Array
    w_bias: Array
    r_bias: Array


@dataclass(frozen=True, slots=True)
class _Tape:
    """What each step leaves for the way back, [steps, samples, ...]."""

    states: Array  # after the step
    previous: Array
    gates: Array  # behind their activations
    cells: Array  # LSTM: c before the step
    squashed: Array  # LSTM: tanh of c after it
    inner: Array  # GRU: what R's candidate rows read, or with reset_after what they give


def states_of(cell: Cell, x: Array, h: Array, c: Array) -> Array:
    """The states [steps, samples, hidden] after each step, from h and c [samples, hidden]."""
    return _forward(cell, x, h, c).states


def gradients(cell: Cell, x: Array, h: Array, c: Array, goal: Array, share: Array
              ) -> tuple[float, Gradients]:
    """The sum over steps and samples of share[step] * |state - goal|^2, and its gradients."""
    tape = _forward(cell, x, h, c)
    error = tape.states - goal
    weighted = 2 * error * share[:, None, None]
    rows, hidden = cell.r.shape
    # by the gates' values before activation
    before = np.empty((*x.shape[:2], rows), x.dtype)
    after = cell.op_type == "GRU" and cell.reset_after
    r_before = np.empty_like(before) if after else before
    d_h, d_c = np.zeros_like(h), np.zeros_like(c)
    for step in range(len(x) - 1, -1, -1):
        d_h = d_h + weighted[step]
        match cell.op_type:
            case "LSTM":
                d_h, d_c = _lstm_back(cell, tape, step, d_h, d_c, before[step])
            case "GRU":
                d_h = _gru_back(cell, tape, step, d_h, before[step], r_before[step])
            case _:
                before[step] = d_h * (1 - tape.states[step] ** 2)
                d_h = before[step] @ cell.r
    flat = before.reshape(-1, rows)
    r_flat = r_before.reshape(-1, rows)
    r = r_flat.T @ tape.previous.reshape(-1, hidden)
    if cell.op_type == "GRU" and not cell.reset_after:
        r[2 * hidden :] = r_flat[:, 2 * hidden :].T @ tape.inner.reshape(-1, hidden)
    found = Gradients(flat.T @ x.reshape(len(flat), -1), r, flat.sum(axis=0), r_flat.sum(axis=0))
    return float((error * weighted).sum() / 2), found


def _forward(cell: Cell, x: Array, h: Array, c: Array) -> _Tape:
    steps, samples, _ = x.shape
    rows, n = cell.r.shape
    given = x @ cell.w.T + cell.w_bias
    states, previous = (np.empty((steps, samples, n), x.dtype) for _ in range(2))
    gates = np.empty((steps, samples, rows), x.dtype)
    cells, squashed = (np.empty((steps, samples, n) if cell.op_type == "LSTM" else 0, x.dtype)
                       for _ in range(2))
    inner = np.empty((steps, samples, n) if cell.op_type == "GRU" else 0, x.dtype)
    for step in range(steps):
        previous[step], now = h, gates[step]
        match cell.op_type:
            case "LSTM":
                cells[step] = c
                now[:] = given[step] + h @ cell.r.T + cell.r_bias
                now[:, : 3 * n] = _sigmoid(now[:, : 3 * n])
                now[:, 3 * n :] = np.tanh(now[:, 3 * n :])
                c = now[:, 2 * n : 3 * n] * c + now[:, :n] * now[:, 3 * n :]
                squashed[step] = np.tanh(c)
                h = now[:, n : 2 * n] * squashed[step]
            case "GRU":
                now[:, : 2 * n] = _sigmoid(
                    given[step][:, : 2 * n] + h @ cell.r[: 2 * n].T + cell.r_bias[: 2 * n])
                z, r = now[:, :n], now[:, n : 2 * n]
                if cell.reset_after:
                    inner[step] = h @ cell.r[2 * n :].T + cell.r_bias[2 * n :]
                    added = r * inner[step]
                else:
                    inner[step] = r * h
                    added = inner[step] @ cell.r[2 * n :].T + cell.r_bias[2 * n :]
                now[:, 2 * n :] = np.tanh(given[step][:, 2 * n :] + added)
                h = (1 - z) * now[:, 2 * n :] + z * h
            case _:
                h = now[:] = np.tanh(given[step] + h @ cell.r.T + cell.r_bias)
        states[step] = h
    return _Tape(states, previous, gates, cells, squashed, inner)


def _lstm_back(cell: Cell, tape: _Tape, step: int, d_h: Array, d_c: Array, before: Array
               ) -> tuple[Array, Array]:
    """Derivatives by h and c before the step; those by the gates go to `before`."""
    i, o, f, g = np.split(tape.gates[step], 4, axis=1)
    squashed = tape.squashed[step]
    d_c = d_c + d_h * o * (1 - squashed**2)
    before[:] = np.concatenate(
        [d_c * g * i * (1 - i), d_h * squashed * o * (1 - o),
         d_c * tape.cells[step] * f * (1 - f), d_c * i * (1 - g**2)], axis=1)
    return before @ cell.r, d_c * f


def _gru_back(cell: Cell, tape: _Tape, step: int, d_h: Array, before: Array, r_before: Array
              ) -> Array:
    """The derivative by h before the step; `r_before` is by what R adds to the gates."""
    z, r, new = np.split(tape.gates[step], 3, axis=1)
    n, h, inner = cell.hidden, tape.previous[step], tape.inner[step]
    candidate = d_h * (1 - z) * (1 - new**2)
    if cell.reset_after:
        d_r, r_candidate = candidate * inner, candidate * r
        d_reset = np.zeros_like(h)
    else:
        d_reset = candidate @ cell.r[2 * n :]
        d_r, r_candidate = d_reset * h, candidate
    before[:, :n] = d_h * (h - new) * z * (1 - z)
    before[:, n : 2 * n] = d_r * r * (1 - r)
    before[:, 2 * n :] = candidate
    r_before[:, : 2 * n] = before[:, : 2 * n]
    r_before[:, 2 * n :] = r_candidate
    if cell.reset_after:
        return np.asarray(d_h * z + r_before @ cell.r)
    return np.asarray(d_h * z + before[:, : 2 * n] @ cell.r[: 2 * n] + d_reset * r)


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
