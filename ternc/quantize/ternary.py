"""Ternarization schemes: float weights to codes -1, 0, 1 and a scale.

Each scheme is a function of its paper's formula. `lsq` and `paretoq` learn the scale during
training; here is the value that their papers start from, which is also what post-training use
gets. All are shared by the QAT wrappers, whose forward pass must give these very codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from ternc.quantize.affine import usable_scales

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TernaryWeights:
    """Codes -1, 0, 1 and their scale: a scalar, or one per slice along `axis`."""

    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    axis: int

    def dequantize(self) -> npt.NDArray[np.float32]:
        """The weights that codes and scale stand for."""
        scale = self.scale
        if scale.ndim:
            scale = scale.reshape([-1 if i == self.axis else 1 for i in range(self.codes.ndim)])
        return self.codes.astype(np.float32) * scale


@dataclass(frozen=True, slots=True)
class Scheme:
    """A rule and whether it is applied to each output channel or to the tensor as a whole.

    `rule` maps rows (channels, weights of one channel) to codes and one scale per row.
    """

    name: str
    per_channel: bool
    rule: Callable[[Array], tuple[Array, Array]]


def _round_clip(values: Array, scale: Array) -> Array:
    """round(clip(w / s, -1, 1)), half to even; an all-zero row stays zero."""
    safe = np.where(scale > 0, scale, 1.0)[:, None]
    return np.rint(np.clip(values / safe, -1.0, 1.0))


def _bitnet(rows: Array) -> tuple[Array, Array]:
    """BitNet b1.58 (Ma et al. 2024): gamma = mean|w|, w~ = round(clip(w / gamma, -1, 1)).

    The weight used is gamma * w~.
    """
    scale = np.abs(rows).mean(axis=1)
    return _round_clip(rows, scale), scale


def _twn(rows: Array) -> tuple[Array, Array]:
    """TWN (Li, Zhang, Liu 2016), for each filter: delta = 0.7 * mean|w|.

    w~ = sign(w) where |w| > delta, else 0; alpha = mean of |w| over |w| > delta, which is the
    scale of least squared error for these codes.
    """
    return _threshold(rows, 0.7 * np.abs(rows).mean(axis=1))


def _median(rows: Array) -> tuple[Array, Array]:
    """The TWN rule with delta = median|w|, so that about half of the weights are zero.

    No paper defines it: it is the threshold that BitNeural32 exports with, here together with
    the least-squares scale alpha = mean of |w| over |w| > delta.
    """
    return _threshold(rows, np.median(np.abs(rows), axis=1))


def _threshold(rows: Array, delta: Array) -> tuple[Array, Array]:
    """sign(w) where |w| > delta, with the optimal scale mean(|w| : |w| > delta)."""
    magnitude = np.abs(rows)
    kept = magnitude > delta[:, None]
    scale = (magnitude * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    return np.sign(rows) * kept, scale


def _optimal(rows: Array) -> tuple[Array, Array]:
    """The exact minimum of sum (w - alpha * w~)^2 over all codes and scales, for each filter.

    For k weights kept, the best are the k largest and alpha is their mean magnitude; the error is
    then sum w^2 - (sum of the k largest)^2 / k, so k maximises the last term (TWN's equation 5,
    solved by sorting instead of approximated by 0.7 * mean|w|).
    """
    magnitude = np.abs(rows)
    descending = -np.sort(-magnitude, axis=1)
    sums = np.cumsum(descending, axis=1)
    counts = np.arange(1, rows.shape[1] + 1)
    best = np.argmax(sums**2 / counts, axis=1)
    each = np.arange(len(rows))
    # >= keeps ties of the smallest kept weight on one side, which costs nothing at the optimum
    kept = (magnitude >= descending[each, best][:, None]) & (magnitude > 0)
    return np.sign(rows) * kept, (magnitude * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)


def _lsq(rows: Array) -> tuple[Array, Array]:
    """LSQ (Esser et al. 2020): w~ = round(clip(w / s, -Qn, Qp)) with Qn = Qp = 1 for ternary.

    s is learned, from s = 2 * mean|w| / sqrt(Qp) = 2 * mean|w|.
    """
    scale = 2.0 * np.abs(rows).mean(axis=1)
    return _round_clip(rows, scale), scale


def _paretoq(rows: Array) -> tuple[Array, Array]:
    """ParetoQ's stretched elastic quantizer (Liu et al. 2025), k = 3 levels, for each row.

    w^ = alpha * round(clip(w / alpha, -c, c) * k/2) * 2/k with c = 0.99, so codes are
    round(1.5 * clip(w / alpha)) and the scale is 2/3 * alpha; alpha is learned, from max|w|.
    """
    alpha = np.abs(rows).max(axis=1, initial=0.0)
    safe = np.where(alpha > 0, alpha, 1.0)[:, None]
    return np.rint(np.clip(rows / safe, -0.99, 0.99) * 1.5), alpha * (2.0 / 3.0)


SCHEMES: Final = MappingProxyType({
    scheme.name: scheme
    for scheme in (
        Scheme("bitnet", False, _bitnet),
        Scheme("bitnet_channel", True, _bitnet),
        Scheme("twn", True, _twn),
        Scheme("median", True, _median),
        Scheme("optimal", True, _optimal),
        Scheme("lsq", False, _lsq),
        Scheme("paretoq", True, _paretoq),
    )
})
"""Ternarization schemes by name; `bitnet` is the default in training."""


def ternarize(
    weights: npt.ArrayLike, scheme: str = "bitnet", axis: int = 0
) -> TernaryWeights:
    """Codes and scale of `weights` under `scheme`; `axis` is the output channel.

    bitnet: s = mean|w|, codes = round(clip(w / s, -1, 1)), one s. bitnet_channel: the same for
    each channel. twn: sign(w) where |w| > 0.7 * mean|w|, s = mean of |w| there, for each channel.
    median: the same with median|w| as threshold. optimal: the codes and scale of least squared
    error, for each channel. lsq: s = 2 * mean|w|, codes as bitnet's, one s.
    paretoq: codes = round(1.5 * clip(w / max|w|)), s = 2/3 * max|w|, for each channel.

    Weights that are all zero get codes 0 and a scale without effect.

    Raises:
        ValueError: The scheme is unknown, there are no weights, or one is not finite.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}: one of {', '.join(SCHEMES)} expected")
    real = np.asarray(weights, np.float64)
    if real.size == 0:
        raise ValueError("there are no weights")
    if not np.isfinite(real).all():
        raise ValueError("a weight is not finite")
    chosen = SCHEMES[scheme]
    if not chosen.per_channel:
        codes, scale = chosen.rule(real.reshape(1, -1))
        shaped, scale = codes.reshape(real.shape), scale.reshape(())
    else:
        moved = np.moveaxis(real, axis, 0)
        codes, scale = chosen.rule(moved.reshape(moved.shape[0], -1))
        shaped = np.ascontiguousarray(np.moveaxis(codes.reshape(moved.shape), 0, axis))
    return TernaryWeights(
        shaped.astype(np.int8), usable_scales(scale.astype(np.float32)), axis % max(real.ndim, 1)
    )
