"""Requantization constants in 32 bits for each output, half of what m and c take as int32.

    y = clamp((acc*m + (c << c_shift)) >> (shift + e), lo, hi)

with m of 16 bits, of which the lowest two are e besides, and c of 16. It is the one definition
(requantization.py) for M = m << (15 - e), C = c << (c_shift - 1 - e) and the shift less one. c
makes up for what the rounding of m does in the middle of a channel's range of outputs, so that the
error grows from there: biases may be thousands of output units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from ternc.quantize.requantization import Requantization

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

# Of an output unit, before rounding. Beyond a tenth, integers would be further from what was
# rounded than validation allows of any layer.
MOST_ERROR: Final = 0.09
_SHIFTS: Final = range(28, 0, -1)
_C_SHIFTS: Final = range(4, 17)
_EXPONENTS: Final = 4
# A coarse c is met better by another m: its step moves the middle of the range by little.
_BESIDE: Final = range(-3, 4)


@dataclass(frozen=True, slots=True)
class ShortConstants:
    """Per-channel `m` and `c`, and the layer's shifts.

    `error` bounds |(acc*m + (c << c_shift)) / 2^(shift+e) - 1/2 - (acc*multiplier + bias)| in
    output units, wherever the output can hold the result.
    """

    m: Integers
    c: Integers
    c_shift: int
    shift: int
    error: float

    @property
    def packed(self) -> npt.NDArray[np.int16]:
        """[channels, 2]: m, whose bits are those of a uint16, and c."""
        return np.stack([self.m.astype(np.uint16).view(np.int16), self.c.astype(np.int16)], 1)

    def long(self) -> Requantization:
        """The same constants for kernels that take m and c of 32 bits: the same bytes."""
        e = self.m & (_EXPONENTS - 1)
        return Requantization((self.m << (15 - e)).astype(np.int32),
                              (self.c << (self.c_shift - 1 - e)).astype(np.int32),
                              self.shift - 1, self.error)


def short_constants(
    multipliers: npt.ArrayLike, bias: npt.ArrayLike, acc_low: npt.ArrayLike,
    acc_high: npt.ArrayLike, lo: int, hi: int, most_error: float = MOST_ERROR,
) -> ShortConstants | None:
    """Constants under which y is round(acc * multiplier + bias), or None where too coarse.

    No intermediate leaves 32 bits for any acc from `acc_low` to `acc_high`.

    Args:
        multipliers: Output units per accumulator unit.
        bias: In output units, the output's zero point included.
        acc_low: Smallest accumulator of each channel, at most 0.
        acc_high: Largest, at least 0.
        lo: Smallest output.
        hi: Largest.
        most_error: In output units, below 1/2.
    """
    scale, offset, low, high = (np.array(a) for a in np.broadcast_arrays(
        np.atleast_1d(np.asarray(multipliers, np.float64)), np.asarray(bias, np.float64),
        np.asarray(acc_low, np.float64), np.asarray(acc_high, np.float64)))
    if not (np.isfinite(scale).all() and np.isfinite(offset).all()) or (scale < 0).any():
        return None
    # Outputs that are always the lowest or the highest need no multiplier.
    always_lo, always_hi = scale * high + offset <= lo, scale * low + offset >= hi
    scale[always_lo | always_hi | (low == high)] = 0
    offset[always_lo], offset[always_hi] = lo, hi

    channels = _Channels(scale, offset, low, high, lo, hi)
    # From the largest shift that fits all channels: after so many more, each has had its own.
    found = (c for c in (_at(channels, shift) for shift in _SHIFTS) if c is not None)
    best = _best(islice(found, _EXPONENTS))
    return best if best is not None and best.error <= most_error else None


@dataclass(frozen=True, slots=True)
class _Channels:
    scale: Reals
    offset: Reals
    low: Reals
    high: Reals
    lo: int
    hi: int

    def relevant(self) -> tuple[Reals, Reals]:
        """Between which accumulators the output is not surely clamped."""
        slope = np.where(self.scale > 0, self.scale, 1)
        first = np.maximum(self.low, (self.lo - 0.5 - self.offset) / slope)
        last = np.minimum(self.high, (self.hi + 0.5 - self.offset) / slope)
        still = self.scale == 0
        return np.where(still, 0, first), np.where(still, 0, last)


def _at(channels: _Channels, shift: int) -> ShortConstants | None:
    """The best constants with the layer's shift, or None where none fit."""
    first, last = channels.relevant()
    scale, still = channels.scale, channels.scale == 0
    # What follows is [exponent and m's place beside the nearest, channel].
    e, beside = (np.ravel(a)[:, None] for a in np.meshgrid(np.arange(_EXPONENTS), _BESIDE))
    unit = np.ldexp(1.0, shift + e)
    m = np.maximum(np.rint((scale * unit - e) / _EXPONENTS) + beside, 0) * _EXPONENTS + e
    m = np.where(still, 0.0, m)
    fits = (m < 2**16) & ~(still & (e > 0))
    steeper = m / unit - scale
    # c takes the mean of the deviations at both ends.
    ideal = (channels.offset + 0.5 - steeper * (first + last) / 2) * unit
    error = np.abs(steeper) * (last - first) / 2
    return _best(_with(channels, m, fits, error, ideal, unit, shift, c_shift)
                 for c_shift in _C_SHIFTS)


def _best(found: Iterable[ShortConstants | None]) -> ShortConstants | None:
    return min((f for f in found if f is not None), key=lambda f: f.error, default=None)


def _with(channels: _Channels, m: Reals, fits: npt.NDArray[np.bool_], error: Reals, ideal: Reals,
          unit: Reals, shift: int, c_shift: int) -> ShortConstants | None:
    """Each channel's best m and exponent; float64 holds products and sums exactly."""
    c = np.rint(np.ldexp(ideal, -c_shift))
    constant = np.ldexp(c, c_shift)
    furthest = np.maximum(np.abs(channels.low * m + constant),
                          np.abs(channels.high * m + constant))
    fits = fits & (np.abs(c) < 2**15) & (furthest < 2**31)
    error = np.where(fits, error + np.abs(constant - ideal) / unit, np.inf)
    pick = np.argmin(error, axis=0)[None]
    worst = float(np.take_along_axis(error, pick, 0).max(initial=0.0))
    if not np.isfinite(worst):
        return None
    best_m, best_c = (np.take_along_axis(a, pick, 0)[0].astype(np.int64) for a in (m, c))
    return ShortConstants(best_m, best_c, c_shift, shift, worst)
