"""LSTM, GRU and RNN, step by step forth and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ternc.reconstruction.cells import Cell
from ternc.reconstruction.unrolled import Unrolled, flat, summed_products, to_sigmoid

Array = npt.NDArray[np.floating[Any]]


def unroll(like: Cell, steps: int, samples: int) -> Unrolled:
    """For cells of the form and the sizes of `like`, whose weights are [copies, ...]."""
    forms: dict[str, type[Unrolled]] = {
        "LSTM": _Lstm, "GRU": _GruAfter if like.reset_after else _GruBefore, "RNN": _Rnn}
    return forms[like.op_type](like, steps, samples)


def states_of(cell: Cell, x: Array, h: Array, c: Array) -> Array:
    """The states [copies, steps, samples, hidden] after each step of cells [copies, ...].

    All read x [steps, samples, inputs] and begin with h and c [samples, hidden].
    """
    unrolled = unroll(cell, *x.shape[:2])
    unrolled.x[:], unrolled.h[:], unrolled.c[:] = x.swapaxes(1, 2)[:, None], h.T, c.T
    return unrolled.run(cell).transpose(1, 0, 3, 2)


class _Rnn(Unrolled):
    sigmoids = 0
    w_gates = r_gates = (0,)

    def _forward(self) -> None:
        for read, state in zip(self._read, self._states, strict=True):
            np.matmul(self._weights, read, out=state)
            np.tanh(state, out=state)
        self._gates[:, :, 0] = self._states

    def _backward(self, by_states: Array) -> None:
        d_h = np.zeros_like(self.c)
        for by_state, slope in _backwards(by_states, flat(self._slopes)):
            d_h += by_state
            slope *= d_h
            np.matmul(self._back, slope, out=d_h)


class _Lstm(Unrolled):
    """Gates o i f c, so that those of the cell lie together."""

    sigmoids = 3
    w_gates = r_gates = (1, 0, 2, 3)

    def __init__(self, like: Cell, steps: int, samples: int) -> None:
        super().__init__(like, steps, samples)
        self._cells = np.empty((steps + 1, *self.c.shape), self.c.dtype)
        self._squashed = np.empty_like(self._cells[1:])

    def _forward(self) -> None:
        self._cells[0] = self.c
        product = np.empty_like(self.c)
        for read, rows, gates, c, new, squashed, state in zip(
                self._read, flat(self._gates), self._gates, self._cells[:-1], self._cells[1:],
                self._squashed, self._states, strict=True):
            np.matmul(self._weights, read, out=rows)
            np.tanh(rows, out=rows)
            to_sigmoid(gates[:, :3])
            np.multiply(gates[:, 2], c, out=new)
            np.multiply(gates[:, 1], gates[:, 3], out=product)
            new += product
            np.tanh(new, out=squashed)
            np.multiply(gates[:, 0], squashed, out=state)

    def _backward(self, by_states: Array) -> None:
        o, i, f, g = (self._gates[:, :, gate] for gate in range(4))
        for gate, factor in enumerate((self._squashed, g, self._cells[:-1], i)):
            self._slopes[:, :, gate] *= factor
        by_squashed = o * (1 - self._squashed**2)
        d_h, d_c, product = (np.zeros_like(self.c) for _ in range(3))
        for by_state, squashed, forget, slopes, rows in _backwards(
                by_states, by_squashed, f, self._slopes, flat(self._slopes)):
            d_h += by_state
            np.multiply(d_h, squashed, out=product)
            d_c += product
            slopes[:, 0] *= d_h
            slopes[:, 1:] *= d_c[:, None]
            d_c *= forget
            np.matmul(self._back, rows, out=d_h)


class _Gru(Unrolled):
    """Gates z, r and the candidate. The new state is candidate + z * change."""

    sigmoids = 2

    def __init__(self, like: Cell, steps: int, samples: int) -> None:
        super().__init__(like, steps, samples)
        self._change = np.empty((steps, *self.c.shape), self.c.dtype)

    def _step(self, gates: Array, change: Array, previous: Array, state: Array) -> None:
        """From the candidate before its activation, [copies, 2, ...] of `gates`, to the state."""
        candidate = gates[:, 2]
        np.tanh(candidate, out=candidate)
        np.subtract(previous, candidate, out=change)
        np.multiply(gates[:, 0], change, out=state)
        state += candidate

    def _reach(self) -> None:
        """Makes the slopes of z and the candidate those of the state."""
        self._slopes[:, :, 0] *= self._change
        self._slopes[:, :, 2] *= 1 - self._gates[:, :, 0]


class _GruAfter(_Gru):
    """Resets what R gives to the candidate, which is a gate of its own, without activation."""

    w_gates, r_gates = (0, 1, 2), (0, 1, 3)

    def _forward(self) -> None:
        product = np.empty_like(self.c)
        for read, rows, gates, change, previous, state in zip(
                self._read, flat(self._gates), self._gates, self._change, self._previous,
                self._states, strict=True):
            np.matmul(self._weights, read, out=rows)
            sigmoids = gates[:, :2]
            np.tanh(sigmoids, out=sigmoids)
            to_sigmoid(sigmoids)
            np.multiply(gates[:, 1], gates[:, 3], out=product)
            gates[:, 2] += product
            self._step(gates, change, previous, state)

    def _backward(self, by_states: Array) -> None:
        self._reach()
        z, r, _, given = (self._gates[:, :, gate] for gate in range(4))
        by_candidate = self._slopes[:, :, 2]
        self._slopes[:, :, 1] *= by_candidate * given
        np.multiply(by_candidate, r, out=self._slopes[:, :, 3])
        d_h, product = (np.zeros_like(self.c) for _ in range(2))
        for by_state, keep, slopes, rows in _backwards(
                by_states, z, self._slopes, flat(self._slopes)):
            d_h += by_state
            slopes *= d_h[:, None]
            np.matmul(self._back, rows, out=product)
            d_h *= keep
            d_h += product


class _GruBefore(_Gru):
    """Resets the state that R's candidate rows read: a second product in each step."""

    w_gates = r_gates = (0, 1, 2)

    def __init__(self, like: Cell, steps: int, samples: int) -> None:
        super().__init__(like, steps, samples)
        self._reset = np.empty_like(self._change)
        self._candidate = np.empty_like(self._back[:, :, : self._back.shape[1]], order="C")

    def _reads_state(self, r: Array) -> Array:
        read, self._candidate[:] = np.split(r, [2 * self.c.shape[1]], axis=1)
        return np.concatenate([read, np.zeros_like(self._candidate)], axis=1)

    def _by_r(self, plain: Array) -> Array:
        by_candidate = summed_products(self._slopes[:, :, 2], self._reset)
        return np.concatenate([plain[:, : 2 * self.c.shape[1]], by_candidate], axis=1)

    def _forward(self) -> None:
        product = np.empty_like(self.c)
        for read, rows, gates, reset, change, previous, state in zip(
                self._read, flat(self._gates), self._gates, self._reset, self._change,
                self._previous, self._states, strict=True):
            np.matmul(self._weights, read, out=rows)
            sigmoids = gates[:, :2]
            np.tanh(sigmoids, out=sigmoids)
            to_sigmoid(sigmoids)
            np.multiply(gates[:, 1], previous, out=reset)
            np.matmul(self._candidate, reset, out=product)
            gates[:, 2] += product
            self._step(gates, change, previous, state)

    def _backward(self, by_states: Array) -> None:
        self._reach()
        z, r, _ = (self._gates[:, :, gate] for gate in range(3))
        self._slopes[:, :, 1] *= self._previous
        n = self.c.shape[1]
        back, candidate = self._back[:, :, : 2 * n], self._candidate.swapaxes(1, 2)
        d_h, d_reset, product = (np.zeros_like(self.c) for _ in range(3))
        for by_state, keep, reset, slopes, rows in _backwards(
                by_states, z, r, self._slopes, flat(self._slopes)):
            d_h += by_state
            slopes[:, 0] *= d_h
            slopes[:, 2] *= d_h
            np.matmul(candidate, slopes[:, 2], out=d_reset)
            slopes[:, 1] *= d_reset
            np.matmul(back, rows[:, : 2 * n], out=product)
            d_h *= keep
            d_reset *= reset
            d_h += d_reset
            d_h += product


def _backwards(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """What the arrays have of each step, the last one first."""
    return zip(*(array[::-1] for array in arrays), strict=True)
