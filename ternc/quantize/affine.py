"""Affine integers: `real = scale * (code - zero_point)`, as ONNX QuantizeLinear defines them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_WHOLE: Final = 1e-4  # how far from a whole number a multiple may be: binary32 rounds products
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class AffineParameters:
    """One tensor's scale (a binary32 value) and zero point; codes are signed, `bits` wide."""

    scale: float
    zero_point: int
    bits: int = 8

    @property
    def lowest(self) -> int:
        """The smallest code."""
        return -(1 << (self.bits - 1))

    @property
    def highest(self) -> int:
        """The largest code."""
        return (1 << (self.bits - 1)) - 1

    @property
    def dtype(self) -> np.dtype[np.signedinteger]:
        """The numpy type of a code."""
        return np.dtype(np.int8 if self.bits == 8 else np.int16)

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest real value that a code stands for."""
        return (
            (self.lowest - self.zero_point) * self.scale,
            (self.highest - self.zero_point) * self.scale,
        )


def affine_parameters(
    low: float, high: float, *, bits: int = 8, symmetric: bool = False
) -> AffineParameters:
    """Parameters under which [low, high], widened to include 0, has codes.

    scale = (high - low) / (2^bits - 1), zero_point = round(lowest - low / scale): 0 is exact, and
    the ends may lie half a step outside. Symmetric: zero_point = 0 and
    scale = max(-low, high) / (2^(bits-1) - 1).

    Raises:
        ValueError: The range is not finite, is upside down, or is 0 alone.
    """
    assert bits in (8, 16), bits
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"the range [{low}, {high}] is not finite")
    if low > high:
        raise ValueError(f"the range [{low}, {high}] is upside down")
    low, high = min(low, 0.0), max(high, 0.0)
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    exact = max(-low, high) / highest if symmetric else (high - low) / (highest - lowest)
    with np.errstate(over="ignore"):
        scale = float(np.float32(exact))
    if not np.finfo(np.float32).tiny <= scale < math.inf:
        raise ValueError(f"the range [{low}, {high}] has no binary32 scale")
    zero_point = 0 if symmetric else int(np.rint(lowest - low / scale))
    return AffineParameters(scale, min(max(zero_point, lowest), highest), bits)


def quantize(
    values: npt.ArrayLike, parameters: AffineParameters
) -> npt.NDArray[np.signedinteger]:
    """Codes of `values`: round half to even, saturate (ONNX QuantizeLinear, in binary32)."""
    real = np.asarray(values, np.float32)
    codes = np.rint(real / np.float32(parameters.scale)) + np.float32(parameters.zero_point)
    saturated: npt.NDArray[np.float32] = np.clip(codes, parameters.lowest, parameters.highest)
    return saturated.astype(parameters.dtype)


def dequantize(codes: npt.ArrayLike, parameters: AffineParameters) -> npt.NDArray[np.float32]:
    """Real values of `codes` (ONNX DequantizeLinear, in binary32)."""
    offset = np.asarray(codes).astype(np.int32) - parameters.zero_point
    return offset.astype(np.float32) * np.float32(parameters.scale)


@dataclass(frozen=True, slots=True)
class ChannelWeights:
    """int8 codes in [-127, 127] with one scale per slice along `axis` (None: one for all)."""

    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    axis: int | None

    def dequantize(self) -> npt.NDArray[np.float32]:
        """The weights that the codes stand for."""
        scale = self.scale
        if self.axis is not None:
            scale = scale.reshape([-1 if i == self.axis else 1 for i in range(self.codes.ndim)])
        return self.codes.astype(np.float32) * scale


def quantize_weights(weights: npt.ArrayLike, axis: int | None = 0) -> ChannelWeights:
    """Symmetric int8 weights: scale[c] = max|w[c]| / m, codes = round(w / scale).

    m is 127, unless the channel lies on a coarser grid already: if its weights are whole multiples
    of max|w[c]| / m for some m <= 127, as those are that were int8 before, the largest such m
    gives codes that lose nothing. A channel of zeros takes the largest scale of the others (its
    codes are 0 whatever the scale), so that it does not widen the span of a layer's multipliers.

    Raises:
        ValueError: A weight is not finite.
    """
    real = np.asarray(weights, np.float32)
    if not np.isfinite(real).all():
        raise ValueError("a weight is not finite")
    if axis is not None:
        axis %= real.ndim
    others = None if axis is None else tuple(i for i in range(real.ndim) if i != axis)
    largest = np.abs(real).max(axis=others, initial=0.0, keepdims=True).astype(np.float64)
    rows = real.reshape(1, -1) if axis is None else np.moveaxis(real, axis, 0).reshape(
        real.shape[axis], -1)
    levels = _levels(rows, largest.reshape(-1)).reshape(largest.shape)
    scale = usable_scales((largest / levels).astype(np.float32))
    codes = np.clip(np.rint(real / scale), -127, 127).astype(np.int8)
    return ChannelWeights(codes, scale.reshape(() if axis is None else -1), axis)


def _levels(rows: npt.NDArray[np.float32], largest: npt.NDArray[np.float64]
            ) -> npt.NDArray[np.int64]:
    """The largest m <= 127 for each row whose weights are multiples of largest / m, else 127."""
    candidates = np.arange(127, 0, -1)
    found = np.full(len(rows), 127)
    relative = rows / np.where(largest > 0, largest, 1.0)[:, None]

    def whole(multiples: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        off = np.abs(multiples - np.rint(multiples))
        return np.asarray(off.max(axis=-1, initial=0.0) < _WHOLE)

    # a few weights rule out nearly every m
    few = np.linspace(0, max(rows.shape[1] - 1, 0), min(rows.shape[1], _FEW)).astype(np.intp)
    possible = whole(relative[:, None, few] * candidates[:, None])
    for row in np.flatnonzero(possible.any(axis=1)):
        for m in candidates[possible[row]]:
            if whole(relative[row] * m):
                found[row] = m
                break
    return found


def usable_scales(scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`scale` with zeros and subnormals replaced by the largest of them, or by 1."""
    tiny = np.finfo(np.float32).tiny
    largest = scale.max(initial=0.0)
    substitute = largest if largest >= tiny else np.float32(1.0)
    return np.where(scale >= tiny, scale, substitute).astype(np.float32)
