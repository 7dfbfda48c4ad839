"""Quantization of a layer's input to int8: by absmax at run time, or with a learned step."""

from __future__ import annotations

from typing import Any, Final

from keras import ops

from ternc.qat.keras.gradients import through

ACTIVATIONS: Final = ("none", "int8_dynamic", "int8_static")
"""What `activations=` accepts; `dynamic` and `static` mean the int8 forms."""

START: Final = -1.0 / 16
"""The static step before the first batch in training; negative says that there was none."""

_ALIASES: Final = {"dynamic": "int8_dynamic", "static": "int8_static"}
_LOW, _HIGH = -128.0, 127.0


def activations_named(activations: str | None) -> str:
    """One of `ACTIVATIONS`.

    Raises:
        ValueError: There is no such kind; the message names those that there are.
    """
    kind = activations or "none"
    kind = _ALIASES.get(kind, kind)
    if kind not in ACTIVATIONS:
        raise ValueError(
            f"unknown activations {activations!r}: one of {', '.join(ACTIVATIONS)} expected")
    return kind


def _float32(x: Any) -> Any:
    """For sums and reciprocals, which half precision overflows at."""
    return ops.cast(x, "float32")


def dynamic_int8(x: Any, eps: float, *, sample: bool, training: bool) -> Any:
    """round(clip(x · 127 / max|x|, -128, 127)) · max|x| / 127, as in BitNet b1.58.

    The maximum is over the last axis (a token), or over the sample where `sample` is set
    (convolutions). In training gradients go straight through; at inference there are none, which
    keeps exported graphs to these operations.
    """
    given, x = x, _float32(x)
    axes = tuple(range(1, len(x.shape))) if sample else -1
    factor = _HIGH / ops.maximum(ops.max(ops.abs(x), axis=axes, keepdims=True), eps)
    value = ops.clip(ops.round(x * factor), _LOW, _HIGH) / factor
    value = ops.cast(value, given.dtype)
    return through(given, value) if training else value


def first_step(x: Any, eps: float) -> Any:
    """LSQ's start for a step: 2 · mean|x| / sqrt(127)."""
    mean = ops.mean(ops.abs(_float32(ops.stop_gradient(x))))
    return ops.maximum(2.0 * mean / _HIGH**0.5, eps)


def static_int8(x: Any, step: Any, eps: float, *, training: bool) -> Any:
    """round(clip(x / step, -128, 127)) · step with a learned step, as in LSQ (Esser et al. 2020).

    In training the rounding passes gradients straight through, and the step's gradient is scaled
    by 1 / sqrt(127 · values per sample). A step below `eps` counts as `eps`, and its gradient
    reaches it all the same: an optimizer may overshoot, and has to find back.
    """
    used = ops.maximum(step, eps)
    if training:
        values = ops.cast(ops.prod(ops.shape(x)[1:]), step.dtype)
        used = through(step, used, 1.0 / ops.sqrt(ops.maximum(values, 1.0) * _HIGH))
    used = ops.cast(used, x.dtype)
    ratio = ops.clip(x / used, _LOW, _HIGH)
    rounded = ops.round(ratio)
    return (through(ratio, rounded) if training else rounded) * used
