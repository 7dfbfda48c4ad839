"""Functions of an int16 number as nodes that table_i16 interpolates between.

The 2^16 numbers are cut into 64 segments of 1024. In each, nodes lie 2^step apart, with the
largest step for which every number of the segment gets a result within `TOLERANCE` of the exact
one: all are tried, so that is a proven bound. Nodes have 4 fraction bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Quantization
from ternc.backends.esp32.lower.forms import Buffer, FloatArray, IntArray, Lazy, Table, WideArray
from ternc.backends.esp32.lower.wide import LOWEST, widened_buffer
from ternc.backends.esp32.program import DType

TOLERANCE: Final = 0.8
"""In output steps, before the exact value is rounded: then the two differ by 1 at most, as float32
is nowhere 0.7 of a step off."""

_SEGMENT_BITS: Final = 10
_SEGMENT: Final = 1 << _SEGMENT_BITS
_FRACTION: Final = 4
_MOST_NODES: Final = 8192  # 32 KiB of flash


@dataclass(frozen=True, slots=True)
class Interpolation:
    """`segments[u >> 10] = first << 4 | step`, u being the number plus 2^15, and the nodes."""

    segments: IntArray
    nodes: IntArray

    def __call__(self, numbers: npt.ArrayLike, most: int) -> IntArray:
        """What table_i16 computes, at most `most`."""
        u = np.asarray(numbers, np.int64) - LOWEST
        segment = self.segments[u >> _SEGMENT_BITS]
        step, inside = segment & 15, u & (_SEGMENT - 1)
        at = (segment >> 4) + (inside >> step)
        values = _between(self.nodes[at], self.nodes[at + 1], inside & ((1 << step) - 1), step)
        result: IntArray = np.minimum(values, most)
        return result


def _between(
    low: IntArray, high: IntArray, part: IntArray, step: IntArray | int
) -> IntArray:
    half = (1 << np.asarray(step, np.int64)) >> 1
    fine = low + (((high - low) * part + half) >> step)
    result: IntArray = (fine + (1 << (_FRACTION - 1))) >> _FRACTION
    return result


def interpolate(exact: WideArray, most: int) -> Interpolation | None:
    """The coarsest nodes for `exact[u]`, in output steps within -most-1..most; None: too many."""
    # The node behind the last number continues the line.
    beyond = np.clip(2 * exact[-1] - exact[-2], -most - 1, most + 1)
    fine = np.rint(np.append(exact, beyond) * (1 << _FRACTION)).astype(np.int64)
    segments = np.zeros(exact.size >> _SEGMENT_BITS, np.int64)
    nodes: list[IntArray] = []
    known: dict[bytes, int] = {}
    used = 0
    inside = np.arange(_SEGMENT)
    for index in range(segments.size):
        start = index << _SEGMENT_BITS
        wanted = exact[start : start + _SEGMENT]
        for step in range(_SEGMENT_BITS, -1, -1):
            own = fine[start : start + _SEGMENT + 1 : 1 << step]
            place = inside >> step
            got = _between(own[place], own[place + 1], inside & ((1 << step) - 1), step)
            if np.abs(np.minimum(got, most) - wanted).max() <= TOLERANCE:
                break
        key = own.tobytes()
        if key not in known:
            known[key] = used
            nodes.append(own)
            used += own.size
        if used > _MOST_NODES:
            return None
        segments[index] = known[key] << 4 | step
    return Interpolation(segments, np.concatenate(nodes))


def exact_steps(form: Lazy, real: FloatArray, q: Quantization) -> WideArray:
    """The results in output steps, not rounded, by the number plus 2^15.

    An int8 number is taken times 256: each one is the first of its 256, and lies on a node where
    those are no denser; the line between is never used.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        steps = real.astype(np.float64) / np.float64(np.float32(q.scale)) + q.zero
    steps = np.clip(np.nan_to_num(steps, nan=float(q.zero)), q.lo, q.hi)
    steps = np.roll(steps, steps.size // 2)  # they come in the order of the bits
    if form.is_wide:
        return steps
    return np.interp(np.arange(1 << 16), np.arange(steps.size) * 256, steps)


def emit_interpolated(
    ctx: Lowering, node: ir.Node, form: Table, value: ir.Value, q: Quantization
) -> Buffer | None:
    """A function of a quantized tensor, int16 at one end at least; None: it needs floats."""
    found = interpolate(exact_steps(form, form.values, q), 2 ** (8 * q.dtype.size - 1) - 1)
    if found is None:
        return None
    source = form.buffer
    if not form.is_wide:
        source = widened_buffer(ctx, node, source, 0, gain=256)
    output = ctx.new(value.name or "y", q.dtype, source.layout, q.offset)
    ctx.emit("table_i16", node, x=source.tensor, y=output.tensor, count=prod(source.layout.shape),
             segments=ctx.data(f"{node.name}:segments", found.segments, DType.I32),
             nodes=ctx.data(f"{node.name}:nodes", found.nodes, DType.I32))
    return output
