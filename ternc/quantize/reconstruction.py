"""Ternary codes and scales by the error of a layer's output, not of its weights.

For one output channel with weights w, input x of the float model and input x' of the quantized
one, the error is E|w x - s t x'|^2 = const - 2 s t.b + s^2 t H t', with H = E[x' x'^T] and
b = w E[x x'^T]. For codes t the best scale is s = t.b / tHt, and the error falls by
(t.b)^2 / tHt: that gain is what everything here maximises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ternc.quantize.ternary import SCHEMES

Array = npt.NDArray[np.float64]

# Where the scale starts, relative to the one of least weight error; each start is a GPTQ run.
_STARTS: Final = (0.7, 0.85, 1.0, 1.2)
_ROUNDS: Final = 12
_BLOCK: Final = 64


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """codes [groups, channels, inputs] in {-1, 0, 1}, scale [groups, channels], and the gain.

    `gain` is (t.b)^2 / tHt per channel, in units of squared output.
    """

    codes: npt.NDArray[np.int8]
    scale: Array
    gain: Array


def reconstruct_weights(
    weights: npt.ArrayLike, gram: npt.ArrayLike, cross: npt.ArrayLike | None = None,
    *, target: npt.ArrayLike | None = None, damping: float = 0.01, quick: bool = False,
) -> Reconstruction:
    """Ternary weights under which a linear layer's output differs least from the float one's.

    Starts: GPTQ (Frantar et al. 2023; column by column, the error of each compensated by those
    still to come, largest input first) from several scales, and the codes of least weight error.
    The best of them for each channel is then improved by coordinate descent on the codes,
    alternating with the scale, until nothing changes: so the result is at least as good as every
    start on the data behind `gram`.

    Args:
        weights: [groups, channels, inputs].
        gram: E[x' x'^T] for each group, [groups, inputs, inputs]; x' is what the layer will read.
        cross: E[x x'^T], x being what the float layer reads; default `gram`.
        target: E[y x'^T] for what the output y should be, [groups, channels, inputs]; default
            weights x cross, the float layer's own output.
        damping: This share of the mean of gram's diagonal is added to the diagonal, and pulls
            the solution towards `weights` where the data say nothing.
        quick: Without GPTQ and with few rounds: enough to compare dampings.
    """
    real = np.asarray(weights, np.float64)
    hessian = np.array(gram, np.float64)
    if target is None:
        goal = real @ (hessian if cross is None else np.asarray(cross, np.float64))
    else:
        goal = np.asarray(target, np.float64)
    inputs = real.shape[2]
    diagonal = np.einsum("gkk->gk", hessian)
    ridge = np.maximum(damping * diagonal.mean(axis=1), 1e-12)
    hessian[:, np.arange(inputs), np.arange(inputs)] += ridge[:, None]
    goal = goal + ridge[:, None, None] * real

    ideal = np.swapaxes(np.linalg.solve(hessian, np.swapaxes(goal, 1, 2)), 1, 2)
    best = _Best(hessian, goal)
    for source in (real, ideal):
        codes, _ = SCHEMES["optimal"].rule(source.reshape(-1, inputs))
        best.offer(codes.reshape(source.shape))
    if not quick:
        _, start = SCHEMES["optimal"].rule(ideal.reshape(-1, inputs))
        start = np.maximum(start.reshape(ideal.shape[:2]), 1e-30)
        order = np.argsort(-np.einsum("gkk->gk", hessian), axis=1, kind="stable")
        factor = _inverse_factor(hessian, order)
        for multiple in _STARTS:
            best.offer(_compensated(ideal, start * multiple, factor, order))
    best.descend(3 if quick else _ROUNDS)
    return Reconstruction(best.codes.astype(np.int8), best.scale, best.gain)


def _inverse_factor(hessian: Array, order: npt.NDArray[np.intp]) -> Array:
    """The upper Cholesky factor of the inverse, inputs in `order`."""
    sorted_ = np.take_along_axis(
        np.take_along_axis(hessian, order[:, :, None], 1), order[:, None, :], 2)
    inverse = np.linalg.inv(sorted_)
    inverse = (inverse + np.swapaxes(inverse, 1, 2)) / 2
    return np.swapaxes(np.linalg.cholesky(inverse), 1, 2)


def _compensated(
    weights: Array, scale: Array, factor: Array, order: npt.NDArray[np.intp]
) -> Array:
    """GPTQ: quantize a column, spread its error over the later ones, block by block."""
    work = np.take_along_axis(weights, order[:, None, :], 2).copy()
    codes = np.zeros_like(work)
    inputs = work.shape[2]
    for begin in range(0, inputs, _BLOCK):
        end = min(begin + _BLOCK, inputs)
        errors = np.zeros((*work.shape[:2], end - begin))
        for column in range(begin, end):
            code = np.rint(np.clip(work[:, :, column] / scale, -1, 1))
            codes[:, :, column] = code
            error = (work[:, :, column] - code * scale) / factor[:, column, column][:, None]
            errors[:, :, column - begin] = error
            work[:, :, column:end] -= error[:, :, None] * factor[:, None, column, column:end]
        work[:, :, end:] -= errors @ factor[:, begin:end, end:]
    result = np.empty_like(codes)
    np.put_along_axis(result, np.broadcast_to(order[:, None, :], codes.shape), codes, 2)
    return result


class _Best:
    """The best codes so far for each channel, with their scale and gain."""

    def __init__(self, hessian: Array, target: Array) -> None:
        self.hessian = hessian
        self.target = target
        self.codes = np.zeros_like(target)
        self.scale = np.zeros(target.shape[:2])
        self.gain = np.zeros(target.shape[:2])

    def offer(self, codes: Array) -> bool:
        """Takes `codes` for the channels where they gain more; whether there were any."""
        product = (codes * self.target).sum(axis=2)
        energy = ((codes @ self.hessian) * codes).sum(axis=2)
        scale = np.where(energy > 0, product / np.where(energy > 0, energy, 1.0), 0.0)
        # a negative scale is a positive one with the codes turned round: never the better start
        gain = np.where(scale > 0, product * scale, 0.0)
        better = gain > self.gain * (1 + 1e-9)
        self.codes = np.where(better[:, :, None], codes, self.codes)
        self.scale = np.where(better, scale, self.scale)
        self.gain = np.where(better, gain, self.gain)
        return bool(better.any())

    def descend(self, rounds: int) -> None:
        """Coordinate descent: each code in turn to its best value, then the scale, repeatedly."""
        for _ in range(rounds):
            if not self.offer(self._sweep()):
                return

    def _sweep(self) -> Array:
        codes = self.codes.copy()
        scale = np.maximum(self.scale, 1e-30)
        residual = self.target - self.scale[:, :, None] * (codes @ self.hessian)
        inputs = codes.shape[2]
        for begin in range(0, inputs, _BLOCK):
            end = min(begin + _BLOCK, inputs)
            before = codes[:, :, begin:end].copy()
            part = residual[:, :, begin:end]
            for column in range(begin, end):
                curvature = self.hessian[:, column, column][:, None]
                old = codes[:, :, column]
                new = np.rint(np.clip(
                    part[:, :, column - begin] / (scale * curvature) + old, -1, 1))
                change = (new - old) * self.scale
                if change.any():
                    part -= change[:, :, None] * self.hessian[:, None, column, begin:end]
                    codes[:, :, column] = new
            moved = (codes[:, :, begin:end] - before) * self.scale[:, :, None]
            residual[:, :, end:] -= moved @ self.hessian[:, begin:end, end:]
        return codes
