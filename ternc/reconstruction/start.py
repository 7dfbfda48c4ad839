"""Ternary W and R of recurrent layers by the error of the gates: where the descent starts.

Each gate row is fitted so that its value before the activation is that of the float layer, each
step weighted by the activation's slope there: an error where the gate is saturated does not
matter. W and R have a scale of their own and are fitted in turn, each to what the other leaves;
the mean error goes into the bias. The states that R reads are at first the float layer's, then
those of the layer just fitted, so that later rounds correct what the state has drifted. The round
whose states differ least from the float layer's is taken; thresholds compete too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ternc.quantize import SCHEMES
from ternc.quantize.reconstruction import reconstruct_weights
from ternc.reconstruction.cells import Cell, Trace, simulate

Array = npt.NDArray[np.floating[Any]]

_WORK: Final = 2e10  # multiplications for the Gram matrices of one fit
_GRAMS: Final = 2**22  # values of Gram matrices in memory at once
_PAIRS: Final = 2**17  # products of two inputs: what a cache holds
_ROUNDS: Final = 3
_DAMPING: Final = (0.01, 0.1)
_FLOOR: Final = 0.05  # of the mean weight, so that saturated steps still count a little
_THRESHOLDS: Final = ("optimal", "twn", "bitnet_channel")


@dataclass(frozen=True, slots=True)
class Codes:
    """One direction: codes of W and R [rows, columns], a scale for each row, and the bias."""

    w: Array
    w_scale: Array
    r: Array
    r_scale: Array
    w_bias: Array

    def cell(self, like: Cell) -> Cell:
        """The cell with these weights."""
        return replace(like, w=self.w * self.w_scale[:, None], r=self.r * self.r_scale[:, None],
                       w_bias=self.w_bias)


def fit_gates(cell: Cell, reference: Trace, x: Array, states: list[Array]) -> Codes:
    """The best of some rounds and thresholds."""
    best, least = _threshold(cell, _THRESHOLDS[0]), np.inf

    def tried(codes: Codes) -> Trace:
        nonlocal best, least
        trace = simulate(codes.cell(cell), x, *states)
        error = float(((trace.states - reference.states) ** 2).sum())
        if error < least:
            best, least = codes, error
        return trace

    for scheme in _THRESHOLDS:
        tried(_threshold(cell, scheme))
    for damping in _DAMPING:
        read = reference
        for _ in range(_ROUNDS):
            read = tried(_fit_rows(cell, reference, read, x, damping))
    return best


def _threshold(cell: Cell, scheme: str) -> Codes:
    w, w_scale = SCHEMES[scheme].rule(np.asarray(cell.w, np.float64))
    r, r_scale = SCHEMES[scheme].rule(np.asarray(cell.r, np.float64))
    rows = cell.w.shape[0]
    return Codes(w.astype(np.float64), np.broadcast_to(w_scale.reshape(-1), (rows,)),
                  r.astype(np.float64), np.broadcast_to(r_scale.reshape(-1), (rows,)),
                  cell.w_bias)


def _fit_rows(cell: Cell, reference: Trace, read: Trace, x: Array, damping: float) -> Codes:
    """Every row, R reading the states of `read`, towards the values of `reference`."""
    rows, hidden = cell.r.shape
    inputs = cell.w.shape[1]
    size = inputs + hidden
    total = x.shape[0] * x.shape[1]
    count = int(min(total, max(8 * size, _WORK // (rows * size**2))))
    taken = np.random.default_rng(0).choice(total, count, replace=False)

    def flat(array: Array) -> Array:
        return np.asarray(array.reshape(total, -1)[taken])

    weight = flat(reference.slope) ** 2
    weight = weight + np.maximum(_FLOOR * weight.mean(axis=0), 1e-12)
    weight /= weight.sum(axis=0)
    factor = flat(read.factor)
    seen = _Seen(flat(x), factor, weight,
                 flat(reference.before) - cell.w_bias - factor * cell.r_bias)
    codes = Codes(np.zeros_like(cell.w), np.zeros(rows), np.zeros_like(cell.r), np.zeros(rows),
                  cell.w_bias.copy())
    resets = rows if read.reset is None else rows - hidden  # from here on
    together = max(1, _GRAMS // size**2)
    for given, begin, end in ((read.previous, 0, resets), (read.reset, resets, rows)):
        for first in range(begin, end, together):
            assert given is not None
            part = slice(first, min(first + together, end))
            _fit_some(codes, cell, part, seen.moments(flat(given), part), damping)
    return codes


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of what rows read, x and hidden: mean [rows, size], gram around it, and with the target."""

    mean: Array
    gram: Array
    product: Array
    target: Array


@dataclass(frozen=True, slots=True)
class _Seen:
    """Samples x [count, inputs], and of each row [count, rows] factor, weight and target."""

    x: Array
    factor: Array
    weight: Array
    target: Array

    def moments(self, hidden: Array, part: slice) -> _Moments:
        """Of some rows, which read `hidden` [count, hidden] besides."""
        share, target = self.weight[:, part], self.target[:, part]
        by_hidden = share * self.factor[:, part]
        rows, inputs, size = share.shape[1], self.x.shape[1], self.x.shape[1] + hidden.shape[1]
        gram = np.zeros((rows, size, size))
        blocks = ((slice(None, inputs), self.x), (slice(inputs, None), hidden))
        weights = (share, by_hidden, by_hidden * self.factor[:, part])
        for i, j in ((0, 0), (0, 1), (1, 1)):
            (left, a), (right, b) = blocks[i], blocks[j]
            chunk = max(1, _PAIRS // (a.shape[1] * b.shape[1]))
            for begin in range(0, len(share), chunk):
                some = slice(begin, begin + chunk)
                pairs = (a[some, :, None] * b[some, None, :]).reshape(len(a[some]), -1)
                gram[:, left, right] += (weights[i + j][some].T @ pairs).reshape(
                    rows, a.shape[1], b.shape[1])
        gram[:, inputs:, :inputs] = gram[:, :inputs, inputs:].swapaxes(1, 2)
        mean = np.concatenate([share.T @ self.x, by_hidden.T @ hidden], axis=1)
        product = np.concatenate([(share * target).T @ self.x, (by_hidden * target).T @ hidden],
                                 axis=1)
        mean_target = (share * target).sum(axis=0)
        gram -= mean[:, :, None] * mean[:, None, :]
        return _Moments(mean, gram, product - mean_target[:, None] * mean, mean_target)


def _fit_some(codes: Codes, cell: Cell, rows: slice, seen: _Moments, damping: float) -> None:
    """W and R of some rows in turn, each to what the other leaves; then the bias."""
    inputs = cell.w.shape[1]
    real = np.concatenate([cell.w[rows], cell.r[rows]], axis=1)
    current = real.copy()
    parts = ((slice(None, inputs), codes.w, codes.w_scale),
             (slice(inputs, None), codes.r, codes.r_scale))
    for (part, into, scale), (other, *_) in (*zip(parts, parts[::-1], strict=True),) * 2:
        left = seen.product[:, part] - np.einsum(
            "rij,rj->ri", seen.gram[:, part, other], current[:, other])
        found = reconstruct_weights(real[:, None, part], seen.gram[:, part, part],
                                    target=left[:, None], damping=damping)
        into[rows], scale[rows] = found.codes[:, 0], found.scale[:, 0]
        current[:, part] = into[rows] * scale[rows, None]
    codes.w_bias[rows] += seen.target - (seen.mean * current).sum(axis=1)
