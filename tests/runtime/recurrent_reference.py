"""The recurrent layers in numpy: float64, and exactly what the integer kernels must give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
BIASES = {"lstm": 4, "gru": 4, "rnn": 1}
SCRATCH = {"lstm": 6, "gru": 4, "rnn": 2}
SCRATCH_I16 = {"lstm": 4, "gru": 4, "rnn": 2}
_TANH = np.minimum(np.rint(np.tanh(np.arange(257) / 32) * 32768), 32767).astype(np.int64)
FAR = 1 << 28


@dataclass(frozen=True, slots=True)
class Sizes:
    """Geometry of one layer; x is [steps, batch, inputs]."""

    steps: int
    batch: int
    in_features: int
    hidden: int
    directions: int
    reverse: int

    def order(self, direction: int) -> range:
        """The steps in the order in which a direction takes them."""
        backwards = bool(direction or self.reverse)
        return range(self.steps - 1, -1, -1) if backwards else range(self.steps)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def float_layer(
    cell: str, sizes: Sizes, x: Array, weights: tuple[Array, Array], b: Array, h0: Array,
    c0: Array, *, before_reset: int = 0, relu: int = 0,
) -> tuple[Array, Array, Array]:
    """Y [steps, batch, directions, hidden] and the last states [batch, directions, hidden]."""
    w, r = weights
    y = np.zeros((sizes.steps, sizes.batch, sizes.directions, sizes.hidden))
    h_last, c_last, n = h0.astype(np.float64), c0.astype(np.float64), sizes.hidden
    for d in range(sizes.directions):
        for s in range(sizes.batch):
            h, c = h_last[s, d], c_last[s, d]
            for t in sizes.order(d):
                from_x, from_h = w[d] @ x[t, s], r[d] @ h
                if cell == "lstm":
                    i, o, f, g = np.split(from_x + from_h + b[d], 4)
                    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                    h = sigmoid(o) * np.tanh(c)
                elif cell == "gru":
                    z, reset = sigmoid((from_x + from_h)[: 2 * n] + b[d][: 2 * n]).reshape(2, n)
                    inner = from_h[2 * n :] if before_reset else r[d][2 * n :] @ (reset * h)
                    inner = inner + b[d][3 * n :]
                    inner = reset * inner if before_reset else inner
                    h = (1 - z) * np.tanh(from_x[2 * n :] + b[d][2 * n : 3 * n] + inner) + z * h
                else:
                    h = from_x + from_h + b[d]
                    h = np.maximum(h, 0) if relu else np.tanh(h)
                y[t, s, d] = h
            h_last[s, d], c_last[s, d] = h, c
    return y, h_last, c_last


def tanh_q15(x: Array) -> Array:
    """tanh of 16 fraction bits, in 15: the table with linear interpolation."""
    size = np.minimum(np.abs(x), 1 << 40)
    step = np.minimum(size >> 11, 256)
    low, high = _TANH[step], _TANH[np.minimum(step + 1, 256)]
    y = np.where(step < 256, low + (((high - low) * (size & 2047) + 1024) >> 11), 32767)
    return np.asarray(np.where(x < 0, -y, y))


def sigmoid_q15(x: Array) -> Array:
    return (tanh_q15(x >> 1) + 32768) >> 1


def _tanh_fine(x: Array) -> Array:
    """tanh in 16 fraction bits: the table with quadratic interpolation."""
    size = np.minimum(np.abs(x), 1 << 40)
    step, t = np.minimum(size >> 11, 255), size & 2047
    rise = _TANH[step + 1] - _TANH[step]
    bend = np.where(step == 0, 0, rise - (_TANH[step] - _TANH[np.maximum(step, 1) - 1]))
    y = 2 * _TANH[step] + ((2 * rise * t - (bend * t * (2048 - t) >> 11) + 1024) >> 11)
    y = np.where(size >> 11 < 256, y, 65535)
    return np.asarray(np.where(x < 0, -y, y))


def tanh_i16(x: Array) -> Array:
    """The tanh of int16 layers."""
    return np.asarray(np.minimum((_tanh_fine(x) + 1) >> 1, 32767))


def sigmoid_i16(x: Array) -> Array:
    inside = (_tanh_fine(x >> 1) + 65538) >> 2
    return np.asarray(np.where(x > 12 << 16, 32768, np.where(x < -(12 << 16), 0, inside)))


@dataclass(frozen=True, slots=True)
class Constants:
    """Multipliers [directions, rows] and offsets [directions, biases] of the gates."""

    m_w: Array
    m_r: Array
    c: Array
    shift: int
    out_m: int
    out_c: int
    out_shift: int
    lo: int
    hi: int
    ternary: bool = False
    wide: bool = False  # of an int16 layer

    def sigmoid(self, x: Array) -> Array:
        return sigmoid_i16(x) if self.wide else sigmoid_q15(x)

    def tanh(self, x: Array) -> Array:
        return tanh_i16(x) if self.wide else tanh_q15(x)

    def gate(self, x: Array, m_w: Array, h: Array, m_r: Array, c: Array) -> Array:
        """The input of a gate, with 16 fraction bits."""
        if self.ternary and not self.wide:
            sums = (x * m_w + (h * m_r >> 16) + c) >> self.shift
        else:
            sums = (x * m_w + h * m_r + (c << 16)) >> (16 + self.shift)
        return np.asarray(np.clip(sums, -FAR, FAR))

    def operand(self, h: Array) -> Array:
        """A state as the weights multiply it."""
        narrowed = self.ternary and not self.wide
        return np.asarray((h * 8191 + 16384) >> 15 if narrowed else h)


def carried(products: Array) -> Array:
    """What an int16 layer carries on, from a product with 15 fraction bits more."""
    return np.asarray(np.clip((products + 16384) >> 15, -32767 << 16, 32767 << 16))


def integer_layer(cell: str, sizes: Sizes, x: Array, w: Array, r: Array, k: Constants, h0: Array,
                  c0: Array, *, before_reset: int = 0,
                  cell_bits: int = 0) -> tuple[Array, Array, Array]:
    """The same in integers, bit by bit."""
    y = np.zeros((sizes.steps, sizes.batch, sizes.directions, sizes.hidden), np.int64)
    h_last, c_last, n = h0.astype(np.int64), c0.astype(np.int64), sizes.hidden
    x, w, r = (a.astype(np.int64) for a in (x, w, r))
    for d in range(sizes.directions):
        m_w, m_r, b = (a[d].astype(np.int64) for a in (k.m_w, k.m_r, k.c))
        for s in range(sizes.batch):
            h, c = h_last[s, d], c_last[s, d]
            # Of an int16 layer, with 16 more fraction bits.
            fine = (c if cell == "lstm" else h) << 16
            for t in sizes.order(d):
                from_x, from_h = w[d] @ x[t, s], r[d] @ k.operand(h)
                both = k.gate(from_x, m_w, from_h, m_r, b[: len(m_w)])
                if cell == "lstm":
                    i, o, f = k.sigmoid(both[: 3 * n]).reshape(3, n)
                    added = i * k.tanh(both[3 * n :])
                    if k.wide:
                        fine = carried(f * fine + (added << (cell_bits + 1)))
                        c, bounded = (fine + 32768) >> 16, k.tanh(fine >> cell_bits)
                    else:
                        added >>= 15 - cell_bits
                        c = np.clip((f * c + added + 16384) >> 15, -32767, 32767)
                        bounded = k.tanh(c << (16 - cell_bits))
                    h = (o * bounded + 16384) >> 15
                elif cell == "gru":
                    z, reset = k.sigmoid(both[: 2 * n]).reshape(2, n)
                    last = slice(2 * n, 3 * n)
                    if before_reset:
                        zero = np.zeros(n, np.int64)
                        inner = k.gate(zero, zero, from_h[last], m_r[last], b[3 * n :])
                        g = k.gate(from_x[last], m_w[last], zero, zero, b[last])
                        g = g + ((reset * inner + 16384) >> 15)
                    else:
                        reset_h = (reset * h + 16384) >> 15
                        g = k.gate(from_x[last], m_w[last], r[d][last] @ k.operand(reset_h),
                                   m_r[last], b[last])
                    if k.wide:
                        fine = carried(z * fine + ((32768 - z) * k.tanh(g) << 16))
                        h = (fine + 32768) >> 16
                    else:
                        h = ((32768 - z) * k.tanh(g) + z * h + 16384) >> 15
                else:
                    h = k.tanh(both)
                wide = (h * k.out_m + (k.out_c << 16)) >> (16 + k.out_shift)
                y[t, s, d] = np.clip(wide, k.lo, k.hi)
            h_last[s, d], c_last[s, d] = h, c
    return y, h_last, c_last
