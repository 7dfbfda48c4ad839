"""The pattern of a quantization by absmax at run time, as BitLinear-style layers have it.

a = max |x| over the last axis, or over all axes but the first; at least epsilon
s = (1 / a) * levels, or levels / a            q = clip(round(x * s)), result q / s
d = a / levels, or a * (1 / levels)            q = clip(round(x / d)), result q * d
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import constant, input_at, scalar, static_shape

# How the scale follows from a = absmax; the numbers are those of the instruction's operand.
RECIPROCAL_TIMES, LEVELS_OVER, OVER_LEVELS, TIMES = range(4)
_MOST: Final = 127.0


@dataclass(frozen=True, slots=True)
class Codes:
    """q = clip(round(x * s), low, high): `scale` is s, or d where `divides`."""

    x: ir.Value
    scale: ir.Value
    divides: bool
    rows: int
    form: int
    levels: float
    epsilon: float
    low: int
    high: int


def match_result(value: ir.Value, *, transposed: bool = False) -> Codes | None:
    """The quantization that `value` is the result of, None when it is something else.

    With `transposed`, the maximum may be that of the whole tensor before a Transpose.
    """
    node = _made_by(value, "Div", "Mul")
    if node is None:
        return None
    for place in (0, 1) if node.op_type == "Mul" else (0,):
        codes, scale = node.inputs[place], node.inputs[1 - place]
        found = match_codes(codes, transposed=transposed) if codes is not None else None
        # q / s undoes x * s, q * d undoes x / d
        if found is not None and found.scale is scale and found.divides == (node.op_type == "Mul"):
            return found
    return None


def match_codes(value: ir.Value, *, transposed: bool = False) -> Codes | None:
    """The quantization whose codes q `value` is, None when it is something else."""
    low, high = -128.0, 127.0
    node = _made_by(value, "Clip")
    if node is not None:
        bounds = scalar(input_at(node, 1)), scalar(input_at(node, 2))
        if bounds[0] is None or bounds[1] is None or node.inputs[0] is None:
            return None
        (low, high), value = (bounds[0], bounds[1]), node.inputs[0]
    if not (-128 <= low <= high <= 127) or low % 1 or high % 1:
        return None
    rounding = _made_by(value, "Round")
    scaling = _made_by(rounding.inputs[0], "Mul", "Div") if rounding is not None else None
    if scaling is None:
        return None
    for place in (0, 1) if scaling.op_type == "Mul" else (0,):
        x, scale = scaling.inputs[place], scaling.inputs[1 - place]
        if x is None or scale is None:
            continue
        found = _scale(x, scale, divides=scaling.op_type == "Div")
        before = _made_by(x, "Transpose") if transposed else None
        if found is None and before is not None and before.inputs[0] is not None:
            found = _scale(before.inputs[0], scale, divides=scaling.op_type == "Div")
            found = found if found is not None and found[0] == 1 else None
        if found is None:
            continue
        rows, form, levels, epsilon = found
        # without a Clip, no code may exceed 8 bits
        if node is None and form != TIMES and levels > _MOST:
            return None
        return Codes(x, scale, scaling.op_type == "Div", rows, form, levels, epsilon, int(low),
                     int(high))
    return None


def _scale(
    x: ir.Value, scale: ir.Value, *, divides: bool
) -> tuple[int, int, float, float] | None:
    """(rows, form, levels, epsilon) of `scale`, which must come from max |x|."""
    node = _made_by(scale, "Mul", "Div")
    if node is None:
        return None
    first, second = node.inputs[0], node.inputs[1]
    if node.op_type == "Div" and not divides:
        levels, magnitude, form = scalar(first), second, LEVELS_OVER
    elif node.op_type == "Div":
        levels, magnitude, form = scalar(second), first, OVER_LEVELS
    else:
        levels, magnitude = scalar(second), first
        if levels is None:
            levels, magnitude = scalar(first), second
        form = TIMES
        if not divides:
            inverse = _made_by(magnitude, "Reciprocal")
            if inverse is None:
                return None
            magnitude, form = inverse.inputs[0], RECIPROCAL_TIMES
    if levels is None or magnitude is None or levels <= 0:
        return None
    found = _absmax(x, magnitude)
    return None if found is None else (found[0], form, levels, found[1])


def _absmax(x: ir.Value, value: ir.Value) -> tuple[int, float] | None:
    """(rows, epsilon) when `value` is max(max |x| over each row, epsilon)."""
    epsilon = 0.0
    node = _made_by(value, "Clip", "Max")
    if node is not None:
        given = scalar(input_at(node, 1))
        inner = node.inputs[0]
        if node.op_type == "Max" and given is None:
            given, inner = scalar(inner), input_at(node, 1)
        if given is None or inner is None or given < 0 or (len(node.inputs) > 2 and (
                node.op_type == "Max" or node.inputs[2] is not None)):
            return None
        epsilon, value = given, inner
    reduce = _made_by(value, "ReduceMax", "GlobalMaxPool")
    absolute = _made_by(reduce.inputs[0], "Abs") if reduce is not None else None
    if reduce is None or absolute is None or absolute.inputs[0] is not x:
        return None
    rows = _rows(reduce, static_shape(x))
    return None if rows is None else (rows, epsilon)


def _rows(reduce: ir.Node, shape: tuple[int, ...] | None) -> int | None:
    """How many rows of contiguous elements have a maximum of their own."""
    if shape is None or not shape or not reduce.attributes.get_int("keepdims", 1):
        return None
    axes = constant(input_at(reduce, 1))
    rank = len(shape)
    if reduce.op_type == "GlobalMaxPool":
        axes = np.arange(2, rank)
    given = list(range(rank)) if axes is None else [int(a) % rank for a in np.ravel(axes)]
    reduced = {axis for axis in given if shape[axis] != 1}
    kept = [axis for axis in range(rank) if shape[axis] != 1 and axis not in reduced]
    # the axes that are kept must all be outside those that are reduced
    if reduced and kept and max(kept) > min(reduced):
        return None
    return int(np.prod([shape[axis] for axis in kept], dtype=np.int64))


def _made_by(value: ir.Value | None, *operators: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in operators:
        return None
    return node


def nodes_between(result: ir.Value, x: ir.Value) -> set[ir.Node]:
    """The nodes that compute `result` from `x`."""
    found: set[ir.Node] = set()
    pending = [result.producer()]
    while pending:
        node = pending.pop()
        if node is None or node in found:
            continue
        found.add(node)
        pending += [v.producer() for v in node.inputs if v is not None and v is not x]
    return found
