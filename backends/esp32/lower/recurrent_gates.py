"""Constants of the gates of integer recurrent layers: dot products to 16 fraction bits.

With int8 weights or int16 x a pre-activation is (x*m_w + h*m_r + (c << 16)) >> (16 + shift), x and
h the exact dot products, which fit 32 bits; the constants carry at most 30, so no intermediate
leaves 63. With ternary weights and int8 x it is (x*m_w + ((h*m_r) >> 16) + c) >> shift, and every
term and their sum fit 32 bits. Where that is fine enough, int8 weights have such constants too:
with m_w << 16 for m_w, the first form gives what the second does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ternc.backends.esp32.lower.forms import IntArray, Scaled, WideArray
from ternc.backends.esp32.lower.recurrence import Recurrence
from ternc.backends.esp32.lower.wide import BOUND

STATE_BITS: Final = 15  # fraction bits of h
_OPERAND: Final = 8191  # 1.0 of h as ternary weights multiply it: the sum of four fits 16 bits
_GATE_BITS: Final = 16
_FINE: Final = 2**9  # to a thousandth, far finer than int8 weights
_FAR: Final = 2.0**28  # the plain kernels clamp pre-activations to that


@dataclass(frozen=True, eq=False, slots=True)
class Gates:
    """Constants [directions, rows], c [directions, biases]."""

    m_w: IntArray
    m_r: IntArray
    c: IntArray
    shift: int


@dataclass(frozen=True, eq=False, slots=True)
class NarrowGates(Gates):
    """In 32 bits: no row's sum over h, shifted left by `h_shift`, leaves them either."""

    h_shift: int


def gate_constants(layer: Recurrence, x: Scaled, narrow: bool = True) -> Gates | None:
    """The finest constants that fit; None when an accumulator or every constant is too large.

    Args:
        layer: The layer.
        x: Its input.
        narrow: Whether int8 weights may have `NarrowGates`.
    """
    w, r = layer.w, layer.r
    assert w.codes is not None
    assert w.scale is not None
    assert r.codes is not None
    assert r.scale is not None
    from_x = np.abs(w.codes).sum(-1) * (BOUND if x.is_wide else 128)
    from_h = np.abs(r.codes).sum(-1)
    if from_x.max() >= 2**31 or from_h.max() * 2**STATE_BITS >= 2**31:
        return None
    m_w = x.scale * w.scale * 2.0**_GATE_BITS
    # What x's zero point adds to each row, before the bias of the candidate's h.
    shifted = x.zero * w.codes.sum(-1) * m_w
    c: WideArray = layer.bias.reshape(layer.directions, -1) * 2.0**_GATE_BITS
    c[:, : shifted.shape[1]] -= shifted
    if layer.kernel == "gru" and not layer.linear_before_reset:
        rows = shifted.shape[1]
        c[:, rows - layer.hidden : rows] += c[:, rows:]
    if w.is_ternary and r.is_ternary and not x.is_wide:
        m_r = r.scale * 2.0**_GATE_BITS / _OPERAND
        return _narrow(m_w, m_r, c, from_x, from_h * _OPERAND)
    m_r = r.scale * 2.0 ** (_GATE_BITS - STATE_BITS)
    if narrow and not x.is_wide:
        found = _narrow(m_w, m_r, c, from_x, from_h << STATE_BITS, most=2**15 - 1)
        if found is not None and found.m_w.max() >= _FINE:
            return found
    return _integer(m_w, m_r, c)


def _integer(m_w: WideArray, m_r: WideArray, c: WideArray) -> Gates | None:
    largest = max(np.abs(m_w).max(), np.abs(m_r).max())
    for shift in range(31, -1, -1):
        half = 2.0 ** (shift - 1) if shift else 0.0
        if (
            largest * 2.0 ** (16 + shift) < 2**30
            and np.abs(c).max() * 2.0**shift + half < 2**31 - 1
        ):
            scale = 2.0 ** (16 + shift)
            return Gates(
                np.rint(m_w * scale).astype(np.int64), np.rint(m_r * scale).astype(np.int64),
                (np.rint(c * 2.0**shift) + half).astype(np.int64), shift,
            )
    return None


def _narrow(m_w: WideArray, m_r: WideArray, c: WideArray, from_x: IntArray,
             from_h: IntArray, most: int = 2**31 - 1) -> NarrowGates | None:
    """`from_x` and `from_h` bound the sums of every row, `most` bounds m_w."""
    h_shift = max(0, min(16, 30 - int(from_h.max()).bit_length() + 1))
    while int(from_h.max()) << h_shift >= 2**31:
        h_shift -= 1
    rows = m_w.shape[1]
    for shift in range(31, 0, -1):
        w = np.rint(m_w * 2.0**shift)
        r = np.rint(m_r * 2.0 ** (16 + shift))
        b = np.rint(c * 2.0**shift) + 2.0 ** (shift - 1)
        # What h adds to a GRU's candidate has a constant of its own: the last ones.
        extra = np.abs(b[:, rows:]).max(initial=0)
        sums = np.abs(w) * from_x + np.abs(r) * from_h / 65536 + np.abs(b[:, :rows]) + extra + 2
        if (
            sums.max() < min(2.0**31, _FAR * 2.0**shift)
            and np.abs(r).max() * 2.0 ** (16 - h_shift) < 2**31
            and np.abs(w).max() <= most
        ):
            return NarrowGates(w.astype(np.int64), r.astype(np.int64), b.astype(np.int64), shift,
                                h_shift)
    return None
