"""Which weights are ternary, which almost are: numpy in, numpy out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ternc.passes._graph import Array

# w + (q - w) in float32, the straight-through estimator, misses q by half a unit in the last place
# of w, and latent weights are up to 8 scales large: 4 units of the scale, on either side, and as
# much again in reserve. No weight that was not quantized comes so near to its level.
ULPS: Final = 16
# Fewer weights than this in a channel lie on three levels by chance; so many that share their
# channel's magnitude with another one, over all channels, do not.
ENOUGH: Final = 4
NEAR: Final = 0.01


@dataclass(frozen=True, slots=True)
class Ternary:
    """weights = codes · scale, codes in {-1, 0, 1}, one scale per output channel."""

    codes: Array
    scale: Array


def ternary(weights: Array, axis: int, enough: int = ENOUGH) -> Ternary | None:
    """The ternary form of `weights` with output channels along `axis`, None if there is none.

    Tries one scale for the whole tensor, then one per output channel; channels of fewer than
    `enough` weights are ternary where they have equal magnitudes to show for it. Values may be
    `ULPS` units in the last place apart; the scale is the most frequent one. A channel of zeros
    is ternary, with scale 1.
    """
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    scale = _scales(rows.reshape(1, -1)) if rows.size >= ENOUGH else None
    if scale is None and (rows.shape[1] >= enough or _coincidences(rows) >= ENOUGH):
        scale = _scales(rows)
    if scale is None:
        return None
    scale = np.broadcast_to(scale, rows.shape[:1]).astype(weights.dtype)
    shaped = scale.reshape([-1 if dim == axis else 1 for dim in range(weights.ndim)])
    codes = np.where(np.abs(weights) > shaped / 2, np.sign(weights), 0).astype(np.int8)
    return Ternary(codes, scale)


def _scales(rows: Array) -> Array | None:
    """One level per row, None when a value is on no level."""
    size = np.abs(rows)
    top = size.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        slack = ULPS * np.spacing(top)
        on = (size >= top - slack) & (top > 0)
        off = size <= slack
    if not np.all(on | off) or not np.all(np.isfinite(top)):
        return None
    scales = np.ones(len(rows), rows.dtype)
    for index in range(len(rows)):
        levels, counts = np.unique(size[index][on[index]], return_counts=True)
        if levels.size:
            scales[index] = levels[np.argmax(counts)]
    return scales


def _coincidences(rows: Array) -> int:
    """Weights beside the first of each row that have its largest magnitude."""
    size = np.abs(rows)
    top = size.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        on = (size >= top - ULPS * np.spacing(top)) & (top > 0)
    return int(np.maximum(on.sum(axis=1) - 1, 0).sum())


def near_ternary(weights: Array, axis: int) -> float:
    """The share of weights within 1 % of {-s, 0, s}, for the best s per tensor or channel.

    Zero when most of that share are zeros: such a tensor is sparse, not ternary.
    """
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    if rows.size < ENOUGH * ENOUGH or not np.all(np.isfinite(rows)):
        return 0.0
    whole = _near(rows.reshape(-1))
    if rows.shape[1] < ENOUGH * 2:
        return whole / rows.size
    return max(whole, sum(_near(row) for row in rows)) / rows.size


def _near(values: Array) -> int:
    size = np.sort(np.abs(values))
    levels = np.unique(size[size > 0])
    if not levels.size:
        return int(size.size)
    above = np.searchsorted(size, levels * (1 + NEAR), side="right")
    below = np.searchsorted(size, levels * (1 - NEAR), side="left")
    zeros = np.searchsorted(size, levels * NEAR, side="right")
    on = above - below
    useful = 2 * on >= size.size - zeros
    return int(np.max(np.where(useful, on + zeros, 0)))
