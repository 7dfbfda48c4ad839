"""Requantization constants of ternary dense layers: half as long where that is exact enough.

The constants do not depend on the kernel, so that every kernel gives the same bytes; forms of
the look-up kernels read them as they are, all others in their long form. Sums of int8 weights are
too large: their products with 16 bits leave 32. A convolution has few outputs' constants beside
its weights, and code to read them in a second form would take more than it saves.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ternc.backends.esp32.lower.context import Lowering
from ternc.backends.esp32.lower.forms import IntArray, WideArray
from ternc.backends.esp32.lower.kernel_cost import Choice
from ternc.backends.esp32.program import DType, OperandValue
from ternc.quantize import Requantization, ShortConstants, short_constants

_SHORT: Final = {  # forms of kernels that read short constants
    "dense_i8_t2_lut": "dense_i8_t2_lut_short",
    "dense_i8_t2_lut5": "dense_i8_t2_lut5_short",
}
_SECOND_KERNEL: Final = 1900  # bytes of code: a model rather uses one of the two


def short_form(codes: IntArray, multiplier: WideArray, bias: WideArray, lo: int,
               hi: int) -> ShortConstants | None:
    """The constants of a layer with ternary codes [outputs, inputs], or None where too coarse."""
    plus, minus = (codes > 0).sum(axis=1), (codes < 0).sum(axis=1)
    low, high = -128 * plus - 127 * minus, 127 * plus + 128 * minus
    return short_constants(multiplier, bias, low, high, lo, hi)


def constant_operands(
    ctx: Lowering, name: str, choice: Choice | None, short: ShortConstants | None,
    long: Requantization, linked: Collection[str],
) -> tuple[str | None, dict[str, OperandValue]]:
    """The kernel instead of the chosen one, if there is a better, and the constants' operands.

    `linked` are the kernels of the program so far.
    """
    other = None if choice is None else _SHORT.get(choice.name)
    if short is not None and choice is not None and other is not None:
        saved = short.packed.nbytes  # the long form takes twice as much
        if other in linked or choice.name not in linked or saved > _SECOND_KERNEL:
            packed = ctx.data(f"{name}:k", short.packed, DType.I16)
            return other, {"k": packed, "c_shift": short.c_shift, "shift": short.shift}
    return None, {"m": ctx.data(f"{name}:m", long.m, DType.I32),
                  "c": ctx.data(f"{name}:c", long.c, DType.I32), "shift": int(long.shift)}
