"""Straight-through gradients: exact values forward, the papers' gradients backward.

All are of the form stop(q) + factor · (w - stop(w)): the second term is exactly 0, so that weights
leave here exactly ternary, and has the gradient that is wanted. The more usual w + stop(q - w) is
q only up to rounding.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def through(source: Any, value: Any, factor: Any = None) -> Any:
    """`value` forward; backward its gradient goes to `source`, times `factor` if there is one."""
    nothing = source - ops.stop_gradient(source)
    return ops.stop_gradient(value) + (nothing if factor is None else nothing * factor)


def scaled_codes(
    weight: Any, step: Any, codes: Any, level: float, limit: float | None, learned: Any = None
) -> Any:
    """Codes · level · step forward, with gradients for the weight and for a learned step.

    Without `limit`: dL/dw = g, dL/ds = level · Σ g·codes. With it, as in LSQ (Esser et al. 2020,
    equations 3 and 5) and ParetoQ: dL/dw = g where |w/s| < limit, else 0; dL/ds sums
    g · (level·codes - w/s) there and g · sign(w) elsewhere. The step's gradient is multiplied by
    1 / sqrt(weights per step), LSQ's g for Qp = 1.

    Args:
        weight: the float weights.
        step: in the wide type, shaped to broadcast against the weight.
        codes: shaped as the weight.
        level: the scale is `level` times the step.
        limit: see above.
        learned: the variable that the step was made from, in the step's shape; None where the
            step is not learned.
    """
    codes = ops.cast(codes, weight.dtype)
    # The scale in the wide type and rounded once, as in ternc.quantize.
    value = codes * ops.cast(step * level, weight.dtype)
    if limit is None:
        result, slope = through(weight, value), codes * level
    else:
        small = ops.cast(step, weight.dtype)
        ratio = ops.stop_gradient(weight) / ops.where(small > 0, small, ops.ones_like(small))
        inside = ops.abs(ratio) < limit
        mask = ops.cast(inside, weight.dtype)
        result = ops.stop_gradient(value) + mask * (weight - ops.stop_gradient(weight))
        slope = ops.where(inside, codes * level - ratio, ops.sign(ratio))
    if learned is None:
        return result
    share = (_count(step) / _count(weight)) ** 0.5
    return result + ops.stop_gradient(slope * share) * (learned - ops.stop_gradient(learned))


def _count(tensor: Any) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count
