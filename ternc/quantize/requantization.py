"""Requantization, the one definition: y = clamp((acc*m + (c << 16)) >> (16 + shift), lo, hi)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_INT32 = 2**31
_WIDE = 2**62  # of |acc*m|, so that |c| << 16 still fits 63 bits beside it
_MAX_SHIFT = 31


class RequantizationError(ValueError):
    """No constants compute the layer to within 1."""


@dataclass(frozen=True, slots=True)
class Requantization:
    """Per-channel `m` (even) and `c`, and the layer's `shift`, which is at least 1.

    `error` bounds |(acc*m + (c << 16)) / 2^(16+shift) - 1/2 - (acc*multiplier + bias)| in output
    units wherever the output type can hold the result; below 1/2, the result is within 1 of the
    rounded exact value, and differs from it only within `error` of a tie.
    """

    m: npt.NDArray[np.int32]
    c: npt.NDArray[np.int32]
    shift: int
    error: float


def requantize_constants(
    multipliers: npt.ArrayLike,
    bias: npt.ArrayLike,
    acc_bound: npt.ArrayLike,
    *,
    output_bits: int = 8,
    max_shift: int = _MAX_SHIFT,
    wide: bool = False,
) -> Requantization:
    """Constants under which y is round(acc * multiplier + bias), one per channel.

    m = 2 * round(multiplier * 2^(15+shift)) and c = round(bias * 2^shift) + 2^(shift-1), with the
    largest shift for which, in every channel, |m| < 2^31, c is an int32 and, over all
    |acc| <= acc_bound, |floor(acc*m / 2^16) + c| < 2^31; or, where the kernel is `wide` and
    computes all of it in 64 bits, |acc*m| < 2^62. A channel whose accumulator is always 0
    needs no multiplier and gets m = 0.

    Args:
        multipliers: Output units per accumulator unit; may be negative or 0.
        bias: In output units, the output's zero point included.
        acc_bound: Largest |acc|, below 2^31 (wide: 2^62).
        output_bits: Width of the output type. Results beyond it are clamped, whatever they are,
            so accuracy is demanded only inside.
        max_shift: Upper limit of the shift, for a kernel that needs headroom.
        wide: The kernel keeps accumulators and their products in 64 bits: int16 needs constants
            finer than 32 bits leave room for.

    Raises:
        RequantizationError: No shift fits, or the one that fits is too coarse to be within 1; the
            text names the channel.
    """
    assert 1 <= max_shift <= _MAX_SHIFT, max_shift
    scale, offset, bound = np.broadcast_arrays(
        np.atleast_1d(np.asarray(multipliers, np.float64)),
        np.atleast_1d(np.asarray(bias, np.float64)),
        np.atleast_1d(np.asarray(acc_bound, np.int64)),
    )
    _check(~np.isfinite(scale), scale, "the multiplier {} is not finite")
    _check(~np.isfinite(offset), offset, "the bias {} is not finite")
    _check((bound < 0) | (bound >= (_WIDE if wide else _INT32)), bound,
           "the accumulator bound {} does not fit")
    scale = np.where(bound == 0, 0.0, scale)

    failure = ""
    for shift in range(max_shift, 0, -1):
        m, c = _constants(scale, offset, shift)
        failure = _overflow(m, c, bound, wide)
        if not failure:
            break
    else:
        raise RequantizationError(f"{failure}, even at the smallest shift")
    error = _error(scale, offset, bound, m, shift, output_bits)
    _check(
        error >= 0.5, scale,
        f"the multiplier {{}} beside the others of its layer leaves a shift of only {shift}, "
        "too coarse for an exact result",
    )
    return Requantization(
        m.astype(np.int32), c.astype(np.int32), shift, float(error.max(initial=0.0))
    )


def _check(bad: npt.NDArray[np.bool_], values: npt.NDArray[np.generic], message: str) -> None:
    if bad.any():
        channel = int(np.argmax(bad))
        raise RequantizationError(f"channel {channel}: {message.format(values[channel])}")


def _constants(
    scale: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], shift: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gives m and c as exact integers in float64, where too large ones cannot wrap."""
    with np.errstate(over="ignore"):
        m = 2.0 * np.rint(np.ldexp(scale, 15 + shift))
        c = np.rint(np.ldexp(offset, shift)) + 2.0 ** (shift - 1)
    return m, c


def _overflow(
    m: npt.NDArray[np.float64], c: npt.NDArray[np.float64], bound: npt.NDArray[np.int64],
    wide: bool,
) -> str:
    """Which channel breaks which limit, or the empty string: the proof by interval arithmetic."""
    too_large = np.abs(m) >= _INT32
    if too_large.any():
        return f"channel {int(np.argmax(too_large))}: the multiplier does not fit in 31 bits"
    too_far = (c < -_INT32) | (c >= _INT32)
    if too_far.any():
        return f"channel {int(np.argmax(too_far))}: the bias does not fit in 32 bits"
    if wide:
        # In float64 the product is off by less than 2^10.
        too_wide = np.abs(m) * bound.astype(np.float64) > _WIDE
        if too_wide.any():
            return f"channel {int(np.argmax(too_wide))}: the product leaves 63 bits"
        return ""
    # |m| < 2^31 and bound < 2^31, so the product is below 2^62.
    product = np.abs(m).astype(np.int64) * bound
    constant = c.astype(np.int64)
    highest = (product >> 16) + constant
    lowest = (-product >> 16) + constant
    overflows = (highest >= _INT32) | (lowest <= -_INT32)
    if overflows.any():
        return f"channel {int(np.argmax(overflows))}: the accumulator leaves 32 bits"
    return ""


def _error(
    scale: npt.NDArray[np.float64], offset: npt.NDArray[np.float64],
    bound: npt.NDArray[np.int64], m: npt.NDArray[np.float64], shift: int, output_bits: int,
) -> npt.NDArray[np.float64]:
    """Per channel, the largest deviation before rounding, over accumulators that matter."""
    magnitude = np.abs(scale)
    # Surely clamped; 8 bits may be an unsigned type.
    largest = 2.0 ** (output_bits + 1) if output_bits == 8 else 1.01 * 2.0 ** (output_bits - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        saturating = np.where(magnitude > 0, (largest + np.abs(offset)) / magnitude, np.inf)
    relevant = np.minimum(bound.astype(np.float64), saturating)
    slope = np.abs(np.ldexp(m, -(16 + shift)) - scale)
    constant = np.abs(np.ldexp(np.rint(np.ldexp(offset, shift)), -shift) - offset)
    return np.asarray(relevant * slope + constant)


def requantize(
    acc: npt.ArrayLike, constants: Requantization, lo: int, hi: int, axis: int = -1
) -> npt.NDArray[np.int32]:
    """The definition in numpy: what every kernel must give; channels are along `axis`."""
    wide = np.moveaxis(np.atleast_1d(np.asarray(acc, np.int64)), axis, -1)
    m, c = constants.m.astype(np.int64), constants.c.astype(np.int64)
    result = np.clip((wide * m + (c << 16)) >> (16 + constants.shift), lo, hi)
    return np.moveaxis(result.astype(np.int32), -1, axis)
