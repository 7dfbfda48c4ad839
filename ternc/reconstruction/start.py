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
    candidates = [_threshold(cell, scheme) for scheme in _THRESHOLDS]
    for damping in _DAMPING:
        read = reference
        for _ in range(_ROUNDS):
            candidates.append(_fit_rows(cell, reference, read, x, damping))
            read = simulate(candidates[-1].cell(cell), x, *states)
    return min(candidates, key=lambda codes: float(
        ((simulate(codes.cell(cell), x, *states).states - reference.states) ** 2).sum()))


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

    given, previous, factor = flat(x), flat(read.previous), flat(read.factor)
    reset = previous if read.reset is None else flat(read.reset)
    weight = flat(reference.slope) ** 2
    weight = weight + np.maximum(_FLOOR * weight.mean(axis=0), 1e-12)
    weight /= weight.sum(axis=0)
    goal = flat(reference.before) - cell.w_bias
    last = rows - hidden if cell.op_type == "GRU" else rows  # the rows that a reset concerns
    codes = Codes(np.zeros_like(cell.w), np.zeros(rows), np.zeros_like(cell.r), np.zeros(rows),
                   cell.w_bias.copy())
    for row in range(rows):
        hidden_in = (reset if row >= last else previous) * factor[:, row : row + 1]
        joined = np.concatenate([given, hidden_in], axis=1)
        target = goal[:, row] - factor[:, row] * cell.r_bias[row]
        share = weight[:, row : row + 1]
        mean, mean_target = (joined * share).sum(axis=0), float(target @ share[:, 0])
        centred = joined - mean
        gram = centred.T @ (centred * share)
        product = ((target - mean_target)[:, None] * centred * share).sum(axis=0)
        _fit_row(codes, row, cell, gram, product, damping)
        got = np.concatenate([codes.w[row] * codes.w_scale[row],
                              codes.r[row] * codes.r_scale[row]])
        codes.w_bias[row] += mean_target - float(mean @ got)
    return codes


def _fit_row(codes: Codes, row: int, cell: Cell, gram: Array, product: Array, damping: float
             ) -> None:
    """W and R of a row in turn, each to what the other leaves."""
    inputs = cell.w.shape[1]
    parts = (slice(None, inputs), slice(inputs, None))
    real = np.concatenate([cell.w[row], cell.r[row]])
    current = real.copy()
    for part, other in (*zip(parts, parts[::-1], strict=True),) * 2:
        left = product[part] - gram[part, other] @ current[other]
        found = reconstruct_weights(
            real[None, None, part], gram[None, part, part], target=left[None, None],
            damping=damping)
        current[part] = found.codes[0, 0] * found.scale[0, 0]
        into, scale = (codes.w, codes.w_scale) if part is parts[0] else (codes.r, codes.r_scale)
        into[row], scale[row] = found.codes[0, 0], found.scale[0, 0]
