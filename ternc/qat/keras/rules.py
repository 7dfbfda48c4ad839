"""The schemes of `ternc.quantize` in `keras.ops`: the same codes and scales, on any backend.

Rows are (channels, weights of one channel), as there. `ternc.quantize.ternary` has the formulas
with their papers; here is what training needs beside them: the gradient that each paper defines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import keras
from keras import ops

from ternc.quantize import SCHEMES

Tensor: TypeAlias = Any
"""A tensor of whatever backend Keras runs on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A scheme: codes and step of rows, and how gradients pass.

    The scale is `level` times the step; the step is what is learned. `at` gives the codes at a
    given step, None where they do not depend on it. Where `limit` is given, gradients reach only
    weights below `limit` steps, and the step's gradient is LSQ's; otherwise they reach all.
    """

    name: str
    start: Callable[[Tensor], tuple[Tensor, Tensor]]
    at: Callable[[Tensor, Tensor], Tensor] | None = None
    level: float = 1.0
    limit: float | None = None

    @property
    def per_channel(self) -> bool:
        """Whether each output channel has its own scale."""
        return SCHEMES[self.name].per_channel

    def rows(self, kernel: Tensor, channels: int) -> Tensor:
        """A kernel, whose last axes are its output channels, as rows without gradient."""
        kernel = ops.stop_gradient(kernel)
        if not self.per_channel:
            return ops.reshape(kernel, (1, -1))
        return ops.transpose(ops.reshape(kernel, (-1, channels)))


def wide_dtype() -> str:
    """What codes are computed in: float64 as in `ternc.quantize`, where the backend has it."""
    # JAX computes in float32 unless its user said otherwise, and warns when asked for more
    return "float32" if keras.backend.backend() == "jax" else "float64"


def _wide(rows: Tensor) -> Tensor:
    return ops.cast(rows, wide_dtype())


def _ratio(rows: Tensor, step: Tensor) -> Tensor:
    return _wide(rows) / ops.expand_dims(ops.where(step > 0, step, ops.ones_like(step)), 1)


def _round_clip(rows: Tensor, step: Tensor) -> Tensor:
    return ops.round(ops.clip(_ratio(rows, step), -1.0, 1.0))


def _bitnet(rows: Tensor) -> tuple[Tensor, Tensor]:
    step = ops.mean(ops.abs(_wide(rows)), axis=1)
    return _round_clip(rows, step), step


def _above(rows: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Signs of the weights kept, and the mean magnitude of these."""
    rows = _wide(rows)
    mask = ops.cast(kept, rows.dtype)
    count = ops.maximum(ops.sum(mask, axis=1), 1.0)
    return ops.sign(rows) * mask, ops.sum(ops.abs(rows) * mask, axis=1) / count


def _twn(rows: Tensor) -> tuple[Tensor, Tensor]:
    magnitude = ops.abs(_wide(rows))
    return _above(rows, magnitude > 0.7 * ops.mean(magnitude, axis=1, keepdims=True))


# Sorting is exact in float32, and TensorFlow's exporter folds it only while no tensor grows.


def _median(rows: Tensor) -> tuple[Tensor, Tensor]:
    magnitude, count = ops.abs(rows), rows.shape[1]
    # by sorting, because backends differ in what their median of an even count is
    ordered = ops.sort(magnitude, axis=1)
    low, high = (ordered[:, (count - 1) // 2], ordered[:, count // 2])
    middle = (_wide(low) + _wide(high)) / 2
    return _above(rows, _wide(magnitude) > ops.expand_dims(middle, 1))


def _optimal(rows: Tensor) -> tuple[Tensor, Tensor]:
    magnitude, count = ops.abs(rows), rows.shape[1]
    descending = _wide(-ops.sort(-magnitude, axis=1))
    counts = ops.cast(ops.arange(1, count + 1), descending.dtype)
    gain = ops.square(ops.cumsum(descending, axis=1)) / counts
    # of equal maxima the first: the largest smallest weight
    best = ops.equal(gain, ops.max(gain, axis=1, keepdims=True))
    smallest = ops.max(ops.where(best, descending, ops.zeros_like(descending)), axis=1)
    magnitude = _wide(magnitude)
    return _above(rows, (magnitude >= ops.expand_dims(smallest, 1)) & (magnitude > 0))


def _lsq(rows: Tensor) -> tuple[Tensor, Tensor]:
    step = 2.0 * ops.mean(ops.abs(_wide(rows)), axis=1)
    return _round_clip(rows, step), step


def _stretched(rows: Tensor, step: Tensor) -> Tensor:
    return ops.round(ops.clip(_ratio(rows, step), -0.99, 0.99) * 1.5)


def _paretoq(rows: Tensor) -> tuple[Tensor, Tensor]:
    step = _wide(ops.max(ops.abs(rows), axis=1))
    return _stretched(rows, step), step


RULES: Final = MappingProxyType({
    rule.name: rule
    for rule in (
        Rule("bitnet", _bitnet),
        Rule("bitnet_channel", _bitnet),
        Rule("twn", _twn),
        Rule("median", _median),
        Rule("optimal", _optimal),
        Rule("lsq", _lsq, at=_round_clip, limit=1.0),
        Rule("paretoq", _paretoq, at=_stretched, level=2.0 / 3.0, limit=0.99),
    )
})
"""The rule of every scheme of `ternc.quantize.SCHEMES`."""


def rule_named(scheme: str) -> Rule:
    """The rule of a scheme.

    Raises:
        ValueError: There is no such scheme; the message names those that there are.
    """
    if scheme not in RULES:
        raise ValueError(f"unknown scheme {scheme!r}: one of {', '.join(RULES)} expected")
    return RULES[scheme]
